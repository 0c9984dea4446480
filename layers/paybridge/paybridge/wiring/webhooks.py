"""The part of the composition root that only the webhooks function needs."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.webhooks.delivering import Delivering, Lane, fast_lane, slow_lane
from paybridge.webhooks.http import HttpWebhookSender


@cache
def sender() -> HttpWebhookSender:
    """The sender of webhooks, with its pool of connections; use it only in coroutines given to `wiring.run`."""
    return HttpWebhookSender(local_networks=wiring.webhook_configuration().local_networks)


def delivering() -> Delivering:
    """All that delivering needs."""
    return Delivering(
        database=wiring.database(),
        sender=sender(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        retry_delays_seconds=wiring.webhook_configuration().retry_delays_seconds,
    )


def lane_of(queue: str) -> Lane:
    """The lane that a queue is: `webhooks` the fast one, `webhooks.retry` the slow one."""
    configuration = wiring.webhook_configuration()
    if queue == "webhooks":
        return fast_lane(configuration.fast_timeout_seconds)
    return slow_lane(configuration.timeout_seconds, prompt_seconds=configuration.fast_timeout_seconds)
