"""The tables of the schema `analytics`; the migrations own them."""

from __future__ import annotations

from paybridge.database.clauses import table_of

SCHEMA = "analytics"
_KEY = {"merchant_id": "uuid", "day": "date", "currency": "text"}
KEY = tuple(_KEY)

cursors = table_of(
    "event_cursors", {"merchant_id": "uuid", "xid": "xid8", "event_id": "uuid", "events": "bigint"}, schema=SCHEMA
)
payments = table_of(
    "counted_payments",
    {
        **_KEY,
        "payment_id": "uuid",
        "created_at": "timestamptz",
        "settled_at": "timestamptz",
        "outcome": "text",
        "amount": "numeric",
        "captured": "numeric",
        "sequence": "integer",
    },
    schema=SCHEMA,
)
refunds = table_of(
    "counted_refunds",
    {**_KEY, "refund_id": "uuid", "outcome": "text", "amount": "numeric", "sequence": "integer"},
    schema=SCHEMA,
)
deliveries = table_of(
    "counted_deliveries",
    {**_KEY, "delivery_id": "uuid", "is_delivered": "boolean", "ended_at": "timestamptz"},
    schema=SCHEMA,
)
dirty_days = table_of("dirty_days", {**_KEY, "marked_at": "timestamptz"}, schema=SCHEMA)
closed_months = table_of(
    "closed_months", {"month": "date", "closed_at": "timestamptz", "emptied_at": "timestamptz"}, schema=SCHEMA
)
late_facts = table_of("late_facts", {**_KEY, "facts": "bigint", "last_at": "timestamptz"}, schema=SCHEMA)

COUNTS = (
    "payments", "unsettled", "authorized", "succeeded", "failed", "canceled", "settled", "refunds", "refunds_open",
    "refunds_failed", "webhooks_delivered", "webhooks_failed",
)  # fmt: skip
AMOUNTS = ("amount", "captured", "refunded")
days = table_of(
    "days",
    {
        **_KEY,
        **dict.fromkeys(COUNTS, "bigint"),
        **dict.fromkeys(AMOUNTS, "numeric"),
        "settling_us": "numeric",
        "settling_p50_us": "bigint",
        "settling_p95_us": "bigint",
        "computed_at": "timestamptz",
        "seconds_spent": "double precision",
    },
    schema=SCHEMA,
)
