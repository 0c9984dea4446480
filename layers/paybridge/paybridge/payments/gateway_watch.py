"""The gateway as one batch sees it: its circuits when the batch began, its answers since, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
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
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store import circuits


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


@dataclass(slots=True)
class GatewayWatch:
    """One batch's view of the gateway.

    `known` are the circuits that had been written when the batch began, `answered` the payments that the gateway has
    answered since, be it with a decline, and `changes` the circuits that the batch opened or closed.
    """

    known: dict[str, Circuit] = field(default_factory=dict)
    answered: list[Payment] = field(default_factory=list)
    changes: list[CircuitChange] = field(default_factory=list)


def hold_back(
    watch: GatewayWatch, transaction: Transaction, payments: Sequence[Payment], policy: CircuitPolicy, now: datetime
) -> dict[UUID, float]:
    """Return the payments not to call the gateway for now, each with the seconds to wait."""
    merchants = sorted(merchant_circuit(id_) for id_ in {payment.merchant_id for payment in payments})
    known = circuits.read(transaction, [GATEWAY, *merchants])
    if not known:
        # Whatever fails has a merchant, and so a row of that merchant.
        return {}
    calls = [_call(payment) for payment in payments]
    known |= circuits.read(transaction, sorted({call.method for call in calls if call.merchant in known}))
    is_open = sorted(name for name, circuit in known.items() if circuit.open_until is not None)
    # Locked, so that probes of all environments together stay few. The order keeps two batches from a deadlock.
    known |= circuits.lock(transaction, is_open) if is_open else {}
    admission = admit(calls, known, policy, now)
    if admission.rearmed:
        circuits.save(transaction, admission.rearmed, now)
    watch.known |= known | admission.rearmed
    return admission.held_seconds


def count_faults(
    watch: GatewayWatch, transaction: Transaction, faults: Sequence[Payment], policy: CircuitPolicy, now: datetime
) -> list[CircuitChange]:
    """Write the circuits that change with these faults and all answers so far; return those that opened or closed.

    Nothing is read or locked unless something is wrong, so that batches of a healthy gateway never wait for each other.
    """
    if not faults and not watch.known:
        return []
    calls = [_call(payment) for payment in faults]
    answered = {name for payment in watch.answered for name in _call(payment).circuits}
    failing = {name for name, circuit in watch.known.items() if name in answered and circuit.has_failures}
    names = failing | {name for call in calls for name in call.circuits}
    if not names:
        return []
    before = circuits.lock(transaction, sorted(names))
    changed = after_calls(before, calls, answered, policy, now)
    if not changed:
        return []
    # A merchant's circuit is as new as those of its payment methods: old ones are forgotten.
    circuits.save(transaction, before | changed, now)
    sources = {name: call for call in map(_call, [*watch.answered, *faults]) for name in call.circuits}
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


def _call(payment: Payment) -> Call:
    return Call(payment.id, payment.merchant_id, payment.payment_method, payment.created_at)
