"""The webhooks function's part of the composition root."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.outbox.queues import WEBHOOK_QUEUES
from paybridge.webhooks.delivering import Delivering, Lane, fast_lane, slow_lane
from paybridge.webhooks.http import HttpWebhookSender


@cache
def sender() -> HttpWebhookSender:
    """Return the sender of webhooks, with its connections. Use it only in coroutines given to `wiring.run`."""
    return HttpWebhookSender(local_networks=wiring.environment().WEBHOOK_LOCAL_NETWORKS)


def delivering() -> Delivering:
    """Return what delivering a batch needs. Connects to nothing. Raises SettingsInvalid."""
    return Delivering(
        database=wiring.database(),
        sender=sender(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        retry_delays_seconds=wiring.environment().WEBHOOK_RETRY_DELAYS_SECONDS,
    )


def lane_of(queue: str) -> Lane:
    """Return the lane of a queue: `webhooks` is the fast one, `webhooks.retry` the slow one."""
    settings = wiring.environment()
    if queue == WEBHOOK_QUEUES[0]:
        return fast_lane(settings.WEBHOOK_FAST_TIMEOUT_SECONDS)
    return slow_lane(settings.WEBHOOK_TIMEOUT_SECONDS, prompt_seconds=settings.WEBHOOK_FAST_TIMEOUT_SECONDS)
