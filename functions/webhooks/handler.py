"""The webhooks function: delivers a batch of `webhooks` (first attempts) or of `webhooks.retry` (further ones)."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.domain.errors import MalformedMessage
from paybridge.domain.events import DELIVER_WEBHOOK, Event, loggable
from paybridge.observability.logging import logger
from paybridge.usecases.health.await_database import await_database
from paybridge.usecases.webhooks.begin_deliveries import ensure_deliverable
from paybridge.usecases.webhooks.deliver import deliver_webhooks
from paybridge.usecases.webhooks.delivering import Report
from paybridge.wiring import webhooks as webhook_wiring

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

# How long a batch waits for a database that is away. The slow lane may then need twice its deadline, 30 s, of the 60 s.
DATABASE_PATIENCE_SECONDS = 25.0

# Keeps a line below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Works on the whole batch. Raises, and so returns all of it, only when the database or the broker is away."""
    batch = wiring.parse_batch(event, HANDLED_TYPES)
    await_database(wiring.database(), DATABASE_PATIENCE_SECONDS)
    by_queue: dict[str, list[Event]] = {}
    for received in batch.events:
        try:
            ensure_deliverable(received.event)
        except MalformedMessage as error:
            batch.poison.append(received.poison(f"MalformedMessage: {error}"))
        else:
            by_queue.setdefault(received.queue, []).append(received.event)
    reports = [report for queue, events in by_queue.items() for report in _deliver(queue, events)]
    if batch.poison:
        log.error("poison messages", extra={"reasons": [one.reason for one in batch.poison][:LOGGED_MAX]})
        wiring.run(wiring.bury(batch.poison))
    return {"messages": len(batch.events), "deliveries": len(reports), "poison": len(batch.poison)}


def _deliver(queue: str, events: list[Event]) -> list[Report]:
    lane = webhook_wiring.lane_of(queue)
    reports = wiring.run(deliver_webhooks(webhook_wiring.delivering(), events, lane))
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
