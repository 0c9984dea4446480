"""The gateways as one batch sees them: their circuits when it began, their answers since, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.payments.domain.circuit import (
    Call,
    Circuit,
    CircuitPolicy,
    MerchantAt,
    admit,
    after_calls,
    gateway_circuit,
)
from paybridge.payments.domain.operation import FIRST_KINDS, Operation
from paybridge.payments.domain.pace import (
    HORIZON_SECONDS,
    Pace,
    Refusals,
    after_answers,
    first_rate,
    holds,
    plan,
    turn_seconds,
)
from paybridge.payments.domain.payment import Payment
from paybridge.payments.records import Attempt, PaymentResult
from paybridge.payments.store import circuits
from paybridge.payments.store.circuits import Source


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that a batch opened or closed after `failures` in a row. Without a merchant it is the gateway's."""

    is_open: bool
    gateway: str
    merchant_id: UUID | None
    of_method: bool
    failures: int

    @property
    def scope(self) -> str:
        """Return what the circuit is of: the gateway, a merchant, or one of a merchant's payment methods."""
        if self.merchant_id is None:
            return "gateway"
        return "payment method" if self.of_method else "merchant"


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that a gateway refused for its rate: for which merchant, and the wait that it asked for, if any."""

    source: MerchantAt
    retry_after_seconds: float | None


@dataclass(slots=True)
class GatewayWatch:
    """One batch's view of the gateways.

    When the batch began at `began_at`, `known` were the circuits that had been written, and `paces` the paces of
    merchants that held. `due_seconds` is for how long to wait before the call for an operation. Since then a gateway
    has `answered` these attempts, be it with a decline, and `refused` these operations for their rate. `changes` are
    the circuits that the batch opened or closed, and `slowed` the merchants for which it set the first pace, in calls a
    second. `results` counts the calls by their results, and `call_milliseconds` is how long each took, with its
    look-ups. `outcomes` are the results of payments that are committed, also if the batch fails after them.
    """

    began_at: datetime | None = None
    known: dict[str, Circuit] = field(default_factory=dict)
    paces: dict[MerchantAt, Pace] = field(default_factory=dict)
    due_seconds: dict[UUID, float] = field(default_factory=dict)
    answered: list[Attempt] = field(default_factory=list)
    refused: dict[UUID, RefusedCall] = field(default_factory=dict)
    changes: list[CircuitChange] = field(default_factory=list)
    slowed: dict[MerchantAt, float] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    call_milliseconds: list[float] = field(default_factory=list)
    outcomes: list[PaymentResult] = field(default_factory=list)


def hold_back(
    watch: GatewayWatch, transaction: Transaction, calls: Sequence[Call], policy: CircuitPolicy, now: datetime
) -> dict[UUID, float]:
    """Return the operations whose gateway must not be called now, each with the seconds to wait.

    The waits before the other calls are in `watch.due_seconds`.
    """
    watch.began_at = watch.began_at or now
    merchants = {source.circuit: source for source in {call.source for call in calls}}
    gateways = {gateway_circuit(source.gateway) for source in merchants.values()}
    sources = circuits.read(transaction, sorted(gateways | merchants.keys()))
    if not sources:
        # Whatever fails or is limited has a merchant, and so a row of that merchant.
        return {}
    sources |= circuits.read(transaction, sorted({call.method for call in calls if call.merchant in sources}))
    # Locked, so that probes and paced calls of all environments together stay few.
    limiting = sorted(name for name, source in sources.items() if _limits(source, now))
    sources |= circuits.lock(transaction, limiting) if limiting else {}
    known = {name: source.circuit for name, source in sources.items()}
    admission = admit(calls, known, policy, now)
    if admission.rearmed:
        circuits.save(transaction, admission.rearmed, now)
    watch.known |= known | admission.rearmed
    paces = {merchants[name]: source.pace for name, source in sources.items() if source.pace and name in merchants}
    admitted = [call for call in calls if call.operation_id not in admission.held_seconds]
    return admission.held_seconds | _keep_pace(watch, transaction, admitted, paces, now)


def _limits(source: Source, now: datetime) -> bool:
    return source.circuit.open_until is not None or (source.pace is not None and holds(source.pace, now))


def _keep_pace(
    watch: GatewayWatch,
    transaction: Transaction,
    calls: Sequence[Call],
    paces: Mapping[MerchantAt, Pace],
    now: datetime,
) -> dict[UUID, float]:
    """Space the calls of merchants whose pace holds, the oldest first; return those that are due in later batches."""
    held: dict[UUID, float] = {}
    for source, pace in paces.items():
        if not holds(pace, now):
            continue
        waiting = sorted((call for call in calls if call.source == source), key=lambda call: call.operation_id)
        due, watch.paces[source] = plan(pace, len(waiting), now)
        for call, seconds in zip(waiting, due, strict=True):
            (watch.due_seconds if seconds <= HORIZON_SECONDS else held)[call.operation_id] = seconds
    planned = {source.circuit: watch.paces[source] for source in paces if source in watch.paces}
    if planned:
        circuits.save_paces(transaction, planned, now)
    return held


def paces_after(watch: GatewayWatch, now: datetime) -> dict[MerchantAt, Pace]:
    """Return the paces that follow from all answers of the batch so far, of the merchants that have one."""
    seconds = (now - (watch.began_at or now)).total_seconds()
    refused = Counter(call.source for call in watch.refused.values())
    merchants = refused.keys() | watch.paces.keys()
    if not merchants:
        return {}
    answered = Counter(call.source for call in _answered_calls(watch) if call.operation_id not in watch.refused)
    paces = {}
    for source in merchants:
        wishes = [call.retry_after_seconds for call in watch.refused.values() if call.source == source]
        wish = max((wish for wish in wishes if wish is not None), default=None)
        refusals = Refusals(answered[source], refused[source], seconds, wish)
        pace = after_answers(watch.paces.get(source), refusals, now)
        if pace is not None:
            paces[source] = pace
    return paces


def seconds_until_next(
    watch: GatewayWatch, operations: Sequence[UUID], paces: Mapping[MerchantAt, Pace], now: datetime
) -> dict[UUID, float]:
    """Return when to call again for operations that a gateway refused: one by one, and not before it has asked for.

    Merchants that were refused together may share one limit: their calls take turns at the rate that the gateway took
    of all.
    """
    if not operations:
        return {}
    seconds = (now - (watch.began_at or now)).total_seconds()
    taken = Counter(call.gateway for call in _answered_calls(watch) if call.operation_id not in watch.refused)
    turns: Counter[MerchantAt] = Counter()
    shared_turns: Counter[str] = Counter()
    due: dict[UUID, float] = {}
    for operation_id, call in watch.refused.items():
        source, gateway = call.source, call.source.gateway
        own_seconds = turn_seconds(paces[source], turns[source], call.retry_after_seconds, now)
        due[operation_id] = max(own_seconds, shared_turns[gateway] / first_rate(taken[gateway], seconds))
        turns[source] += 1
        shared_turns[gateway] += 1
    return {id_: due[id_] for id_ in operations}


def count_answers(
    watch: GatewayWatch,
    transaction: Transaction,
    faults: Sequence[Call],
    paces: Mapping[MerchantAt, Pace],
    policy: CircuitPolicy,
    now: datetime,
) -> list[CircuitChange]:
    """Write the paces, and the circuits that change with these faults and all answers so far.

    Return the circuits that opened or closed. Nothing is read or locked unless something is wrong, so that batches of a
    healthy gateway never wait for each other.
    """
    if not faults and not watch.known and not paces:
        return []
    answered = {name for call in _answered_calls(watch) for name in call.circuits}
    failing = {name for name, circuit in watch.known.items() if name in answered and circuit.has_failures}
    slowed = {source.circuit: pace for source, pace in paces.items()}
    names = failing | {name for call in faults for name in call.circuits} | slowed.keys()
    if not names:
        return []
    before = {name: source.circuit for name, source in circuits.lock(transaction, sorted(names)).items()}
    if slowed:
        circuits.save_paces(transaction, slowed, now)
    changed = after_calls(before, faults, answered, policy, now)
    if not changed:
        return []
    # A merchant's circuit is as new as those of its payment methods: old ones are forgotten.
    circuits.save(transaction, before | changed, now)
    sources = {name: call for call in [*_answered_calls(watch), *faults] for name in call.circuits}
    return [
        _change(name, sources[name], before[name], circuit)
        for name, circuit in changed.items()
        if (before[name].open_until is None) != (circuit.open_until is None)
    ]


def _change(name: str, call: Call, before: Circuit, after: Circuit) -> CircuitChange:
    return CircuitChange(
        is_open=after.open_until is not None,
        gateway=call.gateway,
        merchant_id=None if name == gateway_circuit(call.gateway) else call.merchant_id,
        of_method=name == call.method,
        failures=max(before.consecutive_failures, after.consecutive_failures),
    )


def _answered_calls(watch: GatewayWatch) -> list[Call]:
    return [call_of(attempt.payment, attempt.operation) for attempt in watch.answered]


def call_of(payment: Payment, operation: Operation) -> Call:
    """Return the call for an operation of the payment, by what its circuits depend on."""
    # A charge waits since there is the payment. A refund of an old payment has waited for no longer than it is there.
    waits_since = payment.created_at if operation.kind in FIRST_KINDS else operation.created_at
    return Call(operation.id, payment.merchant_id, payment.payment_method, waits_since, operation.gateway)
