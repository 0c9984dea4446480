"""The audits of the nights, and what they have found."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson

from paybridge.audit.domain import AuditOrder, AuditPage, AuditPosition, NightlyAudit, parse_position
from paybridge.core.gaps import gap_from
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row

_COLUMNS = """
    id, begin_at, end_at, grace_seconds, position, checked, payments, others, to_json(gaps), created_at, finished_at
"""

_FIND_NEWEST = Statement(f"SELECT {_COLUMNS} FROM outbox_audits ORDER BY id DESC LIMIT 1")
_FIND_LAST = Statement(f"""
    SELECT {_COLUMNS} FROM outbox_audits WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1
""")
_FIND_COMPLETE_END = Statement("""
    SELECT end_at FROM outbox_audits WHERE finished_at IS NOT NULL AND position IS NULL ORDER BY id DESC LIMIT 1
""")
_ADD = Statement("""
    WITH old AS (DELETE FROM outbox_audits WHERE created_at < :delete_before::timestamptz)
    INSERT INTO outbox_audits (id, begin_at, end_at, grace_seconds, position, created_at)
    VALUES (:id::uuid, :begin_at::timestamptz, :end_at::timestamptz, :grace_seconds::double precision, :position::text,
            :created_at::timestamptz)
    ON CONFLICT DO NOTHING
""")
# Of two turns at the same position one is saved.
_SAVE = Statement("""
    UPDATE outbox_audits
    SET position = :position::text, checked = :checked::bigint, payments = :payments::bigint, others = :others::bigint,
        gaps = :gaps::json, finished_at = :finished_at::timestamptz
    WHERE id = :id::uuid AND position = :before::text AND finished_at IS NULL
    RETURNING id
""")


def find_newest(database: Database) -> NightlyAudit | None:
    """Return the newest audit, whether it has ended or not; None if there is none."""
    rows = database.run(_FIND_NEWEST)
    return _audit_of(rows[0]) if rows else None


def find_last(database: Database) -> NightlyAudit | None:
    """Return the newest audit that has ended, None if none has."""
    rows = database.run(_FIND_LAST)
    return _audit_of(rows[0]) if rows else None


def find_complete_end(database: Database) -> datetime | None:
    """Return the end of the range of the newest audit that went through all of it, None if none did."""
    rows = database.run(_FIND_COMPLETE_END)
    return rows[0][0] if rows else None


def add(database: Database, audit: NightlyAudit, delete_before: datetime) -> None:
    """Store an audit that begins, unless one runs already. Delete those from before `delete_before`."""
    order = audit.page.order
    database.run(
        _ADD,
        id=audit.id,
        begin_at=order.begin_at,
        end_at=order.end_at,
        grace_seconds=order.grace_seconds,
        position=str(audit.page.position),
        created_at=audit.created_at,
        delete_before=delete_before,
    )


def save(database: Database, audit: NightlyAudit, before: AuditPosition) -> bool:
    """Store how far the audit is now, and return whether it was at the position `before` until now."""
    page = audit.page
    return bool(
        database.run(
            _SAVE,
            id=audit.id,
            position=None if page.position is None else str(page.position),
            checked=page.checked,
            payments=page.payments,
            others=page.others,
            gaps=orjson.dumps([gap.view() for gap in page.gaps]).decode(),
            finished_at=audit.finished_at,
            before=str(before),
        )
    )


def _audit_of(row: Row) -> NightlyAudit:
    id_, begin_at, end_at, grace_seconds, position, checked, payments, others, gaps, created_at, finished_at = row
    page = AuditPage(
        order=AuditOrder(begin_at=begin_at, end_at=end_at, grace_seconds=grace_seconds),
        position=None if position is None else parse_position(position),
        checked=checked,
        payments=payments,
        others=others,
        gaps=tuple(map(gap_from, gaps)),
    )
    return NightlyAudit(UUID(str(id_)), page, created_at, finished_at)
