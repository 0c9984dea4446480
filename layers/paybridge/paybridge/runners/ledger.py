"""Post a batch of the queue `ledger` to the books."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.events import INTERNAL_TYPES, PUBLIC_TYPES
from paybridge.ledger.domain.rules import POSTED_TYPES
from paybridge.ledger.post import PostReport, ensure_postable, post_events
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.observability.stack import stack_frames
from paybridge.runners.batch import for_each_event, run_batch
from paybridge.wiring import broker

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch, Received

# Every fact: a replay may bring those that move no money as well.
HANDLED_TYPES = frozenset({*PUBLIC_TYPES, *INTERNAL_TYPES, *POSTED_TYPES})

# The largest batch to take. The function's mapping in template.yaml has the same number. One statement posts it, which
# changes the accounts of the house once.
BATCH_MESSAGES = 1000

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Post the events of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    return await run_batch(batch, _post, database_patience_seconds)


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("ledger")
    wiring.database()


async def close() -> None:
    """Do nothing: posting keeps no connection but the database's."""


async def _post(batch: Batch) -> dict[str, int]:
    received: list[Received] = []

    def sort_in(one: Received) -> None:
        ensure_postable(one.event)
        received.append(one)

    for_each_event(batch, sort_in)
    # In a thread, so that a worker's connection to the broker keeps its heartbeat.
    report = await asyncio.to_thread(post_events, wiring.database(), [one.event for one in received])
    _dead_letter_refused(batch, received, report)
    locked = {event.id for event in report.locked}
    if handed_back := [one for one in received if one.event.id in locked]:
        await broker.hand_back(handed_back)
    counts = {"posted": report.posted, "repeated": report.repeated, "locked": len(handed_back)}
    log.info("posted to the books", extra={"messages": len(received), **counts})
    if report.posted:
        values = {Metric.JOURNALS_POSTED: report.posted, Metric.TRANSFERS_POSTED: report.transfers}
        emit(log, wiring.environment_name(), values)
    return counts


def _dead_letter_refused(batch: Batch, received: list[Received], report: PostReport) -> None:
    """Move the events that cannot be posted to the batch's poison."""
    refused = {event.id: error for event, error in report.refused}
    for one in received:
        if error := refused.get(one.event.id):
            log.error("cannot post an event", extra={"event_id": str(one.event.id), "stack": stack_frames(error)})
            batch.poison.append(one.poison(type(error).__name__))
