"""Operations, and the payments they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store.operation_row import OPERATION_COLUMNS, UNSETTLED, operation_from_row
from paybridge.payments.store.row import COLUMNS, payment_from_row

# Ids are joined and not compared with ANY(…): a join looks each id up in its month alone, an array in every month. The
# row of a payment that another transaction holds is skipped, because the batch shall not wait for it.
_LOCK_PAYMENTS = Statement(f"""
    SELECT {COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
    WHERE p.status IN ('pending', 'processing')
    ORDER BY p.id
    FOR UPDATE OF p SKIP LOCKED
""")

# A second statement, after the lock, sees what another batch has committed since the first one began.
_FIND = Statement(f"""
    SELECT {OPERATION_COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN operations o ON o.id = wanted.id
""")

# An operation that is not a payment's first changes nothing of the payment until it has an outcome, so its own row is
# locked and the payment's is not.
_LOCK_LATER = Statement(f"""
    SELECT {OPERATION_COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN operations o ON o.id = wanted.id
    WHERE o.status IN {UNSETTLED}
    ORDER BY o.id
    FOR UPDATE OF o SKIP LOCKED
""")

_READ_PAYMENTS = Statement(f"""
    SELECT {COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
""")

_FIND_CHOICES = Statement("""
    SELECT m.id, m.gateway, m.follows_progress
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN merchants m ON m.id = wanted.id
    WHERE m.gateway <> 'default' OR m.follows_progress
""")

# A payment whose authorization succeeded may have been canceled since: the same answer again is no new charge.
_FIND_GIVEN_UP = Statement("""
    SELECT p.id FROM unnest(:ids::uuid[]) AS wanted (id)
    JOIN payments p ON p.id = wanted.id JOIN operations o ON o.id = wanted.id
    WHERE p.status IN ('failed', 'canceled') AND o.status NOT IN ('succeeded', 'partial')
""")

_FIND_SKIPPED = Statement(f"""
    SELECT wanted.id, p.id, p.merchant_id, p.correlation_id,
           CASE WHEN wanted.id = p.id THEN p.status IN ('pending', 'processing') ELSE o.status IN {UNSETTLED} END
    FROM unnest(:ids::uuid[], :payment_ids::uuid[]) AS wanted (id, payment_id)
    JOIN payments p ON p.id = wanted.payment_id LEFT JOIN operations o ON o.id = wanted.id
    WHERE wanted.id = p.id OR o.id IS NOT NULL
""")

_ADD = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status, target_gateway_id,
                            correlation_id, created_at, updated_at)
    SELECT id, payment_id, merchant_id, kind, cause, gateway, amount_minor, 'accepted', target_gateway_id,
           correlation_id, created_at, created_at
    FROM json_to_recordset(:rows::json) AS row (id uuid, payment_id uuid, merchant_id uuid, kind text, cause text,
        gateway text, amount_minor bigint, target_gateway_id text, correlation_id text, created_at timestamptz)
""")


class SkippedOperation(NamedTuple):
    """An operation that was not locked: because it is settled, or because another transaction holds its row."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    is_open: bool


def lock_payments(transaction: Transaction, ids: Sequence[UUID]) -> list[Payment]:
    """Lock the payments whose charge is not settled until the transaction ends, but for those another one holds."""
    return [payment_from_row(row) for row in transaction.run(_LOCK_PAYMENTS, ids=uuid_array(ids))] if ids else []


def find(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Operation]:
    """Return those of the operations that exist. A payment's charge or authorization has its id."""
    return _by_id(transaction.run(_FIND, ids=uuid_array(ids))) if ids else {}


def lock_later(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Operation]:
    """Lock these operations if they are not settled until the transaction ends, but for those another one holds."""
    return _by_id(transaction.run(_LOCK_LATER, ids=uuid_array(ids))) if ids else {}


def read_payments(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, Payment]:
    """Return the payments as they are now, by their ids."""
    rows = transaction.run(_READ_PAYMENTS, ids=uuid_array(sorted(set(ids))))
    return {payment.id: payment for payment in map(payment_from_row, rows)}


class MerchantChoice(NamedTuple):
    """What a merchant has chosen: a gateway, and whether a webhook follows payments that are on their way."""

    gateway: str
    follows_progress: bool


def find_choices(transaction: Transaction, merchant_ids: Iterable[UUID]) -> dict[UUID, MerchantChoice]:
    """Return the choices of those merchants that have made any."""
    rows = transaction.run(_FIND_CHOICES, ids=uuid_array(sorted(set(merchant_ids))))
    return {row[0]: MerchantChoice(*row[1:]) for row in rows}


def find_skipped(transaction: Transaction, operations: Mapping[UUID, UUID]) -> list[SkippedOperation]:
    """Return those that exist among the operations that were not locked; `operations` maps them to their payments."""
    if not operations:
        return []
    ids, payment_ids = uuid_array(list(operations)), uuid_array(list(operations.values()))
    return [SkippedOperation(*row) for row in transaction.run(_FIND_SKIPPED, ids=ids, payment_ids=payment_ids)]


def add(transaction: Transaction, operations: Sequence[Operation]) -> None:
    """Add operations of which nothing was asked yet."""
    if operations:
        transaction.run(_ADD, rows=json_rows(operations))


def find_given_up(transaction: Transaction, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the payments that ended without their charge or authorization."""
    return {row[0] for row in transaction.run(_FIND_GIVEN_UP, ids=uuid_array(payment_ids))} if payment_ids else set()


def _by_id(rows: Iterable[Row]) -> dict[UUID, Operation]:
    return {operation.id: operation for operation in map(operation_from_row, rows)}
