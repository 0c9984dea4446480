"""Reserve in the payment what a refund takes, with everything that goes with the refund."""

from __future__ import annotations

from paybridge.database.database import Database
from paybridge.payments.store.ordered_operations import Order, ordering, write

# A refund of the rest takes exactly what is left at that moment: it was worked out from the row as it was read.
_RESERVE = ordering(
    "refunding_minor = p.refunding_minor + :amount_minor::bigint",
    """
        p.status IN ('succeeded', 'partially_refunded')
        AND p.refunded_minor + p.refunding_minor + :amount_minor::bigint <= p.captured_minor
        AND (NOT :takes_the_rest::boolean
             OR p.refunded_minor + p.refunding_minor + :amount_minor::bigint = p.captured_minor)
    """,
)


def reserve(database: Database, order: Order, *, takes_the_rest: bool) -> bool:
    """Reserve the amount of the refund if it is left; see `ordered_operations.write`."""
    return write(database, _RESERVE, order, takes_the_rest=takes_the_rest)
