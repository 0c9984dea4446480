"""Which processes a worker consists of, and what each of them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.core.errors import PaybridgeError
from paybridge.outbox.queues import WEBHOOK_QUEUES, payment_queues

RELAY = "relay"
CONSUMER = "consumer"
WEBHOOKS = "webhooks"
ALL = "all"
NAMES = (RELAY, CONSUMER, WEBHOOKS, ALL)


class AssignmentInvalid(PaybridgeError):
    """A worker was asked for what it does not do; the message says what it does."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one process does; the relay has no queues."""

    worker: str
    queues: tuple[str, ...] = ()


def assignments(name: str, chosen_queues: Sequence[str], shards: int) -> list[Assignment]:
    """The processes of the worker `name`; `shards` is the number of the shards of `payments.new`.

    `chosen_queues` are for one process, instead of those that the worker has by itself. Raises AssignmentInvalid.
    """
    own = {
        RELAY: [Assignment(RELAY)],
        # A payment takes as long as the gateway, on whatever shard it is: one process takes from all of them.
        CONSUMER: [Assignment(CONSUMER, payment_queues(shards))],
        # The lane of slow receivers must never delay the other, so each has a process.
        WEBHOOKS: [Assignment(WEBHOOKS, (queue,)) for queue in WEBHOOK_QUEUES],
    }
    if not chosen_queues:
        return [one for each in own.values() for one in each] if name == ALL else own[name]
    allowed = sorted({queue for one in own.get(name, []) for queue in one.queues})
    strange = sorted(set(chosen_queues) - set(allowed))
    if strange:
        what = f"it takes from {', '.join(allowed)}" if allowed else "it takes from no queue of your choice"
        raise AssignmentInvalid(f"The worker {name} does not take from {', '.join(strange)}: {what}.")
    return [Assignment(name, tuple(chosen_queues))]
