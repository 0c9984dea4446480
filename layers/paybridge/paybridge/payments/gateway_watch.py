"""The gateway as one batch sees it: its circuits when the batch began, its answers since, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.payments.domain.circuit import (
    GATEWAY,
    Call,
    Circuit,
    CircuitPolicy,
    admit,
    after_calls,
    merchant_circuit,
)
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
from paybridge.payments.records import PaymentResult
from paybridge.payments.store import circuits
from paybridge.payments.store.circuits import Source


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit that a batch opened or closed after `failures` in a row. Without a merchant it is the gateway's."""

    is_open: bool
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
    """A call that the gateway refused for its rate: for which merchant, and the wait that it asked for, if any."""

    merchant_id: UUID
    retry_after_seconds: float | None


@dataclass(slots=True)
class GatewayWatch:
    """One batch's view of the gateway.

    When the batch began at `began_at`, `known` were the circuits that had been written, and `paces` the paces of
    merchants that held. `due_seconds` is for how long to wait before the call for an operation. Since then the gateway
    has `answered` these calls, be it with a decline, and `refused` these operations for their rate. `changes` are the
    circuits that the batch opened or closed, and `slowed` the merchants for which it set the first pace, in calls a
    second.
    `results` counts the calls by their results, and `call_milliseconds` is how long each took, look-ups included.
    `outcomes` are the results of payments that are committed, also if the batch fails after them.
    """

    began_at: datetime | None = None
    known: dict[str, Circuit] = field(default_factory=dict)
    paces: dict[UUID, Pace] = field(default_factory=dict)
    due_seconds: dict[UUID, float] = field(default_factory=dict)
    answered: list[Call] = field(default_factory=list)
    refused: dict[UUID, RefusedCall] = field(default_factory=dict)
    changes: list[CircuitChange] = field(default_factory=list)
    slowed: dict[UUID, float] = field(default_factory=dict)
    results: Counter[str] = field(default_factory=Counter)
    call_milliseconds: list[float] = field(default_factory=list)
    outcomes: list[PaymentResult] = field(default_factory=list)


def hold_back(
    watch: GatewayWatch, transaction: Transaction, calls: Sequence[Call], policy: CircuitPolicy, now: datetime
) -> dict[UUID, float]:
    """Return the operations not to call the gateway for now, each with the seconds to wait.

    The waits before the other calls are in `watch.due_seconds`.
    """
    watch.began_at = watch.began_at or now
    merchants = {merchant_circuit(id_): id_ for id_ in {call.merchant_id for call in calls}}
    sources = circuits.read(transaction, [GATEWAY, *sorted(merchants)])
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
    watch: GatewayWatch, transaction: Transaction, calls: Sequence[Call], paces: Mapping[UUID, Pace], now: datetime
) -> dict[UUID, float]:
    """Space the calls of merchants whose pace holds, the oldest first; return those that are due in later batches."""
    held: dict[UUID, float] = {}
    for merchant_id, pace in paces.items():
        if not holds(pace, now):
            continue
        waiting = sorted(
            (call for call in calls if call.merchant_id == merchant_id), key=lambda call: call.operation_id
        )
        due, watch.paces[merchant_id] = plan(pace, len(waiting), now)
        for call, seconds in zip(waiting, due, strict=True):
            (watch.due_seconds if seconds <= HORIZON_SECONDS else held)[call.operation_id] = seconds
    planned = {merchant_circuit(id_): watch.paces[id_] for id_ in paces if id_ in watch.paces}
    if planned:
        circuits.save_paces(transaction, planned, now)
    return held


def paces_after(watch: GatewayWatch, now: datetime) -> dict[UUID, Pace]:
    """Return the paces that follow from all answers of the batch so far, of the merchants that have one."""
    seconds = (now - (watch.began_at or now)).total_seconds()
    refused = Counter(call.merchant_id for call in watch.refused.values())
    merchants = refused.keys() | watch.paces.keys()
    if not merchants:
        return {}
    answered = Counter(call.merchant_id for call in watch.answered if call.operation_id not in watch.refused)
    paces = {}
    for id_ in merchants:
        wishes = [call.retry_after_seconds for call in watch.refused.values() if call.merchant_id == id_]
        wish = max((wish for wish in wishes if wish is not None), default=None)
        pace = after_answers(watch.paces.get(id_), Refusals(answered[id_], refused[id_], seconds, wish), now)
        if pace is not None:
            paces[id_] = pace
    return paces


def seconds_until_next(
    watch: GatewayWatch, operations: Sequence[UUID], paces: Mapping[UUID, Pace], now: datetime
) -> dict[UUID, float]:
    """Return when to call again for operations that the gateway refused: one by one, and not before it has asked for.

    Merchants that were refused together may share one limit: their calls take turns at the rate that the gateway took
    of all.
    """
    if not operations:
        return {}
    taken = sum(call.operation_id not in watch.refused for call in watch.answered)
    shared_rate = first_rate(taken, (now - (watch.began_at or now)).total_seconds())
    turns: Counter[UUID] = Counter()
    due: dict[UUID, float] = {}
    for shared_turn, (operation_id, call) in enumerate(watch.refused.items()):
        turn, wish_seconds = turns[call.merchant_id], call.retry_after_seconds
        own_seconds = turn_seconds(paces[call.merchant_id], turn, wish_seconds, now)
        due[operation_id] = max(own_seconds, shared_turn / shared_rate)
        turns[call.merchant_id] += 1
    return {id_: due[id_] for id_ in operations}


def count_answers(
    watch: GatewayWatch,
    transaction: Transaction,
    faults: Sequence[Call],
    paces: Mapping[UUID, Pace],
    policy: CircuitPolicy,
    now: datetime,
) -> list[CircuitChange]:
    """Write the paces, and the circuits that change with these faults and all answers so far.

    Return the circuits that opened or closed. Nothing is read or locked unless something is wrong, so that batches of a
    healthy gateway never wait for each other.
    """
    if not faults and not watch.known and not paces:
        return []
    answered = {name for call in watch.answered for name in call.circuits}
    failing = {name for name, circuit in watch.known.items() if name in answered and circuit.has_failures}
    slowed = {merchant_circuit(id_): pace for id_, pace in paces.items()}
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
    sources = {name: call for call in [*watch.answered, *faults] for name in call.circuits}
    return [
        _change(name, sources[name], before[name], circuit)
        for name, circuit in changed.items()
        if (before[name].open_until is None) != (circuit.open_until is None)
    ]


def _change(name: str, call: Call, before: Circuit, after: Circuit) -> CircuitChange:
    return CircuitChange(
        is_open=after.open_until is not None,
        merchant_id=None if name == GATEWAY else call.merchant_id,
        of_method=name == call.method,
        failures=max(before.consecutive_failures, after.consecutive_failures),
    )


def call_of(payment: Payment, operation_id: UUID) -> Call:
    """Return the call for an operation of the payment, by what its circuits depend on."""
    return Call(operation_id, payment.merchant_id, payment.payment_method, payment.created_at)
