"""Circuit breakers as values: after too many faults in a row, calls to the gateway pause for a while.

Each gateway has a circuit. So has each source of calls to it while they fail: a merchant, and a merchant's payment
method. A fault counts from the bottom up: for its method, then for the merchant, then for the gateway. Nothing counts
for another gateway.

* Of one method, only the first faults count for the merchant, and of one merchant for the gateway. What goes on failing
  alone, while others are charged, stops counting as a fault of the gateway.
* While the gateway's circuit is open, no call is made, except for a few of sources that have hardly failed. If one of
  them is answered, the gateway was not the cause, and its circuit closes.
* A source whose circuit is open takes turns: all its calls together, once in each cooldown. They go through their
  schedule of retries, and a batch of other payments waits for their deadline once, and not each time.

The state lives in the database, so that all environments share it. Half-open is no separate state: once `open_until`
has passed, `PROBES` calls go through, those of the newest payments, and the cooldown begins again. An answer closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from paybridge.payments.domain.operation import DEFAULT_GATEWAY

# One call could hit the one bad node behind a healthy gateway. A handful shows more and does as little harm.
PROBES = 3
# The name of the circuit of the whole gateway `default`, and the beginning of the names of all others'.
GATEWAY = "gateway"
# A call that is held back comes again so soon if probes are under way. Most answers come faster.
PROBED_SECONDS = 1.0
# Held-back calls come again this long after an open circuit lets probes through. The newest payments probe it first.
AFTER_PROBES_SECONDS = 1.0
# An old payment comes again after this share of its age, but at the latest after HELD_SECONDS_MAX. In a long outage,
# the payments that wait would otherwise be more work than those that arrive.
HELD_AGE_SHARE = 0.1
HELD_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """Faults since the last answer, and until when calls are held back (None: they are not)."""

    consecutive_failures: int = 0
    open_until: datetime | None = None

    @property
    def has_failures(self) -> bool:
        """Tell whether a fault was counted since the last answer; a closed circuit may have some."""
        return self.consecutive_failures > 0 or self.open_until is not None


CLOSED = Circuit()
Circuits = Mapping[str, Circuit]


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When a circuit opens and for how long, in seconds."""

    failure_threshold: int
    cooldown_seconds: float

    @property
    def method_faults_max(self) -> int:
        """Return how many faults of one payment method count for its merchant: half of what opens a circuit."""
        return (self.failure_threshold + 1) // 2

    @property
    def trial_faults_max(self) -> int:
        """Return below how many faults a source may be tried while the gateway's circuit is open."""
        return min(PROBES, self.failure_threshold)


class MerchantAt(NamedTuple):
    """A merchant at one of the gateways: what has a circuit and a pace."""

    gateway: str
    merchant_id: UUID

    @property
    def circuit(self) -> str:
        """Return the name of the circuit."""
        return merchant_circuit(self.merchant_id, self.gateway)


@dataclass(frozen=True, slots=True)
class Call:
    """A call to a gateway that a batch wants to make or has made, by what its circuits depend on."""

    operation_id: UUID
    merchant_id: UUID
    payment_method: str | None
    created_at: datetime
    gateway: str = DEFAULT_GATEWAY

    @property
    def source(self) -> MerchantAt:
        """Return the merchant at this gateway."""
        return MerchantAt(self.gateway, self.merchant_id)

    @property
    def merchant(self) -> str:
        """Return the name of the merchant's circuit."""
        return merchant_circuit(self.merchant_id, self.gateway)

    @property
    def method(self) -> str:
        """Return the name of the circuit of the merchant's payment method."""
        return f"{self.merchant}/{self.payment_method or ''}"

    @property
    def circuits(self) -> tuple[str, str, str]:
        """Return the names of the call's circuits, from the narrowest to the gateway's."""
        return (self.method, self.merchant, gateway_circuit(self.gateway))


def gateway_circuit(gateway: str) -> str:
    """Return the name of a gateway's circuit."""
    return GATEWAY if gateway == DEFAULT_GATEWAY else f"{GATEWAY}/{gateway}"


def merchant_circuit(merchant_id: UUID, gateway: str = DEFAULT_GATEWAY) -> str:
    """Return the name of a merchant's circuit at a gateway."""
    merchant = f"merchant/{merchant_id}"
    return merchant if gateway == DEFAULT_GATEWAY else f"{gateway_circuit(gateway)}/{merchant}"


@dataclass(frozen=True, slots=True)
class Admission:
    """The payments to hold back, each for how many seconds, and the circuits whose cooldown begins again.

    All other calls are allowed.
    """

    held_seconds: dict[UUID, float]
    rearmed: dict[str, Circuit]


def admit(calls: Sequence[Call], circuits: Circuits, policy: CircuitPolicy, now: datetime) -> Admission:
    """Decide which of the calls the circuits allow now."""
    admission = Admission({}, {})
    for gateway in {call.gateway for call in calls}:
        its_calls = [call for call in calls if call.gateway == gateway]
        its = _admit_to(gateway_circuit(gateway), its_calls, circuits, policy, now)
        admission = Admission(admission.held_seconds | its.held_seconds, admission.rearmed | its.rearmed)
    return admission


def _admit_to(
    gateway: str, calls: Sequence[Call], circuits: Circuits, policy: CircuitPolicy, now: datetime
) -> Admission:
    """Decide about the calls to the gateway whose circuit has this name."""
    held: dict[UUID, float] = {}
    rearmed: dict[str, Circuit] = {}
    ready = []
    for call in calls:
        wait_seconds = max(seconds_until_half_open(_of(circuits, name), policy, now) for name in call.circuits[:2])
        if wait_seconds > 0:
            held[call.operation_id] = _held_seconds(wait_seconds, call, now)
        else:
            ready.append(call)
    probes = _probes(ready, _of(circuits, gateway), circuits, policy, now)
    if probes is not None:
        held |= _held_by_gateway(ready, probes, _of(circuits, gateway), circuits, policy, now)
        ready = probes
        if probes and seconds_until_half_open(circuits[gateway], policy, now) <= 0:
            rearmed[gateway] = _rearmed(circuits[gateway], policy, now)
    for name in {name for call in ready for name in call.circuits[:2]}:
        if _of(circuits, name).open_until is not None:
            rearmed[name] = _rearmed(circuits[name], policy, now)
    return Admission(held, rearmed)


def _probes(
    calls: Sequence[Call], gateway: Circuit, circuits: Circuits, policy: CircuitPolicy, now: datetime
) -> list[Call] | None:
    """Choose the calls to make although the gateway's circuit is open: of the most reliable sources, the newest.

    Return None if the circuit is closed.
    """
    if gateway.open_until is None:
        return None
    is_half_open = seconds_until_half_open(gateway, policy, now) <= 0
    candidates = calls if is_half_open else [call for call in calls if _is_trial(call, circuits, policy)]
    newest = sorted(candidates, key=lambda call: (call.created_at, call.operation_id), reverse=True)
    return sorted(newest, key=lambda call: _failures(circuits, call))[:PROBES]


def _held_by_gateway(
    calls: Sequence[Call],
    probes: Sequence[Call],
    gateway: Circuit,
    circuits: Circuits,
    policy: CircuitPolicy,
    now: datetime,
) -> dict[UUID, float]:
    """Return for how many seconds to hold back the calls that are no probes."""
    wait_seconds = seconds_until_half_open(gateway, policy, now)
    allowed = {call.operation_id for call in probes}
    held = {}
    for call in calls:
        if call.operation_id not in allowed:
            # The probes will soon show whether this call could have been made as well.
            is_next = bool(probes) and _is_trial(call, circuits, policy)
            held[call.operation_id] = PROBED_SECONDS if is_next else _held_seconds(wait_seconds, call, now)
    return held


def _failures(circuits: Circuits, call: Call) -> tuple[int, int]:
    return _of(circuits, call.merchant).consecutive_failures, _of(circuits, call.method).consecutive_failures


def _is_trial(call: Call, circuits: Circuits, policy: CircuitPolicy) -> bool:
    """Tell whether the call's source has hardly failed: its answer shows whether the gateway is the cause."""
    merchant_failures, method_failures = _failures(circuits, call)
    # A merchant that fails with one method alone may try another one. One that fails with several may not.
    is_new_method = method_failures < policy.trial_faults_max and merchant_failures <= policy.method_faults_max
    return merchant_failures < policy.trial_faults_max or is_new_method


def seconds_until_half_open(circuit: Circuit, policy: CircuitPolicy, now: datetime) -> float:
    """Return for how many seconds the circuit holds calls back; 0 if it is closed or half-open.

    A time beyond two cooldowns was written by a clock that was wrong, and does not count.
    """
    if circuit.open_until is None:
        return 0.0
    seconds = (circuit.open_until - now).total_seconds()
    return seconds if 0 < seconds <= 2 * policy.cooldown_seconds else 0.0


def _held_seconds(wait_seconds: float, call: Call, now: datetime) -> float:
    if wait_seconds <= 0:
        return PROBED_SECONDS
    age_seconds = (now - call.created_at).total_seconds()
    return max(wait_seconds + AFTER_PROBES_SECONDS, min(age_seconds * HELD_AGE_SHARE, HELD_SECONDS_MAX))


def _rearmed(circuit: Circuit, policy: CircuitPolicy, now: datetime) -> Circuit:
    return replace(circuit, open_until=now + timedelta(seconds=policy.cooldown_seconds))


def after_calls(
    circuits: Circuits, faults: Iterable[Call], answered: Set[str], policy: CircuitPolicy, now: datetime
) -> dict[str, Circuit]:
    """Return the circuits that change after some calls.

    `answered` are the circuits with an answer in the same batch: they close, and its faults do not count for them. A
    decline is an answer: a gateway that declines is alive. A fault never extends the cooldown of an open circuit: its
    call may have begun before.
    """
    changed = {name: CLOSED for name, circuit in circuits.items() if name in answered and circuit.has_failures}
    for call in faults:
        if call.method in answered:
            continue
        before = {name: changed.get(name, _of(circuits, name)) for name in call.circuits}
        for name in _counting(call, before, policy) - answered:
            changed[name] = _after_fault(before[name], policy, now)
    return changed


def _counting(call: Call, before: Circuits, policy: CircuitPolicy) -> set[str]:
    """Return the circuits for which a fault of the call counts."""
    method_failures, merchant_failures = (
        before[call.method].consecutive_failures,
        before[call.merchant].consecutive_failures,
    )
    counting = {call.method}
    if method_failures < policy.method_faults_max:
        counting.add(call.merchant)
    if method_failures < policy.failure_threshold and merchant_failures < policy.failure_threshold:
        counting.add(gateway_circuit(call.gateway))
    return counting


def _after_fault(circuit: Circuit, policy: CircuitPolicy, now: datetime) -> Circuit:
    counted = replace(circuit, consecutive_failures=circuit.consecutive_failures + 1)
    if circuit.open_until is None and counted.consecutive_failures >= policy.failure_threshold:
        return _rearmed(counted, policy, now)
    return counted


def _of(circuits: Circuits, name: str) -> Circuit:
    return circuits.get(name, CLOSED)
