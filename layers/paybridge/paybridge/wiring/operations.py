"""The part of the composition root that jobs and deployments need."""

from __future__ import annotations

from paybridge import wiring
from paybridge.outbox.queues import all_queues


def queues() -> tuple[str, ...]:
    """Return every queue of the broker, with as many shards as there are."""
    return all_queues(wiring.environment().PAYMENT_SHARDS)


def stalled_after_seconds() -> float:
    """Return the time after which an open payment counts as stalled."""
    return wiring.environment().STUCK_AFTER_SECONDS


def api_version_arn() -> str:
    """Return the ARN of the API version that is about to take traffic."""
    return wiring.environment().API_VERSION_ARN
