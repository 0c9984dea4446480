"""How the simulated gateway behaves: options, magic payment methods, faults, and the verdict on one operation."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

SLOW_SECONDS = 5.0
# `tok_flaky` answers 503 this many times for one reference before it succeeds.
FLAKY_FAILURES = 2
# An authorization with `tok_authorization_expires` is good for this long.
SHORT_AUTHORIZATION_SECONDS = 2.0

DAY_SECONDS = 86_400.0

_RANDOM_DECLINES = ("card_declined", "insufficient_funds")
# These fields of the behaviour are durations, so they are finite and not negative.
_DURATIONS = (
    "pending_seconds",
    "authorization_seconds",
    "reversal_seconds",
    "key_seconds",
    "ahead_seconds",
)


class Fault(StrEnum):
    """What goes wrong with one request. Each fault of the control `faults` strikes one operation, in their order."""

    # Nothing is done, and no answer comes.
    LOST_REQUEST = "lost_request"
    # The operation is done, and no answer comes.
    LOST_ANSWER = "lost_answer"
    # The operation is done, and answered, once `holding` is false.
    HELD = "held"
    # 500, and nothing is done.
    ERROR = "error"
    # 500 although the operation is done.
    ERROR_DONE = "error_done"
    # 429.
    RATE_LIMITED = "rate_limited"


@dataclass(slots=True)
class Behaviour:
    """What a control request may change at run time. Everything else about the gateway is fixed.

    `success_rate`, a share between 0 and 1, and the two latencies in seconds apply to operations without a magic
    method. Each of these takes a uniformly random time between the latencies. `pending_seconds` is how long the gateway
    takes to decide on a charge with `tok_pending`, and with `pending_declines` it then declines. An authorization is
    good for `authorization_seconds`, a refund with `tok_refund_reversed` is taken back after `reversal_seconds`, and an
    idempotency key is forgotten after `key_seconds`. `faults` strike the next operations, one each; those that
    are held wait while `holding`. With a `busy_status` other than 0, a request that repeats one in hand is answered
    with that status in place of the first one's answer. `unknown_status` answers a look-up that finds nothing.
    The gateway's clock is `ahead_seconds` ahead of the real time.
    """

    success_rate: float = 0.9
    latency_seconds_min: float = 2.0
    latency_seconds_max: float = 5.0
    seed: str | None = None
    down: bool = False
    pending_seconds: float = 3.0
    pending_declines: bool = False
    authorization_seconds: float = 7 * DAY_SECONDS
    reversal_seconds: float = 2.0
    key_seconds: float = DAY_SECONDS
    faults: list[Fault] = field(default_factory=list)
    holding: bool = False
    busy_status: int = 0
    unknown_status: int = 200
    ahead_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.success_rate <= 1:
            raise ValueError("the success rate must lie between 0 and 1")
        if not 0 <= self.latency_seconds_min <= self.latency_seconds_max:
            raise ValueError("latencies must satisfy 0 <= minimum <= maximum")
        if any(not 0 <= getattr(self, name) < float("inf") for name in _DURATIONS):
            raise ValueError("a duration must be 0 seconds or more")
        if self.busy_status not in (0, 409, 422, 423, 425) or self.unknown_status not in (200, 404):
            raise ValueError("a status is not one that a gateway answers with")
        self.faults = [Fault(fault) for fault in self.faults]

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
            if not _is_of_type(getattr(_DEFAULTS, name), value):
                raise ValueError(f"{name} has the wrong type")
            values[name] = value
        return Behaviour(**values)  # type: ignore[arg-type]


_DEFAULTS = Behaviour()


def _is_of_type(default: object, value: object) -> bool:
    """Return whether the value may replace the default. A float may become a whole number, but never a bool."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, list):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, int if isinstance(default, int) else int | float)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one operation.

    `failure_code` None means that it is done. `error_status` is an HTTP error instead of any verdict. `is_done` False
    leaves no trace in the log. `answers` False keeps the client waiting forever. `pends` True decides only after a
    while, and `approves` is the share of the amount that is approved. An authorization expires after `good_seconds`,
    unless that is None. A refund with `is_reversed` is taken back later.
    """

    failure_code: str | None = None
    latency_seconds: float = 0.0
    error_status: int | None = None
    is_done: bool = True
    answers: bool = True
    pends: bool = False
    approves: Fraction = Fraction(1)
    good_seconds: float | None = None
    is_reversed: bool = False


_DONE = Verdict()
_MAGIC = {
    "tok_success": _DONE,
    "tok_decline": Verdict(failure_code="card_declined"),
    "tok_insufficient_funds": Verdict(failure_code="insufficient_funds"),
    "tok_fraud": Verdict(failure_code="fraud_blocked"),
    "tok_slow": Verdict(latency_seconds=SLOW_SECONDS),
    "tok_timeout": Verdict(is_done=False, answers=False),
    "tok_timeout_charged": Verdict(answers=False),
    "tok_error": Verdict(error_status=500),
    "tok_pending": Verdict(pends=True),
    "tok_partial": Verdict(approves=Fraction(4, 5)),
    "tok_capture_declined": _DONE,
    "tok_authorization_expires": Verdict(good_seconds=SHORT_AUTHORIZATION_SECONDS),
    "tok_refund_declined": _DONE,
    "tok_refund_timeout": _DONE,
    "tok_refund_timeout_done": _DONE,
    "tok_refund_reversed": _DONE,
}
FLAKY_METHOD = "tok_flaky"
MAGIC_METHODS = frozenset({*_MAGIC, FLAKY_METHOD})
_UNKNOWN_METHOD = Verdict(failure_code="invalid_payment_method")
# What the method of a charge or authorization means for the operations that follow it.
_MAGIC_LATER = {
    ("capture", "tok_capture_declined"): Verdict(failure_code="capture_declined"),
    ("refund", "tok_refund_declined"): Verdict(failure_code="refund_declined"),
    ("refund", "tok_refund_timeout"): Verdict(is_done=False, answers=False),
    ("refund", "tok_refund_timeout_done"): Verdict(answers=False),
    ("refund", "tok_refund_reversed"): Verdict(is_reversed=True),
}


def judge(behaviour: Behaviour, payment_method: str | None, reference: str, tries_before: int) -> Verdict:
    """Decide on a charge or authorization. `tries_before` counts the earlier tries of a flaky one."""
    if payment_method is None:
        return _random_verdict(behaviour, reference)
    if payment_method == FLAKY_METHOD:
        return Verdict(error_status=503) if tries_before < FLAKY_FAILURES else _DONE
    return _MAGIC.get(payment_method, _UNKNOWN_METHOD)


def judge_later(behaviour: Behaviour, kind: str, payment_method: str | None) -> Verdict:
    """Decide on a capture, void or refund of what was taken or authorized with the payment method."""
    if payment_method is None:
        return Verdict(latency_seconds=_latency_seconds(behaviour))
    return _MAGIC_LATER.get((kind, payment_method), _DONE)


def _random_verdict(behaviour: Behaviour, reference: str) -> Verdict:
    latency_seconds = _latency_seconds(behaviour)
    draw, which = _draw(behaviour.seed, reference)
    if draw < behaviour.success_rate:
        return Verdict(latency_seconds=latency_seconds)
    return Verdict(failure_code=_RANDOM_DECLINES[which], latency_seconds=latency_seconds)


def _latency_seconds(behaviour: Behaviour) -> float:
    return random.uniform(behaviour.latency_seconds_min, behaviour.latency_seconds_max)


def _draw(seed: str | None, reference: str) -> tuple[float, int]:
    """Return a number in [0, 1) and a choice of decline. With a seed both depend on the reference alone."""
    if seed is None:
        return random.random(), random.randrange(len(_RANDOM_DECLINES))
    digest = hashlib.sha256(f"{seed}:{reference}".encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56, digest[7] % len(_RANDOM_DECLINES)
