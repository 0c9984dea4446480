"""The queues of the broker, by the names that infra/topology.json gives them."""

from __future__ import annotations

PAYMENTS_QUEUE = "payments.new"
WEBHOOK_QUEUES = ("webhooks", "webhooks.retry")
DEAD_LETTER_QUEUE = "payments.dead"


def payment_queues(shards: int) -> tuple[str, ...]:
    """The queues of new payments: `payments.new`, and beside it `payments.new.0` and so on if there are shards.

    It stays among them, because it holds what was published before there were shards.
    """
    if shards == 1:
        return (PAYMENTS_QUEUE,)
    return (PAYMENTS_QUEUE, *(f"{PAYMENTS_QUEUE}.{number}" for number in range(shards)))


def all_queues(shards: int) -> tuple[str, ...]:
    """Every queue, those that functions work off first."""
    return (*payment_queues(shards), *WEBHOOK_QUEUES, DEAD_LETTER_QUEUE)
