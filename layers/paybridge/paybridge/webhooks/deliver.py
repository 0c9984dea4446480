"""Deliver the webhooks of a batch.

    begin     create the deliveries, find those that are due      one transaction
    call      send, many at a time                                no transaction
    record    commit what has ended with what starts next         one transaction for each group

An attempt is recorded as started before it is made. If its process dies, the message is redelivered: the next attempt
closes it as interrupted and goes out with the same webhook-id, by which the receiver recognises it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from paybridge.core.events import Event
from paybridge.core.groups import AnswerGroups
from paybridge.core.standard_webhooks import InvalidSecret, parse_secret
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.webhooks.attempt_queue import AttemptQueue
from paybridge.webhooks.attempts import (
    AttemptChange,
    DeliveryAttempt,
    PostponedAttempt,
    SentAttempt,
    StartingAttempt,
)
from paybridge.webhooks.begin import begin_deliveries
from paybridge.webhooks.domain.webhook import INTERNAL_ERROR, SendResult, signed_headers
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.ports import WebhookServices
from paybridge.webhooks.record import record_changes
from paybridge.webhooks.reports import DeliveryReport
from paybridge.webhooks.start_window import StartWindow
from paybridge.webhooks.store.deliveries import PendingDelivery

# Answers that arrive this close together are committed together.
GROUP_SECONDS = 0.01

log = logger()


async def deliver_webhooks(services: WebhookServices, events: Sequence[Event], lane: Lane) -> list[DeliveryReport]:
    """Deliver outcome events and carry out retry commands; return the outcome of each delivery.

    Ends soon after the lane's latest time for starting and an attempt's deadline together: a command in the outbox
    continues what could not start by then. Raises DatabaseUnavailable: the whole batch must be redelivered.
    """
    start = await asyncio.to_thread(begin_deliveries, services, events, lane)
    queue = AttemptQueue(start.ready, lane)
    window = StartWindow(lane, asyncio.get_running_loop().time())
    changes: list[AttemptChange] = [*start.postponed, *map(StartingAttempt, queue.take())]
    reports: list[DeliveryReport] = []
    async with AnswerGroups[SentAttempt](GROUP_SECONDS) as calls:
        while changes or calls:
            recorded = await asyncio.to_thread(record_changes, services, changes, lane)
            reports += recorded.reports
            calls.start(_call(services, attempt, lane) for attempt in recorded.started)
            answers = await calls.next_group()
            _release(queue, recorded.not_started)
            _release(queue, (answer.attempt for answer in answers))
            window.note(answers, asyncio.get_running_loop().time())
            changes = [*answers, *_next_changes(queue, window)]
    return reports


def _release(queue: AttemptQueue, attempts: Iterable[DeliveryAttempt]) -> None:
    for attempt in attempts:
        queue.release(attempt)


def _next_changes(queue: AttemptQueue, window: StartWindow) -> list[AttemptChange]:
    """Start the attempts that now fit. Once the time to start is over, postpone all that are left."""
    if asyncio.get_running_loop().time() >= window.ends_at:
        return [PostponedAttempt(attempt) for attempt in queue.take_all()]
    return [StartingAttempt(attempt) for attempt in queue.take()]


async def _call(services: WebhookServices, attempt: DeliveryAttempt, lane: Lane) -> SentAttempt:
    # The one place that catches everything: the merchant chose the URL and what answers there. An unforeseen error
    # must cost this delivery one attempt, and not the whole batch again and again.
    try:
        return SentAttempt(attempt, await _send(services, attempt.delivery, lane))
    except Exception as error:  # noqa: BLE001 - one receiver never fails the batch of all merchants
        return _internal_error(attempt, error)


def _internal_error(attempt: DeliveryAttempt, error: Exception) -> SentAttempt:
    log.error(
        "cannot send a webhook",
        extra={
            "delivery_id": str(attempt.delivery.id),
            "payment_id": str(attempt.delivery.payment_id),
            "attempt": attempt.number,
            "error_type": type(error).__name__,
            "stack": stack_frames(error),
        },
    )
    return SentAttempt(attempt, SendResult(status_code=None, error=INTERNAL_ERROR, latency_ms=0))


async def _send(services: WebhookServices, delivery: PendingDelivery, lane: Lane) -> SendResult:
    keys = _signing_keys(delivery.secrets)
    if not keys:
        return SendResult(status_code=None, error="invalid_secret", latency_ms=0)
    body = delivery.body.encode()
    headers = signed_headers(keys, str(delivery.event_id), services.clock.now(), body)
    # A message may carry characters that no header can: such a correlation id is left out.
    if delivery.correlation_id.isascii() and delivery.correlation_id.isprintable():
        headers["x-correlation-id"] = delivery.correlation_id
    return await services.sender.send(delivery.url, headers, body, lane.timeout_seconds)


def _signing_keys(secrets: Sequence[str]) -> list[bytes]:
    """Return the keys to sign with, newest first. A malformed secret must not keep the others from signing."""
    keys: list[bytes] = []
    for secret in secrets:
        try:
            keys.append(parse_secret(secret))
        except InvalidSecret:
            continue
    return keys
