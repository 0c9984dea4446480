"""How the simulated gateway behaves: options, magic payment methods, and the verdict on one charge."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

SLOW_SECONDS = 5.0
# `tok_flaky` answers 503 this many times for one reference before it succeeds.
FLAKY_FAILURES = 2

_RANDOM_DECLINES = ("card_declined", "insufficient_funds")


@dataclass(slots=True)
class Behaviour:
    """What a control request may change at run time. Everything else about the gateway is fixed.

    `success_rate`, a share between 0 and 1, and the two latencies in seconds apply to charges without a magic method.
    Each of these takes a uniformly random time between the latencies. `pending_seconds` is how long the gateway takes
    to decide on a charge with `tok_pending`.
    """

    success_rate: float = 0.9
    latency_seconds_min: float = 2.0
    latency_seconds_max: float = 5.0
    seed: str | None = None
    down: bool = False
    pending_seconds: float = 3.0

    def __post_init__(self) -> None:
        if not 0 <= self.success_rate <= 1:
            raise ValueError("the success rate must lie between 0 and 1")
        if not 0 <= self.latency_seconds_min <= self.latency_seconds_max:
            raise ValueError("latencies must satisfy 0 <= minimum <= maximum")
        if not 0 <= self.pending_seconds < float("inf"):
            raise ValueError("a charge must be pending for 0 seconds or more")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Behaviour:
        """Read the GATEWAY_ settings of `.env.example`. Raises ValueError."""
        return cls(
            success_rate=float(environment.get("GATEWAY_SUCCESS_RATE") or 0.9),
            latency_seconds_min=float(environment.get("GATEWAY_LATENCY_SECONDS_MIN") or 2),
            latency_seconds_max=float(environment.get("GATEWAY_LATENCY_SECONDS_MAX") or 5),
            pending_seconds=float(environment.get("GATEWAY_PENDING_SECONDS") or 3),
            seed=environment.get("GATEWAY_SEED") or None,
        )

    def changed(self, changes: Mapping[str, object]) -> Behaviour:
        """Return a copy with the given fields replaced. Raises ValueError for an unknown field or a wrong value."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        for name, value in changes.items():
            if name not in values or name == "seed":
                raise ValueError(f"unknown control {name!r}")
            expected = bool if name == "down" else (int, float)
            if not isinstance(value, expected) or (name != "down" and isinstance(value, bool)):
                raise ValueError(f"{name} has the wrong type")
            values[name] = value
        return Behaviour(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one charge.

    `failure_code` None means the money is taken. `error_status` is an HTTP error instead of any verdict.
    `charges` False leaves no trace in the log. `answers` False keeps the client waiting forever. `pends` True takes the
    money only after a while, and `approves` is the share of the amount that is taken.
    """

    failure_code: str | None = None
    latency_seconds: float = 0.0
    error_status: int | None = None
    charges: bool = True
    answers: bool = True
    pends: bool = False
    approves: Fraction = Fraction(1)


_MAGIC = {
    "tok_success": Verdict(),
    "tok_decline": Verdict(failure_code="card_declined"),
    "tok_insufficient_funds": Verdict(failure_code="insufficient_funds"),
    "tok_fraud": Verdict(failure_code="fraud_blocked"),
    "tok_slow": Verdict(latency_seconds=SLOW_SECONDS),
    "tok_timeout": Verdict(charges=False, answers=False),
    "tok_timeout_charged": Verdict(answers=False),
    "tok_error": Verdict(error_status=500),
    "tok_pending": Verdict(pends=True),
    "tok_partial": Verdict(approves=Fraction(4, 5)),
}
_UNKNOWN_METHOD = Verdict(failure_code="invalid_payment_method")


def judge(behaviour: Behaviour, payment_method: str | None, reference: str, tries_before: int) -> Verdict:
    """Decide on a charge. `tries_before` counts the earlier tries of a flaky charge with this reference."""
    if payment_method is None:
        return _random_verdict(behaviour, reference)
    if payment_method == "tok_flaky":
        return Verdict(error_status=503) if tries_before < FLAKY_FAILURES else Verdict()
    return _MAGIC.get(payment_method, _UNKNOWN_METHOD)


def _random_verdict(behaviour: Behaviour, reference: str) -> Verdict:
    latency_seconds = random.uniform(behaviour.latency_seconds_min, behaviour.latency_seconds_max)
    draw, which = _draw(behaviour.seed, reference)
    if draw < behaviour.success_rate:
        return Verdict(latency_seconds=latency_seconds)
    return Verdict(failure_code=_RANDOM_DECLINES[which], latency_seconds=latency_seconds)


def _draw(seed: str | None, reference: str) -> tuple[float, int]:
    """Return a number in [0, 1) and a choice of decline. With a seed both depend on the reference alone."""
    if seed is None:
        return random.random(), random.randrange(len(_RANDOM_DECLINES))
    digest = hashlib.sha256(f"{seed}:{reference}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56, digest[7] % len(_RANDOM_DECLINES)
