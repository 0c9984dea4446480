"""Give back what a gateway took and what settles no payment: a part of the amount, or a charge that came too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.facts import DUPLICATE, LATE, PARTIAL_APPROVAL, UnsettledCharge, charge_taken
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus
from paybridge.payments.domain.saga import undo_of
from paybridge.payments.store import charges_to_return, operations
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason

_OUTCOMES = {
    ReturnReason.PARTIAL_APPROVAL: (OperationStatus.PARTIAL, Cause.PARTIAL_APPROVAL),
    ReturnReason.CHARGED_LATE: (OperationStatus.SUCCEEDED, Cause.CHARGED_LATE),
}
_REASONS = {ReturnReason.PARTIAL_APPROVAL: PARTIAL_APPROVAL, ReturnReason.CHARGED_LATE: LATE}


def give_back(ids: Ids, transaction: Transaction, charges: Sequence[ChargeToReturn], now: datetime) -> set[UUID]:
    """Record the charges, and an operation that undoes each; return the payments of those that are new.

    A charge is found as often as the gateway is asked for it. It is given back once. Money that was taken is a fact for
    the ledger. An authorization has taken none. The payments must be locked: the facts of one are numbered.
    """
    new = charges_to_return.add(transaction, charges, now)
    if not new:
        return set()
    found = {charge.key: charge for charge in charges if charge.key in new}
    charged = {key: charge for key, charge in found.items() if charge.operation.kind is Kind.CHARGE}
    facts = [_taken(ids, charge, new[key], now) for key, charge in charged.items()]
    outbox.add(transaction, facts, is_counted=False)
    undo(ids, transaction, [_undo(ids, charge, now) for charge in found.values()])
    return {key.payment_id for key in found}


def undo(ids: Ids, transaction: Transaction, undos: Sequence[Operation]) -> None:
    """Add operations that undo others, and a command for each."""
    operations.add(transaction, undos)
    commands = [run_operation_command(ids.new(), each, each.created_at) for each in undos]
    outbox.add_delayed(transaction, [(command, 0.0) for command in commands])


def undo_operation(
    id_: UUID,
    undone: Operation,
    outcome: OperationStatus,
    cause: Cause,
    now: datetime,
    amount_minor: int | None = None,
    target_gateway_id: str | None = None,
) -> Operation:
    """Make the operation that undoes another, whose outcome is known. Raises ValueError if nothing undoes it."""
    kind = undo_of(undone.kind, outcome)
    if kind is None:
        raise ValueError(f"Nothing undoes a {undone.kind} that has ended as {outcome}.")
    return Operation(
        id=id_,
        payment_id=undone.payment_id,
        merchant_id=undone.merchant_id,
        kind=kind,
        cause=cause,
        gateway=undone.gateway,
        amount_minor=undone.amount_minor if amount_minor is None else amount_minor,
        status=OperationStatus.ACCEPTED,
        correlation_id=undone.correlation_id,
        created_at=now,
        updated_at=now,
        target_gateway_id=target_gateway_id,
    )


def _taken(ids: Ids, charge: ChargeToReturn, earlier: int, now: datetime) -> Event:
    reason = DUPLICATE if earlier else _REASONS[charge.reason]
    taken = UnsettledCharge(charge.payment, charge.operation.id, charge.amount_minor, reason)
    return charge_taken(ids.new(), taken, earlier + 1, now)


def _undo(ids: Ids, charge: ChargeToReturn, now: datetime) -> Operation:
    outcome, cause = _OUTCOMES[charge.reason]
    return undo_operation(ids.new(), charge.operation, outcome, cause, now, charge.amount_minor, charge.gateway_id)
