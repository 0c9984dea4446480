"""The webhooks function's part of the composition root."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.webhooks import lanes
from paybridge.webhooks.http import HttpWebhookSender
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.ports import WebhookServices


@cache
def sender() -> HttpWebhookSender:
    """Return the sender of webhooks, with its connections. Use it only in coroutines given to `wiring.run`."""
    return HttpWebhookSender(local_networks=wiring.environment().WEBHOOK_LOCAL_NETWORKS)


def services() -> WebhookServices:
    """Return what delivering a batch needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return WebhookServices(
        database=wiring.database(),
        sender=sender(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        retry_delays_seconds=wiring.environment().WEBHOOK_RETRY_DELAYS_SECONDS,
    )


def lane_of(queue: str) -> Lane:
    """Return the lane that serves the queue, with the deadlines of the settings."""
    settings = wiring.environment()
    return lanes.lane_of(
        queue,
        fast_timeout_seconds=settings.WEBHOOK_FAST_TIMEOUT_SECONDS,
        slow_timeout_seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
    )
