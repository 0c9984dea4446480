"""The table `outbox` for queries by SQLAlchemy Core."""

from __future__ import annotations

from paybridge.database.clauses import table_of

outbox = table_of(
    "outbox",
    {
        "payment_id": "uuid",
        "type": "text",
        "exchange": "text",
        "routing_key": "text",
        "body": "text",
        "available_at": "timestamptz",
        "published_at": "timestamptz",
        "attempts": "integer",
        "last_error": "text",
    },
)
