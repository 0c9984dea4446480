"""The events that are on the bus."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.core.events import BRIDGE_EVENT
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.outbox.published import AUDITED, PUBLISHED

# What was published before the first record was sent by a bridge that kept none.
_RECORD = Statement("""
    WITH began AS (
        INSERT INTO bridge.recording (began_at) SELECT now() WHERE NOT EXISTS (SELECT FROM bridge.recording)
        ON CONFLICT DO NOTHING
    )
    INSERT INTO bridge.sent_events (event_id)
    SELECT id FROM unnest(:ids::uuid[]) AS id
    -- A replay may send an event of a month whose partition was dropped.
    WHERE NOT EXISTS (SELECT FROM bridge.recording WHERE id < kept_from)
    ON CONFLICT DO NOTHING
""")

# `NOT IN` is hashed whatever the planner expects, and an anti-join may not be.
_UNSENT = Statement(f"""
    SELECT {AUDITED} FROM outbox o
    WHERE {PUBLISHED}
      AND o.published_at >= (SELECT began_at FROM bridge.recording)
      AND o.id >= (SELECT kept_from FROM bridge.recording)
      AND o.id NOT IN (
          SELECT s.event_id FROM bridge.sent_events s
          WHERE s.event_id > :after::uuid AND s.event_id <= :last::uuid)
    ORDER BY o.id
""")

# A command names its event in its body, and has the event's subject.
_WAITING = Statement(f"""
    SELECT DISTINCT event.id FROM unnest(:ids::uuid[], :subject_ids::uuid[]) AS event (id, subject_id)
    JOIN outbox c ON c.subject_id = event.subject_id AND c.payment_id IS NULL AND c.type = '{BRIDGE_EVENT}'
    WHERE position(event.id::text IN c.body) > 0
      AND (c.published_at IS NULL
           OR c.published_at >= now() - make_interval(secs => :grace_seconds::double precision))
""")


def record_sent(transaction: Transaction, event_ids: Iterable[UUID]) -> None:
    """Record that the events are on the bus. Events that were recorded before stay as they are."""
    # Two batches that have the same events insert them in the same order.
    transaction.run(_RECORD, ids=uuid_array(sorted(event_ids)))


def find_unsent(
    transaction: Transaction, ids: tuple[UUID, UUID], grace_seconds: float, taken: str
) -> list[tuple[UUID, str, UUID, str, UUID]]:
    """Return event, type, merchant and subject of each event above and up to `ids` that is not recorded.

    `taken` is the expression of the types that the queue gets.
    """
    rows = transaction.run(_UNSENT, after=ids[0], last=ids[1], grace_seconds=grace_seconds, taken=taken)
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def find_waiting(transaction: Transaction, events: dict[UUID, UUID], grace_seconds: float) -> set[UUID]:
    """Return those of the events, each with its subject's id, for which a command to send them waits or was published.

    One that was published longer ago than the grace should have been worked on.
    """
    if not events:
        return set()
    rows = transaction.run(
        _WAITING, ids=uuid_array(events), subject_ids=uuid_array(events.values()), grace_seconds=grace_seconds
    )
    return {row[0] for row in rows}
