"""What we know of operations, as a comparison with the gateway's statement wants it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.core.ids import followers_floor
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.database.wire import Row
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.store.operation_row import UNSETTLED

# A charge that was given up and came to light is a declined operation, and what the gateway took is recorded apart.
# The void of a hold that was over has the authorization's own name at the gateway.
_RECORDED = """
    o.id, o.payment_id, o.merchant_id, o.gateway, o.kind, o.status, o.cause,
    CASE WHEN r.payment_id IS NOT NULL THEN r.amount_minor WHEN o.status = 'partial' THEN o.approved_minor
         ELSE o.amount_minor END,
    coalesce(r.currency, p.currency), coalesce(r.gateway_id, o.gateway_id), o.created_at,
    coalesce(r.found_at, o.finished_at, o.updated_at), r.payment_id IS NOT NULL,
    o.kind = 'void' AND coalesce(o.gateway_id = f.gateway_id, false)
"""
_BESIDE = """
    JOIN payments p ON p.id = o.payment_id
    LEFT JOIN operations f ON f.id = o.payment_id AND o.kind = 'void'
    LEFT JOIN charges_to_return r
        ON r.payment_id = o.id AND o.status = 'declined' AND r.reason = 'charged_late'
"""

_FIND = Statement(f"""
    SELECT {_RECORDED} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN operations o ON o.id = wanted.id {_BESIDE}
""")

# Of an operation that is newer than its payment, the payment alone may have left.
_FIND_ARCHIVED = Statement("""
    SELECT * FROM (
        SELECT wanted.id, coalesce(archived_month_of(wanted.id), archived_month_of(o.payment_id)) AS month
        FROM unnest(:ids::uuid[]) AS wanted (id) LEFT JOIN operations o ON o.id = wanted.id) AS found
    WHERE found.month IS NOT NULL
""")

_FIND_REFUNDS = Statement(f"""
    SELECT {_RECORDED} FROM unnest(:ids::uuid[]) AS wanted (id)
    JOIN operations o ON o.payment_id = wanted.id AND o.id <> o.payment_id AND o.kind IN ('refund', 'refund_reversal')
         AND o.id > :floor::uuid
    {_BESIDE}
""")

# Every operation of the range of ids is read once, and those that are about the period returned: what ended in it, and
# what became late in it. The last id read tells where to go on.
_SCAN = Statement(f"""
    WITH scanned AS MATERIALIZED (
        SELECT o.id, o.gateway, o.status, coalesce(o.finished_at, o.updated_at) AS ended_at, o.created_at
        FROM operations o WHERE o.id > :after::uuid AND o.id < uuid7_floor(:end::timestamptz + interval '1 minute')
        ORDER BY o.id LIMIT :limit::integer
    )
    SELECT (SELECT id FROM scanned ORDER BY id DESC LIMIT 1),
           array(SELECT s.id FROM scanned s
                 WHERE s.gateway = :gateway::text AND CASE
                     WHEN s.status IN {UNSETTLED} THEN
                         s.created_at >= :begin::timestamptz - make_interval(secs => :late_seconds::double precision)
                         AND s.created_at < :end::timestamptz - make_interval(secs => :late_seconds::double precision)
                     WHEN s.status = 'declined' THEN EXISTS (
                         SELECT FROM charges_to_return r WHERE r.payment_id = s.id AND r.reason = 'charged_late'
                           AND r.found_at >= :begin::timestamptz AND r.found_at < :end::timestamptz)
                     ELSE s.ended_at >= :begin::timestamptz AND s.ended_at < :end::timestamptz END
                 ORDER BY s.id)::text[]
""")

_FLOOR = Statement("SELECT uuid7_floor(:moment::timestamptz)")


class ScannedIds(NamedTuple):
    """Operations about a period among those that were read, and the id of the last one read; None at the end."""

    ids: list[UUID]
    last_id: UUID | None


def find(transaction: Transaction, ids: Iterable[UUID]) -> list[OurOperation]:
    """Return those of the operations that exist."""
    return [_from_row(row) for row in transaction.run(_FIND, ids=uuid_array(ids))]


def find_archived(transaction: Transaction, ids: Iterable[UUID]) -> dict[UUID, date]:
    """Return those of the ids whose operation is archived, on its way there, or never was, with the archived month."""
    wanted = sorted(ids)
    found = transaction.run(_FIND_ARCHIVED, ids=uuid_array(wanted)) if wanted else []
    return {row[0]: row[1] for row in found}


def find_refunds(transaction: Transaction, payment_ids: Iterable[UUID]) -> list[OurOperation]:
    """Return the refunds of these payments and their reversals."""
    ids = sorted(set(payment_ids))
    found = transaction.run(_FIND_REFUNDS, ids=uuid_array(ids), floor=followers_floor(ids))
    return [_from_row(row) for row in found]


def scan(
    transaction: Transaction,
    gateway: str,
    after: UUID,
    begin: datetime,
    end: datetime,
    late_seconds: float,
    limit: int,
) -> ScannedIds:
    """Read `limit` operations above an id; return those at the gateway that ended or became late in the period."""
    ((last_id, ids),) = transaction.run(
        _SCAN, gateway=gateway, after=after, begin=begin, end=end, late_seconds=late_seconds, limit=limit
    )
    return ScannedIds([UUID(id_) for id_ in ids], last_id)


def first_id(transaction: Transaction, moment: datetime) -> UUID:
    """Return an id below that of every operation made from this moment on."""
    id_: UUID = transaction.run(_FLOOR, moment=moment)[0][0]
    return id_


def _from_row(row: Row) -> OurOperation:
    (id_, payment_id, merchant_id, gateway, kind, status, cause, amount, currency, gateway_id, created, ended, late,
     looked) = row  # fmt: skip
    our_status = _status(status, is_charged_late=late)
    return OurOperation(
        id=id_,
        key=id_,
        payment_id=payment_id,
        merchant_id=merchant_id,
        gateway=gateway,
        kind=Kind(kind),
        status=our_status,
        status_text="charged_late" if late else status,
        amount_minor=amount,
        currency=currency,
        gateway_id=gateway_id,
        created_at=created,
        ended_at=None if our_status is OurStatus.UNSETTLED else ended,
        is_by_look_up=looked,
        is_the_gateways_own=cause == "gateway",
    )


def _status(status: str, *, is_charged_late: bool) -> OurStatus:
    if is_charged_late or status in {"succeeded", "partial", "reversed"}:
        return OurStatus.DONE
    return OurStatus.FAILED if status == "declined" else OurStatus.UNSETTLED
