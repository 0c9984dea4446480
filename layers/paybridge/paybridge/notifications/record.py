"""Last step of notifying: commit the answers together with the commands for retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.core.errors import LockTimeout
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.core.retry import RetryIn
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX
from paybridge.notifications.commands import add_commands
from paybridge.notifications.domain.answers import Accepted, Answer, LeaveUnclear, NextStep, decide
from paybridge.notifications.domain.notification import NotificationStatus
from paybridge.notifications.ports import NotificationServices
from paybridge.notifications.reports import NotificationOutcome, NotificationReport
from paybridge.notifications.store import notifications
from paybridge.notifications.store.notifications import ClaimedNotification, FinishedSending
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames

_OUTCOMES = {
    NotificationStatus.SENT: NotificationOutcome.SENT,
    NotificationStatus.PENDING: NotificationOutcome.RETRYING,
    NotificationStatus.FAILED: NotificationOutcome.FAILED,
    NotificationStatus.UNCLEAR: NotificationOutcome.UNCLEAR,
}

log = logger()


@dataclass(frozen=True, slots=True)
class SentNotification:
    """An attempt and what the provider answered."""

    claimed: ClaimedNotification
    answer: Answer


@dataclass(frozen=True, slots=True)
class RecordedAnswers:
    """The reports of what is committed, and the attempts whose rows other transactions hold."""

    reports: list[NotificationReport]
    locked: list[SentNotification]


def record_answers(services: NotificationServices, sent: Sequence[SentNotification]) -> RecordedAnswers:
    """Commit the answers in one transaction and return the reports and what to try again.

    An answer that the database refuses is logged: its claim ends later, as if the process had died. Raises
    DatabaseUnavailable, and LockTimeout if not one of several could be committed.
    """
    if not sent:
        return RecordedAnswers([], [])
    locked: list[SentNotification] = []

    def on_bad_answer(each: SentNotification, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            locked.append(each)
            return
        log.error(
            "cannot record the answer to a notification",
            extra={
                "notification_id": str(each.claimed.notification.id),
                "error_type": type(error).__name__,
                "stack": stack_frames(error),
            },
        )

    parts = run_isolating_bad_items(lambda some: _record(services, some), sent, on_bad_answer)
    return RecordedAnswers([report for part in parts for report in part], locked)


def _record(services: NotificationServices, sent: Sequence[SentNotification]) -> list[NotificationReport]:
    finished = {each.claimed.notification.id: _finished(services, each) for each in sent}
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        ours = notifications.finish(transaction, finished.values())
        retries = [
            (each.claimed.notification, delay_seconds)
            for each in sent
            if each.claimed.notification.id in ours
            and (delay_seconds := finished[each.claimed.notification.id].delay_seconds) is not None
        ]
        add_commands(services, transaction, retries)
    return [_report(each.claimed, finished[each.claimed.notification.id]) for each in sent]


def _finished(services: NotificationServices, sent: SentNotification) -> FinishedSending:
    claimed, answer = sent.claimed, sent.answer
    step = decide(claimed.notification.channel, answer, claimed.number, services.retry_delays_seconds)
    return FinishedSending(
        id=claimed.notification.id,
        number=claimed.number,
        status=_status_after(step),
        provider_message_id=answer.message_id if isinstance(answer, Accepted) else None,
        error=None if isinstance(answer, Accepted) else answer.error,
        delay_seconds=step.seconds if isinstance(step, RetryIn) else None,
    )


def _status_after(step: NextStep) -> NotificationStatus:
    match step:
        case Accepted():
            return NotificationStatus.SENT
        case RetryIn():
            return NotificationStatus.PENDING
        case LeaveUnclear():
            return NotificationStatus.UNCLEAR
        case _:
            return NotificationStatus.FAILED


def _report(claimed: ClaimedNotification, finished: FinishedSending) -> NotificationReport:
    notification = claimed.notification
    return NotificationReport(
        notification_id=notification.id,
        event_id=notification.event_id,
        payment_id=notification.payment_id,
        correlation_id=notification.correlation_id,
        channel=notification.channel,
        attempt=claimed.number,
        outcome=_OUTCOMES[finished.status],
        provider_message_id=finished.provider_message_id,
        error=finished.error,
    )
