"""Notify merchants' contacts of a batch of `notifications`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.events import PUBLISHED_TYPES, SEND_NOTIFICATION
from paybridge.notifications.begin import ensure_notifiable
from paybridge.notifications.notify import notify
from paybridge.notifications.reports import BatchReport, NotificationOutcome, NotificationReport
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit_counts
from paybridge.observability.redaction import redact
from paybridge.observability.stack import stack_frames
from paybridge.runners.batch import for_each_event, log_results, run_batch
from paybridge.wiring import broker
from paybridge.wiring import notifications as notification_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch, Received

HANDLED_TYPES = frozenset({*PUBLISHED_TYPES, SEND_NOTIFICATION})

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 500

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Notify of the events of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    return await run_batch(batch, _notify, database_patience_seconds)


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("notifier")
    notification_wiring.services()


async def close() -> None:
    """Do nothing after the last batch: the clients of AWS keep no connection that has to be closed."""


async def _notify(batch: Batch) -> dict[str, int]:
    received: list[Received] = []

    def sort_in(one: Received) -> None:
        ensure_notifiable(one.event)
        received.append(one)

    for_each_event(batch, sort_in)
    report = BatchReport()
    try:
        await notify(notification_wiring.services(), [one.event for one in received], report)
    finally:
        # What one channel has sent is sent, also if the other has failed.
        _report(report, len(received))
    _dead_letter_refused(batch, received, report)
    locked = {event.id for event in report.locked}
    if handed_back := [one for one in received if one.event.id in locked]:
        await broker.hand_back(handed_back)
    return {"notifications": len(report.sent), "locked": len(handed_back)}


def _report(report: BatchReport, messages: int) -> None:
    if report.sent:
        log_results("sent notifications", "notifications", [*map(_logged, report.sent)], messages=messages)
    outcomes = Counter(str(each.outcome) for each in report.sent)
    outcomes[NotificationOutcome.UNCLEAR] += len(report.lost)
    emit_counts(log, wiring.environment_name(), Metric.NOTIFICATIONS, +outcomes, "Result")


def _dead_letter_refused(batch: Batch, received: list[Received], report: BatchReport) -> None:
    """Move the events that the database refuses to the batch's poison."""
    refused = {event.id: error for event, error in report.refused}
    for one in received:
        if error := refused.get(one.event.id):
            extra = {"event_id": str(one.event.id), "stack": stack_frames(error)}
            log.error("cannot begin a notification", extra=extra)
            batch.poison.append(one.poison(type(error).__name__))


def _logged(report: NotificationReport) -> dict[str, object]:
    return {
        "notification_id": str(report.notification_id),
        "event_id": str(report.event_id),
        "payment_id": str(report.payment_id),
        "correlation_id": redact(report.correlation_id),
        "channel": report.channel,
        "attempt": report.attempt,
        "outcome": report.outcome,
        "provider_message_id": report.provider_message_id,
        "error": report.error,
    }
