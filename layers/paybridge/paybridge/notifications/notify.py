"""Notify contacts of the events of a batch.

    begin     create the notifications, find those that are due        one transaction
    claim     begin the attempts of a group                            one transaction for each group
    call      hand the group to the provider, all at once              no transaction
    record    commit the answers and the commands for retries          one transaction for each group

Each channel goes through its groups without waiting for the other. An attempt is committed before its call. If the
process dies in between, the outcome is unclear: an e-mail is sent again, an SMS is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from uuid import UUID

from paybridge.core.errors import LockTimeout, Unavailable
from paybridge.core.events import Event
from paybridge.core.isolation import LOCKED_RETRY_SECONDS
from paybridge.core.retry import backoff_seconds
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX
from paybridge.notifications.begin import begin_notifications
from paybridge.notifications.commands import put_off, put_off_keys
from paybridge.notifications.domain.answers import INTERNAL_ERROR, Answer, NotSent, OutcomeUnclear, is_outage
from paybridge.notifications.domain.mail import build_mail
from paybridge.notifications.domain.notification import Channel
from paybridge.notifications.ports import NotificationServices
from paybridge.notifications.record import SentNotification, record_answers
from paybridge.notifications.reports import BatchReport
from paybridge.notifications.store import notifications
from paybridge.notifications.store.notifications import ClaimedNotification, Delay
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames

# Calls of a channel at the same time. Amazon SNS takes 20 SMS a second, Amazon SES mostly 14 e-mails.
CALLS_MAX = 10
# No group begins later, so that the batch ends in the time of its function. What is left has commands.
START_SECONDS = 12.0
LEFT_OVER_DELAY = Delay(part_of_age=0.0, seconds_min=1.0, seconds_max=1.0)
# Before the next try at a provider that takes nothing. It grows with the notification's age, because each delay of each
# notification is a row of the outbox, and a provider may be away for days.
OUTAGE_DELAY = Delay(part_of_age=0.25, seconds_min=30.0, seconds_max=600.0)
# For a database that does not take the answers.
RECORD_TRIES = 5

_Result = TypeVar("_Result")

log = logger()


async def notify(services: NotificationServices, events: Sequence[Event], report: BatchReport) -> None:
    """Send what the events and commands ask for; note the outcome of each attempt in the report.

    Raises DatabaseUnavailable and LockTimeout: the whole batch must be redelivered. That changes nothing about what was
    sent, and the report is true all the same.
    """
    due = await asyncio.to_thread(begin_notifications, services, events, report)
    if due:
        lock = asyncio.Lock()
        channels = [
            _Sending(services, channel, [each.id for each in due if each.channel is channel], lock, report).run()
            for channel in Channel
        ]
        # Both end before an error of one is raised, so that no call goes on behind the back of the next batch.
        for result in await asyncio.gather(*channels, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


class _Sending:
    """One channel's part of a batch."""

    def __init__(
        self,
        services: NotificationServices,
        channel: Channel,
        ids: Sequence[UUID],
        lock: asyncio.Lock,
        report: BatchReport,
    ) -> None:
        self._services = services
        self._channel = channel
        self._ids = ids
        # The database has one connection.
        self._lock = lock
        self._report = report

    async def run(self) -> None:
        """Send group by group, until all are sent, the time is over or the provider takes nothing."""
        if not self._ids:
            return
        loop = asyncio.get_running_loop()
        start_until = loop.time() + START_SECONDS
        place, delay = 0, LEFT_OVER_DELAY
        with ThreadPoolExecutor(CALLS_MAX, thread_name_prefix=self._channel) as threads:
            while place < len(self._ids) and loop.time() < start_until:
                group = self._ids[place : place + CALLS_MAX]
                place += CALLS_MAX
                if await self._send(group, threads):
                    delay = OUTAGE_DELAY
                    break
        if left := self._ids[place:]:
            await self._in_database(lambda: put_off(self._services, left, delay))

    async def _send(self, group: Sequence[UUID], threads: ThreadPoolExecutor) -> bool:
        """Send a group; return whether the provider takes nothing at all."""
        claimed = await self._in_database(lambda: self._claim(group))
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(*(loop.run_in_executor(threads, self._call, each) for each in claimed))
        sent = [SentNotification(*pair) for pair in zip(claimed, answers, strict=True)]
        await self._record(sent)
        return bool(answers) and all(map(is_outage, answers))

    def _claim(self, group: Sequence[UUID]) -> list[ClaimedNotification]:
        with self._services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
            claimed = notifications.claim(transaction, group)
            if left := set(group).difference(each.notification.id for each in claimed):
                locked = notifications.find_locked(transaction, left)
                put_off_keys(self._services, transaction, locked, LOCKED_RETRY_SECONDS)
        return claimed

    def _call(self, claimed: ClaimedNotification) -> Answer:
        # The one place that catches everything: one message never fails the batch of all merchants, and what was
        # claimed must be recorded.
        try:
            return call(self._services, claimed)
        except Exception as error:  # noqa: BLE001 - see above
            _log_failure(claimed, error)
            return OutcomeUnclear(INTERNAL_ERROR, is_outage=False)

    async def _record(self, sent: Sequence[SentNotification]) -> None:
        """Record and report the answers, with some patience: an answer that is lost leaves an SMS unclear."""
        for tries in range(1, RECORD_TRIES + 1):
            try:
                recorded = await self._in_database(partial(record_answers, self._services, sent))
                self._report.sent += recorded.reports
                if not recorded.locked:
                    return
                sent = recorded.locked
                failure: Unavailable = LockTimeout(f"the rows of {len(sent)} notifications are locked")
            except Unavailable as error:
                failure = error
            if tries == RECORD_TRIES:
                raise failure
            log.warning("cannot record answers now", extra={"reason": str(failure), "channel": self._channel})
            await asyncio.sleep(backoff_seconds(tries, 0.25, 4.0))

    async def _in_database(self, work: Callable[[], _Result]) -> _Result:
        async with self._lock:
            return await asyncio.to_thread(work)


def call(services: NotificationServices, claimed: ClaimedNotification) -> Answer:
    """Hand a notification to the provider of its channel and return the answer."""
    notification = claimed.notification
    if notification.channel is Channel.SMS and services.sms is not None:
        return services.sms.send(notification.contact, notification.body)
    if notification.channel is Channel.EMAIL and services.email is not None:
        message = build_mail(notification, services.sender_address, services.clock.now())
        return services.email.send(services.sender_address, notification.contact, message)
    return NotSent("channel_off", is_permanent=True)


def _log_failure(claimed: ClaimedNotification, error: Exception) -> None:
    log.error(
        "cannot send a notification",
        extra={
            "notification_id": str(claimed.notification.id),
            "error_type": type(error).__name__,
            "stack": stack_frames(error),
        },
    )
