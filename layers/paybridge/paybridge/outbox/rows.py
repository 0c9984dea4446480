"""Rows of the outbox for a statement that also writes what they report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import orjson

from paybridge.core.events import PAYMENT_PROCESSING, PROCESS_PAYMENT, Event
from paybridge.database.counters import counts_of
from paybridge.outbox.routes import route

# Each payment has one, and no metric is about it. The other types are counted, under their names.
UNCOUNTED_TYPES = frozenset({PAYMENT_PROCESSING})

# For use in a statement that has the parameter `rows`. It ends with FROM, so a join may follow.
INSERT_ROWS = """
    INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange, routing_key,
                        body, correlation_id, created_at, available_at)
    SELECT new.id, new.payment_id, new.merchant_id, new.subject_type, new.subject_id, new.sequence, new.type,
           new.exchange, new.routing_key, new.body, new.correlation_id, new.time,
           now() + make_interval(secs => new.delay_seconds)
    FROM json_to_recordset(:rows::json) AS new (id uuid, payment_id uuid, merchant_id uuid, subject_type text,
        subject_id uuid, sequence integer, type text, exchange text, routing_key text, body text, correlation_id text,
        time timestamptz, delay_seconds double precision)
"""


def row_of(event: Event, delay_seconds: float = 0.0, routing_key: str | None = None) -> dict[str, object]:
    """Return the row of an event that is due after the delay. `routing_key` replaces that of its type."""
    exchange, key_of_type = route(event.type)
    return {
        "id": event.id,
        "payment_id": event.payment_id,
        "merchant_id": event.merchant_id,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id or event.payment_id,
        "sequence": event.sequence,
        "type": event.type,
        "exchange": exchange,
        "routing_key": routing_key or key_of_type,
        "body": orjson.dumps(event.envelope()).decode(),
        "correlation_id": event.correlation_id,
        "time": event.time,
        "delay_seconds": delay_seconds,
    }


def counts_of_events(events: Iterable[Event]) -> str:
    """Return the parameter `counts` of `counters.ADD_COUNTS`: how many events of each type are counted."""
    return counts_of(Counter(event.type for event in events if _is_counted(event)))


def _is_counted(event: Event) -> bool:
    # The commands to ask the gateway are counted as retries, so the one that begins an operation is not.
    if event.type == PROCESS_PAYMENT:
        return (event.data.get("attempt"), event.data.get("ask")) != (1, 0)
    return event.type not in UNCOUNTED_TYPES
