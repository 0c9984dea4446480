"""Delivers the webhooks of a batch.

    begin     make the deliveries, find those that are due        one transaction
    call      send, many at a time                                no transaction
    record    commit what has ended with what begins next         one transaction for each group

An attempt is on record as started before it is made. A process that dies leaves it so; the message comes again, the
next attempt closes it as interrupted, and goes out with the same webhook-id, by which the receiver knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from paybridge.core.events import Event
from paybridge.observability.logging import logger
from paybridge.observability.stack import frames_of
from paybridge.webhooks.begin_deliveries import begin_deliveries
from paybridge.webhooks.delivering import Attempt, Delivering, Lane, Outcome, Report
from paybridge.webhooks.domain.webhook import INTERNAL_ERROR, InvalidSecret, SendResult, parse_secret, signed_headers
from paybridge.webhooks.record_deliveries import Step, record_step
from paybridge.webhooks.store.deliveries import Delivery
from paybridge.webhooks.waiting import Waiting

# Answers that arrive this close together are committed together.
GROUP_SECONDS = 0.01

log = logger()


async def deliver_webhooks(delivering: Delivering, events: Sequence[Event], lane: Lane) -> list[Report]:
    """Delivers outcome events and carries out retry commands; returns what became of each delivery.

    Ends within about twice the lane's deadline: what could not begin by then goes on by a command in the outbox. Raises
    DatabaseUnavailable: then the whole batch is to be delivered again.
    """
    begun = await asyncio.to_thread(begin_deliveries, delivering, events, lane)
    waiting = Waiting(begun.ready, lane)
    begin_until = asyncio.get_running_loop().time() + lane.timeout_seconds
    step = Step(postponed=begun.slow, starting=waiting.take())
    reports: list[Report] = []
    running: set[asyncio.Task[Outcome]] = set()
    try:
        while step or running:
            started, news = await asyncio.to_thread(record_step, delivering, step, lane)
            reports += news
            running |= {asyncio.create_task(_call(delivering, attempt, lane)) for attempt in started}
            outcomes, running = await _next_group(running)
            for attempt in _ended(step.starting, started, outcomes):
                waiting.release(attempt)
            step = _next_step(waiting, outcomes, begin_until)
    finally:
        for task in running:
            task.cancel()
    return reports


def _ended(starting: list[Attempt], started: list[Attempt], outcomes: list[Outcome]) -> list[Attempt]:
    """The attempts whose place is free again: answered ones, and those that turned out to be another process's."""
    ours = {attempt.delivery.id for attempt in started}
    return [outcome.attempt for outcome in outcomes] + [one for one in starting if one.delivery.id not in ours]


def _next_step(waiting: Waiting, outcomes: list[Outcome], begin_until: float) -> Step:
    """What to commit next. By the time that the first attempt has timed out, nothing waits any longer."""
    if asyncio.get_running_loop().time() >= begin_until:
        return Step(outcomes, postponed=waiting.take_all())
    return Step(outcomes, starting=waiting.take())


async def _next_group(running: set[asyncio.Task[Outcome]]) -> tuple[list[Outcome], set[asyncio.Task[Outcome]]]:
    """Waits for the first answer, and then a moment for those right behind it."""
    if not running:
        return [], running
    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    if running:
        more, running = await asyncio.wait(running, timeout=GROUP_SECONDS)
        done |= more
    return [task.result() for task in done], running


async def _call(delivering: Delivering, attempt: Attempt, lane: Lane) -> Outcome:
    # The one place that catches everything: a merchant chose the URL and what answers there, and whatever they make
    # fail that nobody has foreseen must cost this delivery an attempt and not the whole batch, again and again.
    try:
        return Outcome(attempt, await _send(delivering, attempt.delivery, lane))
    except Exception as error:  # noqa: BLE001 - one receiver never fails the batch of all merchants
        return _broken(attempt, error)


def _broken(attempt: Attempt, error: Exception) -> Outcome:
    log.error(
        "cannot send a webhook",
        extra={
            "delivery_id": str(attempt.delivery.id),
            "payment_id": str(attempt.delivery.payment_id),
            "attempt": attempt.number,
            "error_type": type(error).__name__,
            "stack": frames_of(error),
        },
    )
    return Outcome(attempt, SendResult(status_code=None, error=INTERNAL_ERROR, latency_ms=0))


async def _send(delivering: Delivering, delivery: Delivery, lane: Lane) -> SendResult:
    keys = _keys_of(delivery.secrets)
    if not keys:
        return SendResult(status_code=None, error="invalid_secret", latency_ms=0)
    body = delivery.body.encode()
    headers = signed_headers(keys, str(delivery.event_id), delivering.clock.now(), body)
    # A header takes less than a message does; the receiver gets the id only where it fits.
    if delivery.correlation_id.isascii() and delivery.correlation_id.isprintable():
        headers["x-correlation-id"] = delivery.correlation_id
    return await delivering.sender.send(delivery.url, headers, body, lane.timeout_seconds)


def _keys_of(secrets: Sequence[str]) -> list[bytes]:
    """The keys to sign with, newest first; a malformed secret must not keep the others from signing."""
    keys: list[bytes] = []
    for secret in secrets:
        try:
            keys.append(parse_secret(secret))
        except InvalidSecret:
            continue
    return keys
