"""Last step of delivering: commit answers, retries and give-ups together with the start of the next attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from paybridge.core.errors import LockTimeout
from paybridge.core.events import Event
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.core.retry import GiveUp, RetryIn
from paybridge.database import counters
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.outbox import store as outbox
from paybridge.webhooks.attempts import (
    AttemptChange,
    DeliveryAttempt,
    PostponedAttempt,
    SentAttempt,
    StartingAttempt,
)
from paybridge.webhooks.begin import put_off_deliveries
from paybridge.webhooks.domain.states import DeliveryAttemptStatus, DeliveryStatus
from paybridge.webhooks.domain.webhook import GONE_STATUS, Decision, Delivered, Gone, decide
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.endpoint_health import record_endpoints
from paybridge.webhooks.exhausted import record_exhausted
from paybridge.webhooks.lanes import FAST_QUEUE, SLOW_QUEUE, Lane
from paybridge.webhooks.ports import WebhookServices
from paybridge.webhooks.reports import DeliveryReport, postponed_report, sent_report
from paybridge.webhooks.slow_receivers import is_prompt, record_receivers
from paybridge.webhooks.store import attempts, deliveries, endpoints
from paybridge.webhooks.store.attempts import FinishedAttempt
from paybridge.webhooks.store.deliveries import PaymentUrl, Postponement

_STATUSES = {
    Delivered: DeliveryStatus.DELIVERED,
    RetryIn: DeliveryStatus.PENDING,
    GiveUp: DeliveryStatus.FAILED,
    Gone: DeliveryStatus.GONE,
}

log = logger()


@dataclass(frozen=True, slots=True)
class RecordedChanges:
    """The attempts to make now, those that did not start after all, and what to log."""

    started: list[DeliveryAttempt]
    not_started: list[DeliveryAttempt]
    reports: list[DeliveryReport]


@dataclass(frozen=True, slots=True)
class _Decided:
    """A sent attempt and what follows it."""

    sent: SentAttempt
    decision: Decision


@dataclass(frozen=True, slots=True)
class _NextAttempt:
    """The command for the next attempt at a delivery, due after the delay, and the queue that it goes to."""

    attempt: DeliveryAttempt
    number: int
    delay_seconds: float
    queue: str


def record_changes(services: WebhookServices, changes: Sequence[AttemptChange], lane: Lane) -> RecordedChanges:
    """Commit the changes in one transaction; return the attempts that may now be made.

    An attempt is committed as started before it is made. If another process has started it meanwhile, because the
    broker redelivered the message, it is left to that process. A change that fails is logged and left out: the jobs
    function continues that delivery. A delivery whose row another transaction holds is put off, and its receiver may
    get the event a second time. Raises DatabaseUnavailable and LockTimeout; what was not recorded is redelivered with
    the batch.
    """
    if not changes:
        return RecordedChanges([], [], [])
    locked: list[AttemptChange] = []

    def on_bad_change(change: AttemptChange, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            locked.append(change)
        else:
            _log_refused(change, error)

    parts = run_isolating_bad_items(lambda some: _record(services, some, lane), changes, on_bad_change)
    if locked:
        with services.database.transaction() as transaction:
            put_off_deliveries(services, transaction, [change.attempt.delivery for change in locked])
    started = [attempt for ours, _ in parts for attempt in ours]
    started_ids = {attempt.delivery.id for attempt in started}
    starting = [change.attempt for change in changes if isinstance(change, StartingAttempt)]
    return RecordedChanges(
        started=started,
        not_started=[attempt for attempt in starting if attempt.delivery.id not in started_ids],
        reports=[report for _, reports in parts for report in reports],
    )


def _record(
    services: WebhookServices, changes: Sequence[AttemptChange], lane: Lane
) -> tuple[list[DeliveryAttempt], list[DeliveryReport]]:
    now = services.clock.now()
    sent = [change for change in changes if isinstance(change, SentAttempt)]
    postponed = [change for change in changes if isinstance(change, PostponedAttempt)]
    starting = [change.attempt for change in changes if isinstance(change, StartingAttempt)]
    decided: list[_Decided] = []
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        if sent:
            decided = _decide(services, transaction, sent, now)
            _record_sent(services, transaction, decided, now, lane)
            record_receivers(transaction, sent, lane)
            record_endpoints(transaction, services.ids, [(step.sent, step.decision) for step in decided], now)
        if postponed:
            _postpone(services, transaction, postponed, now)
        started = _start(transaction, starting)
    reports = [sent_report(step.sent, step.decision) for step in decided]
    return started, reports + [postponed_report(change.attempt) for change in postponed]


def _decide(
    services: WebhookServices, transaction: Transaction, sent: Sequence[SentAttempt], now: datetime
) -> list[_Decided]:
    """Decide what follows each attempt. Only a 410 needs to know whether its endpoint has left the URL meanwhile."""
    gone = {each.attempt.delivery.endpoint_id for each in sent if each.result.status_code == GONE_STATUS}
    urls = endpoints.find_urls(transaction, [id_ for id_ in gone if id_ is not None])
    decided = []
    for each in sent:
        delivery = each.attempt.delivery
        has_left_url = delivery.endpoint_id in urls and urls[delivery.endpoint_id] != delivery.url
        decision = decide(
            each.result,
            each.attempt.scheduled_number,
            services.retry_delays_seconds,
            now,
            has_left_url=has_left_url,
        )
        decided.append(_Decided(each, decision))
    return decided


def _postpone(
    services: WebhookServices, transaction: Transaction, postponed: Sequence[PostponedAttempt], now: datetime
) -> None:
    # An endpoint that was enabled since its delivery began has begun its resumption, which would miss this delivery.
    disabled = {change.attempt.delivery.endpoint_id for change in postponed if change.is_endpoint_disabled}
    enabled = endpoints.share_enabled(transaction, [id_ for id_ in disabled if id_ is not None])
    delays = [
        0.0 if change.is_endpoint_disabled and change.attempt.delivery.endpoint_id in enabled else change.delay_seconds
        for change in postponed
    ]
    rows = [Postponement(change.attempt.delivery.id, delay) for change, delay in zip(postponed, delays, strict=True)]
    deliveries.postpone(transaction, rows)
    following = [
        _NextAttempt(change.attempt, change.attempt.number, delay, SLOW_QUEUE)
        for change, delay in zip(postponed, delays, strict=True)
    ]
    _add_commands(services, transaction, following, now)


def _start(transaction: Transaction, starting: Sequence[DeliveryAttempt]) -> list[DeliveryAttempt]:
    if not starting:
        return []
    interrupted = [attempt.key for attempt in starting if attempt.delivery.interrupted]
    if interrupted:
        attempts.close_interrupted(transaction, interrupted)
    ours = attempts.start(transaction, [attempt.key for attempt in starting])
    return [attempt for attempt in starting if attempt.delivery.id in ours]


def _record_sent(
    services: WebhookServices, transaction: Transaction, decided: Sequence[_Decided], now: datetime, lane: Lane
) -> None:
    pending = attempts.finish(transaction, [_finished(step) for step in decided])
    recorded = [step for step in decided if step.sent.attempt.delivery.id in pending]
    effective = [(step.sent.attempt, step.decision) for step in recorded]
    retries = [
        _NextAttempt(step.sent.attempt, step.sent.attempt.number + 1, step.decision.seconds, _queue_after(step, lane))
        for step in recorded
        if isinstance(step.decision, RetryIn)
    ]
    _add_commands(services, transaction, retries, now)
    gone = [
        PaymentUrl(attempt.delivery.payment_id, attempt.delivery.url)
        for attempt, decision in effective
        if isinstance(decision, Gone)
        and attempt.delivery.endpoint_id is None
        and attempt.delivery.payment_id is not None
    ]
    if gone:
        deliveries.end_gone(transaction, gone)
    exhausted = [attempt for attempt, decision in effective if isinstance(decision, GiveUp)]
    record_exhausted(transaction, services.ids, exhausted, now)
    finished = Counter(_STATUSES[type(decision)] for _, decision in effective if not isinstance(decision, RetryIn))
    counters.add(transaction, {f"delivery.{status}": count for status, count in finished.items()})


def _queue_after(decided: _Decided, lane: Lane) -> str:
    """Return where the next attempt goes: a receiver that failed promptly never waits behind those that hang."""
    return FAST_QUEUE if lane.is_fast and is_prompt(decided.sent.result, lane) else SLOW_QUEUE


def _finished(decided: _Decided) -> FinishedAttempt:
    attempt, result, decision = decided.sent.attempt, decided.sent.result, decided.decision
    is_delivered = isinstance(decision, Delivered)
    return FinishedAttempt(
        delivery_id=attempt.delivery.id,
        number=attempt.number,
        attempt_status=DeliveryAttemptStatus.DELIVERED if is_delivered else DeliveryAttemptStatus.FAILED,
        response_status=result.status_code,
        error=result.error,
        response_excerpt=result.excerpt,
        latency_ms=result.latency_ms,
        status=_STATUSES[type(decision)],
        delay_seconds=decision.seconds if isinstance(decision, RetryIn) else None,
    )


def _add_commands(
    services: WebhookServices, transaction: Transaction, next_attempts: Iterable[_NextAttempt], now: datetime
) -> None:
    by_queue: dict[str, list[tuple[Event, float]]] = {}
    for following in next_attempts:
        delivery = following.attempt.delivery
        data = {"delivery_id": str(delivery.id), "attempt": following.number}
        command = deliver_webhook(services.ids.new(), delivery, now, data, subject_id=delivery.endpoint_id)
        by_queue.setdefault(following.queue, []).append((command, following.delay_seconds))
    for queue, commands in by_queue.items():
        outbox.add_delayed(transaction, commands, routing_key=queue)


def _log_refused(change: AttemptChange, error: Exception) -> None:
    attempt = change.attempt
    log.error(
        "cannot record a webhook delivery",
        extra={
            "delivery_id": str(attempt.delivery.id),
            "attempt": attempt.number,
            "step": type(change).__name__,
            "error_type": type(error).__name__,
            "stack": stack_frames(error),
        },
    )
