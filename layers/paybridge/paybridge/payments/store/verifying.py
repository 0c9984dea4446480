"""Read payments beside the last of their events, and operations for the record of a gateway."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT
from paybridge.database.database import Database, Statement
from paybridge.database.parameters import uuid_array

# Each payment and its event are of one moment, because one statement reads them.
_READ = Statement(f"""
    SELECT p.id, p.status, p.captured_minor, p.refunded_minor, p.currency_places, p.last_sequence, last.sequence,
           last.body
    FROM (
        SELECT * FROM payments WHERE id < :before::uuid ORDER BY id DESC LIMIT :limit::integer
    ) AS p
    LEFT JOIN LATERAL (
        SELECT o.sequence, o.body FROM outbox o
        WHERE o.payment_id = p.id AND o.sequence IS NOT NULL
          AND coalesce(o.subject_type, '{PAYMENT_SUBJECT}') = '{PAYMENT_SUBJECT}'
        ORDER BY o.sequence DESC LIMIT 1
    ) AS last ON true
    ORDER BY p.id DESC
""")


class StoredBesideEvent(NamedTuple):
    """What a payment's row says, and its last event, whose sequence and body are None if there is none any more."""

    id: UUID
    status: str
    captured_minor: int
    refunded_minor: int
    places: int
    last_sequence: int
    event_sequence: int | None
    event_body: str | None


def read_newest(database: Database, before: UUID, limit: int) -> list[StoredBesideEvent]:
    """Return payments with ids below `before`, newest first."""
    return [StoredBesideEvent(*row) for row in database.run(_READ, before=before, limit=limit)]


_READ_SUCCEEDED = Statement("""
    SELECT id, kind, status, amount_minor, finished_at FROM operations
    WHERE id > :after::uuid AND gateway = :gateway::text AND status IN ('succeeded', 'partial', 'reversed')
      AND kind <> 'refund_reversal'
    ORDER BY id LIMIT :limit::integer
""")

_FIND_KNOWN = Statement("SELECT id FROM operations WHERE id = ANY (:ids::uuid[])")


class SucceededOperation(NamedTuple):
    """An operation that the gateway has carried out, as we know it."""

    id: UUID
    kind: str
    status: str
    amount_minor: int
    finished_at: datetime | None


def read_succeeded(database: Database, gateway: str, after: UUID, limit: int) -> list[SucceededOperation]:
    """Return the next operations that this gateway has carried out."""
    return [
        SucceededOperation(*row) for row in database.run(_READ_SUCCEEDED, gateway=gateway, after=after, limit=limit)
    ]


def find_known(database: Database, ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the ids that are operations."""
    return {row[0] for row in database.run(_FIND_KNOWN, ids=uuid_array(ids))}
