"""The workers, and the queues that each takes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.core.errors import PaybridgeError
from paybridge.outbox.queues import (
    BRIDGE_QUEUE,
    DEAD_LETTER_QUEUES,
    INTAKE_QUEUE,
    LEDGER_QUEUE,
    NOTIFICATIONS_QUEUE,
    WEBHOOK_QUEUES,
    payment_queues,
)

RELAY = "relay"
CONSUMER = "consumer"
INTAKE = "intake"
WEBHOOKS = "webhooks"
WEBHOOKS_RETRY = "webhooks-retry"
NOTIFIER = "notifier"
LEDGER = "ledger"
BRIDGE = "bridge"
DEAD_LETTERS = "dead-letters"
NAMES = (RELAY, CONSUMER, INTAKE, WEBHOOKS, WEBHOOKS_RETRY, NOTIFIER, LEDGER, BRIDGE, DEAD_LETTERS)


class AssignmentInvalid(PaybridgeError):
    """A queue was given that this worker does not consume. The message names those it does."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one process does; the relay has no queues."""

    worker: str
    queues: tuple[str, ...] = ()


def assignment(worker: str, chosen_queues: Sequence[str], shards: int) -> Assignment:
    """Give the worker its queues, or the chosen ones among them; `shards` is the number of shards of `payments.new`.

    Raises AssignmentInvalid.
    """
    queues = _queues(worker, shards)
    unknown = sorted(set(chosen_queues) - set(queues))
    if unknown:
        what = f"it takes from {', '.join(queues)}" if queues else "it takes from no queue"
        raise AssignmentInvalid(f"The worker {worker} does not take from {', '.join(unknown)}: {what}.")
    return Assignment(worker, tuple(chosen_queues) or queues)


def _queues(worker: str, shards: int) -> tuple[str, ...]:
    if worker == CONSUMER:
        # A payment takes as long as the gateway, whatever its shard: one process takes from all of them.
        return payment_queues(shards)
    # Each lane of the webhooks has a process, so that slow receivers never delay the others.
    fast_lane, slow_lane = WEBHOOK_QUEUES
    taken = {
        INTAKE: (INTAKE_QUEUE,),
        WEBHOOKS: (fast_lane,),
        WEBHOOKS_RETRY: (slow_lane,),
        NOTIFIER: (NOTIFICATIONS_QUEUE,),
        LEDGER: (LEDGER_QUEUE,),
        BRIDGE: (BRIDGE_QUEUE,),
        DEAD_LETTERS: DEAD_LETTER_QUEUES,
    }
    return taken.get(worker, ())
