"""The table `payments` for queries by SQLAlchemy Core."""

from __future__ import annotations

from paybridge.database.clauses import table_of
from paybridge.payments.store.row import COLUMN_TYPES

payments = table_of("payments", {**COLUMN_TYPES, "is_unsettled": "boolean"})
# What `payment_from_row` reads, in its order.
PAYMENT_COLUMNS = tuple(payments.c[name] for name in COLUMN_TYPES)
