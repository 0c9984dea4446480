"""Notices of gateways: each is stored once, and worked on once its operation is on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.payments.domain.notice import Claim, GatewayNotice, NoticeOutcome
from paybridge.payments.domain.operation import Kind, OperationStatus
from paybridge.payments.store.operation_row import UNSETTLED

_STORE = Statement("""
    INSERT INTO gateway_notices (gateway, id, type, claim, operation_id, received_at, work_at)
    VALUES (:gateway::text, :id::text, :type::text, :claim::text, :operation_id::uuid, :now::timestamptz,
            :now::timestamptz)
    ON CONFLICT (gateway, id) DO NOTHING
    RETURNING 1
""")

_FIND_DUE = Statement("""
    SELECT gateway, id FROM gateway_notices WHERE work_at <= :now::timestamptz ORDER BY work_at LIMIT :limit::integer
""")

# One that another process works on is skipped: it is done then, or due again.
_LOCK = Statement("""
    SELECT n.gateway, n.id, n.claim, n.operation_id, n.received_at
    FROM json_to_recordset(:rows::json) AS wanted (gateway text, id text)
    JOIN gateway_notices n ON n.gateway = wanted.gateway AND n.id = wanted.id
    WHERE n.work_at <= :now::timestamptz
    ORDER BY n.gateway, n.id
    FOR UPDATE OF n SKIP LOCKED
""")

# The operation itself, and what is under way about its payment: some gateways name the payment in every notice.
_FIND_OPERATIONS = Statement(f"""
    WITH wanted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (notice_id text, gateway text, operation_id uuid)
    )
    SELECT wanted.gateway, wanted.notice_id, o.id, o.payment_id, o.merchant_id, o.correlation_id, o.kind, o.status,
           o.number, o.asks
    FROM wanted JOIN operations o ON o.id = wanted.operation_id AND o.gateway = wanted.gateway
  UNION ALL
    SELECT wanted.gateway, wanted.notice_id, o.id, o.payment_id, o.merchant_id, o.correlation_id, o.kind, o.status,
           o.number, o.asks
    FROM wanted JOIN operations o ON o.payment_id = wanted.operation_id AND o.id <> o.payment_id
    WHERE o.gateway = wanted.gateway AND o.status IN {UNSETTLED}
""")

_FIND_ARCHIVED = Statement("""
    SELECT wanted.id, archived_month_of(wanted.id) FROM unnest(:ids::uuid[]) AS wanted (id)
    WHERE archived_month_of(wanted.id) IS NOT NULL
""")

_FINISH = Statement("""
    UPDATE gateway_notices n SET outcome = finished.outcome, work_at = finished.work_at
    FROM json_to_recordset(:rows::json) AS finished (gateway text, id text, outcome text, work_at timestamptz)
    WHERE n.gateway = finished.gateway AND n.id = finished.id
""")

_EXPIRE = Statement("""
    DELETE FROM gateway_notices
    WHERE (gateway, id) IN (
        SELECT gateway, id FROM gateway_notices
        WHERE received_at < :before::timestamptz AND work_at IS NULL
        ORDER BY received_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED)
    RETURNING 1
""")


class NoticeKey(NamedTuple):
    """What makes a notice unique."""

    gateway: str
    id: str


class TakenNotice(NamedTuple):
    """A notice to work on now."""

    gateway: str
    id: str
    claim: Claim
    operation_id: UUID | None
    received_at: datetime

    @property
    def key(self) -> NoticeKey:
        """Return what makes it unique."""
        return NoticeKey(self.gateway, self.id)


class NamedOperation(NamedTuple):
    """An operation that a notice is about, with its newest attempt and number of asks."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    kind: Kind
    status: OperationStatus
    number: int
    asks: int


@dataclass(frozen=True, slots=True)
class FinishedNotice:
    """What a notice led to, and when to work on it again if it waits."""

    gateway: str
    id: str
    outcome: NoticeOutcome
    work_at: datetime | None


def store(database: Database, gateway: str, notice: GatewayNotice, now: datetime) -> bool:
    """Store the notice, to be worked on now; return False if it is there already."""
    return bool(
        database.run(
            _STORE,
            gateway=gateway,
            id=notice.id,
            type=notice.type,
            claim=str(notice.claim),
            operation_id=notice.operation_id,
            now=now,
        )
    )


def find_due(database: Database, now: datetime, limit: int) -> list[NoticeKey]:
    """Return up to `limit` notices that are due, the longest due first."""
    return [NoticeKey(*row) for row in database.run(_FIND_DUE, now=now, limit=limit)]


def lock(transaction: Transaction, keys: Sequence[NoticeKey], now: datetime) -> list[TakenNotice]:
    """Lock those of the notices that are still due, but for those that another transaction holds."""
    rows = transaction.run(_LOCK, rows=json_rows(key._asdict() for key in keys), now=now)
    return [TakenNotice(gateway, id_, Claim(claim), operation_id, at) for gateway, id_, claim, operation_id, at in rows]


def find_operations(transaction: Transaction, taken: Sequence[TakenNotice]) -> list[tuple[NoticeKey, NamedOperation]]:
    """Return each operation that a notice is about: the one it names, and what is under way about its payment."""
    wanted = [
        {"notice_id": notice.id, "gateway": notice.gateway, "operation_id": notice.operation_id}
        for notice in taken
        if notice.operation_id is not None
    ]
    if not wanted:
        return []
    return [
        (
            NoticeKey(gateway, notice_id),
            NamedOperation(id_, payment_id, merchant_id, correlation_id, Kind(kind), OperationStatus(status), *rest),
        )
        for gateway, notice_id, id_, payment_id, merchant_id, correlation_id, kind, status, *rest in transaction.run(
            _FIND_OPERATIONS, rows=json_rows(wanted)
        )
    ]


def find_archived(transaction: Transaction, operation_ids: Iterable[UUID]) -> dict[UUID, date]:
    """Return those of the ids whose month is archived, or on its way, with the month."""
    ids = uuid_array(sorted(set(operation_ids)))
    return {row[0]: row[1] for row in transaction.run(_FIND_ARCHIVED, ids=ids)}


def finish(transaction: Transaction, finished: Sequence[FinishedNotice]) -> None:
    """Record what the notices led to."""
    transaction.run(_FINISH, rows=json_rows(finished))


def expire(database: Database, before: datetime, limit: int) -> int:
    """Delete up to `limit` notices that were received before that time and worked on; return how many."""
    return len(database.run(_EXPIRE, before=before, limit=limit))
