"""Past payments, as screening asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paybridge.core.money import stored_places
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.fraud.domain.rules import ScreenedPayment
from paybridge.fraud.ports import CustomerLook, PaymentCounts

# A payment that is pending has not begun, and one that was canceled may never have.
_KNOWN_CUSTOMERS = Statement("""
    WITH wanted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (place integer, merchant_id uuid, customer text,
            before uuid)
        LIMIT :length::integer
    )
    SELECT wanted.place FROM wanted WHERE EXISTS (
        SELECT FROM payments p
        WHERE p.merchant_id = wanted.merchant_id AND p.customer = wanted.customer AND p.id < wanted.before
          AND p.status NOT IN ('pending', 'canceled'))
""")

# Ids are bounded as well as times, because the indexes and the months are by id. An id is made moments before or after
# `created_at`, so the range of ids is wider.
_CREATED_BETWEEN = """
    (p.merchant_id, p.id) >= (:merchant_id::uuid, uuid7_floor(:since::timestamptz - interval '1 minute'))
    AND (p.merchant_id, p.id) < (:merchant_id::uuid, uuid7_floor(:end::timestamptz + interval '1 minute'))
    AND p.created_at >= :since::timestamptz AND p.created_at < :end::timestamptz
"""

# Bounds of the ids alone would have PostgreSQL read the payments of all merchants.
_COUNT = Statement(f"""
    SELECT count(*) FILTER (WHERE p.created_at < :begin::timestamptz),
           count(*) FILTER (WHERE p.created_at >= :begin::timestamptz)
    FROM payments p WHERE {_CREATED_BETWEEN}
    HAVING count(*) > 0
""")

_READ = Statement(f"""
    SELECT p.id, p.merchant_id, p.created_at, p.amount_minor, p.currency, p.currency_places, p.customer,
           p.payment_method
    FROM payments p
    WHERE {_CREATED_BETWEEN} AND (p.merchant_id, p.id) > (:merchant_id::uuid, :after::uuid) AND p.id > :after::uuid
      AND p.id >= uuid7_floor(:since::timestamptz - interval '1 minute')
      AND p.id < uuid7_floor(:end::timestamptz + interval '1 minute')
    ORDER BY p.merchant_id, p.id
    LIMIT :limit::integer
""")


class StoredHistory:
    """The past payments in the database."""

    def known_customers(self, transaction: Transaction, looks: Sequence[CustomerLook]) -> set[CustomerLook]:
        """Return the questions whose answer is yes."""
        rows = json_rows({"place": place, **look._asdict()} for place, look in enumerate(looks))
        return {looks[row[0]] for row in transaction.run(_KNOWN_CUSTOMERS, rows=rows, length=len(looks))}

    def count(
        self, transaction: Transaction, merchant_id: UUID, since: datetime, begin: datetime, end: datetime
    ) -> PaymentCounts:
        """Count the merchant's payments created between the three moments."""
        rows = transaction.run(_COUNT, merchant_id=merchant_id, since=since, begin=begin, end=end)
        return PaymentCounts(*rows[0]) if rows else PaymentCounts(0, 0)

    def read(
        self, transaction: Transaction, merchant_id: UUID, after: UUID, since: datetime, end: datetime, limit: int
    ) -> list[ScreenedPayment]:
        """Return up to `limit` payments created from `since` to before `end`, with ids above `after`, by their ids."""
        rows = transaction.run(_READ, merchant_id=merchant_id, after=after, since=since, end=end, limit=limit)
        return [
            ScreenedPayment(
                payment_id=id_,
                merchant_id=owner_id,
                at=created_at,
                amount_minor=amount_minor,
                currency=currency,
                currency_places=stored_places(currency) if places is None else places,
                customer=customer,
                payment_method=payment_method,
            )
            for id_, owner_id, created_at, amount_minor, currency, places, customer, payment_method in rows
        ]
