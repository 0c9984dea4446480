"""A circuit breaker as a value: after too many failures in a row, calls to a gateway pause for a while.

The state lives in the database, so that all environments share it. Half-open is no separate state: once `open_until`
has passed, `PROBES` calls go through, and their outcome closes the circuit or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# One call could hit the one bad node behind a healthy gateway. A handful shows more and does as little harm.
PROBES = 3


@dataclass(frozen=True, slots=True)
class Circuit:
    """Failures since the last success, and until when calls are held back (None: they are not)."""

    consecutive_failures: int = 0
    open_until: datetime | None = None

    @property
    def has_failures(self) -> bool:
        """Tell whether a failure was counted since the last success; a closed circuit may have some."""
        return self.consecutive_failures > 0 or self.open_until is not None


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When a circuit opens and for how long, in seconds."""

    failure_threshold: int
    cooldown_seconds: float


def allowed_calls(circuit: Circuit, wanted: int, now: datetime) -> int:
    """Return how many of the wanted calls may be made now: all when closed, none when open, PROBES when half-open."""
    if circuit.open_until is None:
        return wanted
    if now < circuit.open_until:
        return 0
    return min(wanted, PROBES)


def after_calls(circuit: Circuit, successes: int, failures: int, policy: CircuitPolicy, now: datetime) -> Circuit:
    """Return the circuit after some calls: any success closes it, failures alone add up.

    A decline is a success here: a gateway that declines is alive.
    """
    if successes:
        return Circuit()
    if not failures:
        return circuit
    total = circuit.consecutive_failures + failures
    if total < policy.failure_threshold:
        return replace(circuit, consecutive_failures=total)
    return Circuit(total, now + timedelta(seconds=policy.cooldown_seconds))
