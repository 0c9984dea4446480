"""Events in the outbox, as those who caused them have written them, for tests and the bench of the books."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from paybridge.core.events import Event
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows

_LOG = Statement("""
    INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange, routing_key,
                        body, correlation_id, created_at, published_at)
    SELECT id, payment_id, merchant_id, subject_type, subject_id, sequence, type, 'payments.events', type, body, 'c',
           time, time
    FROM json_to_recordset(:rows::json) AS e (id uuid, payment_id uuid, merchant_id uuid, subject_type text,
        subject_id uuid, sequence integer, type text, body text, time timestamptz)
""")


def log_events(connection: Database | Transaction, events: Iterable[Event]) -> None:
    """Write published events to the outbox."""
    connection.run(_LOG, rows=json_rows(map(_row, events)))


def _row(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "payment_id": event.payment_id,
        "merchant_id": event.merchant_id,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id or event.payment_id,
        "sequence": event.sequence,
        "type": event.type,
        "body": orjson.dumps(event.envelope()).decode(),
        "time": event.time,
    }
