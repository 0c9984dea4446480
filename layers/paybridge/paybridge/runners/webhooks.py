"""Deliver a batch of `webhooks` or, for slow receivers, of `webhooks.retry`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.events import (
    DELIVER_WEBHOOK,
    ENDPOINT_TYPES,
    OUTCOME_TYPES,
    PAYOUT_TYPES,
    RECONCILIATION_TYPES,
    Event,
)
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit_counts
from paybridge.observability.redaction import redact
from paybridge.runners.batch import for_each_event, log_results, run_batch
from paybridge.webhooks.begin import ensure_deliverable
from paybridge.webhooks.deliver import deliver_webhooks
from paybridge.webhooks.reports import DeliveryOutcome, DeliveryReport
from paybridge.wiring import webhooks as webhook_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch, Received

HANDLED_TYPES = frozenset({*OUTCOME_TYPES, *PAYOUT_TYPES, *ENDPOINT_TYPES, *RECONCILIATION_TYPES, DELIVER_WEBHOOK})

# The largest batch to take. The function's mappings in template.yaml have the same number.
BATCH_MESSAGES = 500

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Deliver the webhooks of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    return await run_batch(batch, _deliver, database_patience_seconds)


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("webhooks")
    webhook_wiring.services()


async def close() -> None:
    """Close the connections to receivers after the last batch."""
    await webhook_wiring.sender().aclose()


async def _deliver(batch: Batch) -> dict[str, int]:
    deliveries = 0
    for queue, events in _deliverable_by_queue(batch).items():
        reports = await deliver_webhooks(webhook_wiring.services(), events, webhook_wiring.lane_of(queue))
        logged = [_logged(report) for report in reports]
        log_results("delivered webhooks", "deliveries", logged, queue=queue, messages=len(events))
        outcomes = Counter(str(report.outcome) for report in reports if report.outcome is not DeliveryOutcome.POSTPONED)
        emit_counts(log, wiring.environment_name(), Metric.WEBHOOK_DELIVERIES, outcomes, "Result")
        deliveries += len(reports)
    return {"deliveries": deliveries}


def _deliverable_by_queue(batch: Batch) -> dict[str, list[Event]]:
    """Group the events by queue; move those that no webhook can be made of to the batch's poison."""
    by_queue: dict[str, list[Event]] = {}

    def sort_in(received: Received) -> None:
        ensure_deliverable(received.event)
        by_queue.setdefault(received.queue, []).append(received.event)

    for_each_event(batch, sort_in)
    return by_queue


def _logged(report: DeliveryReport) -> dict[str, object]:
    return {
        "delivery_id": str(report.delivery_id),
        "payment_id": str(report.payment_id),
        "correlation_id": redact(report.correlation_id),
        "attempt": report.attempt,
        "outcome": report.outcome,
        "response_status": report.response_status,
        "error": report.error,
        "latency_ms": report.latency_ms,
    }
