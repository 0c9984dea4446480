"""Delivers a batch of `webhooks` (first attempts) or of `webhooks.retry` (further ones)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.database.await_database import await_database
from paybridge.observability.logging import logger
from paybridge.observability.redaction import loggable
from paybridge.webhooks.begin_deliveries import ensure_deliverable
from paybridge.webhooks.deliver import deliver_webhooks
from paybridge.webhooks.delivering import Report
from paybridge.wiring import webhooks as webhook_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch

HANDLED_TYPES = frozenset(
    {
        "payment.requires_capture",
        "payment.succeeded",
        "payment.failed",
        "payment.canceled",
        "payment.review",
        "payment.refunded",
        "refund.created",
        "refund.succeeded",
        "refund.failed",
        DELIVER_WEBHOOK,
    }
)

# Messages that are worked together at most; the mapping of the template says the same.
BATCH_MESSAGES = 500

# Keeps a line below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Works on the batch, and waits so long for a database that is away.

    Raises DatabaseUnavailable, LockTimeout or BrokerUnavailable: then the whole of it is to be delivered again.
    """
    await asyncio.to_thread(await_database, wiring.database(), database_patience_seconds)
    deliveries = 0
    for queue, events in _deliverable_by_queue(batch).items():
        deliveries += len(await _deliver(queue, events))
    if batch.poison:
        log.error("poison messages", extra={"reasons": [one.reason for one in batch.poison][:LOGGED_MAX]})
        await wiring.bury(batch.poison)
    return {"messages": len(batch.events), "deliveries": deliveries, "poison": len(batch.poison)}


def prepare() -> None:
    """Reads every setting that a batch needs, and connects to nothing; raises SettingsInvalid."""
    webhook_wiring.delivering()


async def close() -> None:
    """Closes the connections to receivers, when nothing more is to be handled."""
    await webhook_wiring.sender().aclose()


def _deliverable_by_queue(batch: Batch) -> dict[str, list[Event]]:
    """The events by queue; one that says nothing a webhook can be made of joins the batch's poison."""
    by_queue: dict[str, list[Event]] = {}
    for received in batch.events:
        try:
            ensure_deliverable(received.event)
        except MalformedMessage as error:
            batch.poison.append(received.poison(f"MalformedMessage: {error}"))
        else:
            by_queue.setdefault(received.queue, []).append(received.event)
    return by_queue


async def _deliver(queue: str, events: list[Event]) -> list[Report]:
    reports = await deliver_webhooks(webhook_wiring.delivering(), events, webhook_wiring.lane_of(queue))
    _log(queue, len(events), reports)
    return reports


def _log(queue: str, messages: int, reports: list[Report]) -> None:
    # One line for many deliveries: a line each would cost more than sending them.
    for start in range(0, max(len(reports), 1), LOGGED_MAX):
        deliveries = [_logged(report) for report in reports[start : start + LOGGED_MAX]]
        log.info("delivered webhooks", extra={"queue": queue, "messages": messages, "deliveries": deliveries})


def _logged(report: Report) -> dict[str, object]:
    return {
        "delivery_id": str(report.delivery_id),
        "payment_id": str(report.payment_id),
        "correlation_id": loggable(report.correlation_id),
        "attempt": report.attempt,
        "outcome": report.outcome,
        "response_status": report.response_status,
        "error": report.error,
        "latency_ms": report.latency_ms,
    }
