"""Follow one payment by its events until it is final."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.feed import store
from paybridge.feed.domain import FeedFilters, FeedPage, Position, is_final
from paybridge.feed.read_events import reader
from paybridge.payments.read import read_payment
from paybridge.payments.wait import WaitedFor, Waiter


@dataclass(frozen=True, slots=True)
class PaymentFeed:
    """The next events of a payment. `is_over`: the payment is final, and there is none after them."""

    page: FeedPage
    is_over: bool


async def follow_payment(
    waiter: Waiter,
    merchant_id: UUID | None,
    payment_id: UUID,
    *,
    after: Position,
    limit: int,
    wait_seconds: float,
) -> WaitedFor[PaymentFeed]:
    """Return the payment's next events once there are any or it is final, or none after `wait_seconds`.

    `found` is None if the merchant has no such payment. Raises DatabaseUnavailable.
    """
    filters = FeedFilters(payment_id=payment_id)
    read_page = reader(waiter.database, merchant_id, filters, after, limit)

    def read() -> PaymentFeed | None:
        # The payment comes first: an event that is written in between is found by the look at its events.
        payment = read_payment(waiter.database, merchant_id, payment_id)
        if payment is None:
            return None
        page = read_page()
        is_over = is_final(payment) and not store.has_later(waiter.database, payment_id, filters.types, page.end)
        return PaymentFeed(page, is_over)

    return await waiter.until(lambda feed: bool(feed.page.events) or feed.is_over, read, wait_seconds)
