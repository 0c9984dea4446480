"""List the payments that wait for a review, for those who answer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.database.database import Database
from paybridge.fraud import reviews as fraud_reviews
from paybridge.fraud.domain.reviews import Decision
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.store import reviews

_SCOPE = "reviews"
_NO_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class PaymentInReview:
    """A payment and the decision that holds it back; None if the decision is archived."""

    payment: Payment
    decision: Decision | None

    def view(self) -> dict[str, Any]:
        """Return both as operators see them, JSON-ready."""
        review = None if self.decision is None else self.decision.view()
        return {**payment_view(self.payment), "merchant_id": str(self.payment.merchant_id), "review": review}


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Payments in review, the oldest first, and the cursor of the next page; None on the last page."""

    reviews: list[PaymentInReview]
    next_cursor: str | None


def list_reviews(database: Database, *, cursor: str | None, limit: int) -> ReviewPage:
    """Return at most `limit` payments in review after the cursor, the oldest first, which expire first.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    after = decode_cursor(cursor, _SCOPE) if cursor is not None else _NO_ID
    found = reviews.in_review(database, after, limit + 1)
    payments = found[:limit]
    decisions = fraud_reviews.find(database, [payment.id for payment in payments])
    page = [PaymentInReview(payment, decisions.get(payment.id)) for payment in payments]
    return ReviewPage(page, encode_cursor(payments[-1].id, _SCOPE) if len(found) > limit else None)


def shorten(page: ReviewPage, count: int) -> ReviewPage:
    """Return the first `count` payments of the page, with the cursor that continues after them."""
    if count >= len(page.reviews):
        return page
    shown = page.reviews[:count]
    return ReviewPage(shown, encode_cursor(shown[-1].payment.id, _SCOPE))
