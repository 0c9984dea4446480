"""Route each message by its type to the exchange and key that infra/topology.json declares."""

from __future__ import annotations

from paybridge.core.events import (
    BRIDGE_EVENT,
    DELIVER_WEBHOOK,
    FIND_LATE_CHANGE,
    PAYMENT_CREATED,
    PAYMENT_PROCESSING,
    PROCESS_PAYMENT,
    SEND_NOTIFICATION,
    WEBHOOK_EXHAUSTED,
)

PAYMENTS_EXCHANGE = "payments"
EVENTS_EXCHANGE = "payments.events"
DEAD_LETTER_EXCHANGE = "payments.dlx"
DEAD_LETTER_KEY = "payments.dead"
# It reaches one queue alone, by its name. The exchange of the first publication would send copies to other queues too.
REDRIVE_EXCHANGE = "payments.redrive"
# The row of a replay has this key, which reaches no queue. A relay of an earlier release publishes nothing for it.
REPLAY_KEY = "replay"
NEW_PAYMENTS_KEY = "payments.new"
INTAKE_KEY = "payments.intake"
WEBHOOKS_KEY = "webhooks"
WEBHOOK_RETRIES_KEY = "webhooks.retry"
NOTIFICATIONS_KEY = "notifications"
BRIDGE_KEY = "bridge"

# The payment's id. Where `payments.new` has shards the broker hashes it, so that a payment always has the same shard.
SHARD_HEADER = "payment-id"

_ROUTES: dict[str, tuple[str | None, str]] = {
    PAYMENT_CREATED: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    # No consumer acts on these two: they are recorded for the timeline and never published.
    PAYMENT_PROCESSING: (None, PAYMENT_PROCESSING),
    WEBHOOK_EXHAUSTED: (None, WEBHOOK_EXHAUSTED),
    PROCESS_PAYMENT: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    FIND_LATE_CHANGE: (PAYMENTS_EXCHANGE, NEW_PAYMENTS_KEY),
    DELIVER_WEBHOOK: (PAYMENTS_EXCHANGE, WEBHOOK_RETRIES_KEY),
    SEND_NOTIFICATION: (PAYMENTS_EXCHANGE, NOTIFICATIONS_KEY),
    BRIDGE_EVENT: (PAYMENTS_EXCHANGE, BRIDGE_KEY),
}


def route(event_type: str) -> tuple[str | None, str]:
    """Return exchange and routing key of a message type; no exchange if it is recorded and never published."""
    return _ROUTES.get(event_type, (EVENTS_EXCHANGE, event_type))
