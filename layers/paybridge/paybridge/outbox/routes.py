"""Where each message goes: exchange and routing key by its type, as infra/topology.json declares them."""

from __future__ import annotations

from paybridge.core.events import (
    DELIVER_WEBHOOK,
    PAYMENT_CREATED,
    PAYMENT_PROCESSING,
    PROCESS_PAYMENT,
    WEBHOOK_EXHAUSTED,
)

PAYMENTS_EXCHANGE = "payments"
EVENTS_EXCHANGE = "payments.events"
DEAD_LETTER_EXCHANGE = "payments.dlx"
DEAD_LETTER_KEY = "payments.dead"
NEW_PAYMENTS_KEY = "payments.new"
WEBHOOK_RETRIES_KEY = "webhooks.retry"

# With the payment's id: where `payments.new` has shards, the broker hashes it, so that a payment has one shard.
SHARD_HEADER = "payment-id"

_ROUTES: dict[str, tuple[str | None, str]] = {
    PAYMENT_CREATED: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    # Nobody acts on these two: they are recorded for the timeline and cost the broker nothing.
    PAYMENT_PROCESSING: (None, PAYMENT_PROCESSING),
    WEBHOOK_EXHAUSTED: (None, WEBHOOK_EXHAUSTED),
    PROCESS_PAYMENT: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    DELIVER_WEBHOOK: (PAYMENTS_EXCHANGE, WEBHOOK_RETRIES_KEY),
}


def route(event_type: str) -> tuple[str | None, str]:
    """Exchange and routing key of a message type; the exchange is None for what is recorded and not published."""
    return _ROUTES.get(event_type, (EVENTS_EXCHANGE, event_type))
