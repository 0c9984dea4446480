"""The queues of the broker, by the names that infra/topology.json gives them."""

from __future__ import annotations

PAYMENTS_QUEUE = "payments.new"
# Where others order payments.
INTAKE_QUEUE = "payments.intake"
WEBHOOK_QUEUES = ("webhooks", "webhooks.retry")
NOTIFICATIONS_QUEUE = "notifications"
LEDGER_QUEUE = "ledger"
BRIDGE_QUEUE = "bridge"
# The function dead-letters takes from these, and no message of theirs is lost.
DEAD_LETTER_QUEUES = ("payments.dead",)
# A dead letter of one of these, or of a shard of it, can be published again.
REDRIVE_QUEUES = (PAYMENTS_QUEUE, INTAKE_QUEUE, *WEBHOOK_QUEUES, NOTIFICATIONS_QUEUE, LEDGER_QUEUE, BRIDGE_QUEUE)


def payment_queues(shards: int) -> tuple[str, ...]:
    """Return the queues of new payments: `payments.new`, and with shards `payments.new.0` and so on as well.

    `payments.new` stays among them, because it holds messages from before there were shards.
    """
    if shards == 1:
        return (PAYMENTS_QUEUE,)
    return (PAYMENTS_QUEUE, *(f"{PAYMENTS_QUEUE}.{number}" for number in range(shards)))


def all_queues(shards: int) -> tuple[str, ...]:
    """Return every queue; those that functions consume come first."""
    events = (*WEBHOOK_QUEUES, NOTIFICATIONS_QUEUE, LEDGER_QUEUE, BRIDGE_QUEUE)
    return (*payment_queues(shards), INTAKE_QUEUE, *events, *DEAD_LETTER_QUEUES)
