"""Tell two contacts of one event and be killed at a point of it: run by test_notifier_killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.testkit.notifications import SENDER
from local.testkit.servers import address_of
from paybridge.core.clock import SystemClock
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.notifications import notify as module
from paybridge.notifications.domain.answers import Accepted, Answer
from paybridge.notifications.notify import notify
from paybridge.notifications.ports import NotificationServices
from paybridge.notifications.reports import BatchReport

POINTS = ("begun", "claimed", "called", "answered", "recorded")


def die() -> None:
    """End the process as if its machine had lost power."""
    os.kill(os.getpid(), signal.SIGKILL)


class Provider:
    """Writes each message to a file before it answers, as a provider that outlives us has it."""

    def __init__(self, log: Path, point: str) -> None:
        self._log = log
        self._point = point

    def send(self, *message: Any) -> Answer:
        if self._point == "claimed":
            die()
        with self._log.open("a") as log:
            log.write(f"{message[-2]}\n")
            log.flush()
            os.fsync(log.fileno())
        if self._point == "called":
            die()
        return Accepted(str(uuid.uuid4()))


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    def and_die(*arguments: Any) -> Any:
        function(*arguments)
        die()

    return and_die


def event_of(merchant_id: str, event_id: str) -> Event:
    """Return the event that the process is killed with and that is redelivered."""
    return Event(
        id=uuid.UUID(event_id),
        type="payment.failed",
        payment_id=uuid.UUID(event_id),
        merchant_id=uuid.UUID(merchant_id),
        correlation_id="corr-1",
        time=datetime.now(UTC),
        sequence=3,
        data={"amount": "100.50", "currency": "EUR"},
    )


def services_of(database: Database, log: Path, point: str) -> NotificationServices:
    """Return services whose providers write to the file."""
    provider = Provider(log, point)
    return NotificationServices(
        database=database,
        clock=SystemClock(),
        ids=Uuid7Ids(),
        email=provider,
        sender_address=SENDER,
        sms=provider,
        retry_delays_seconds=(1.0,),
    )


def main(database_url: str, merchant_id: str, event_id: str, log: str, point: str) -> None:
    if point == "begun":
        module.begin_notifications = after(module.begin_notifications)
    elif point == "answered":
        module.record_answers = lambda *_: die()  # type: ignore[assignment, return-value]
    elif point == "recorded":
        module.record_answers = after(module.record_answers)
    services = services_of(Database(address_of(database_url)), Path(log), point)
    asyncio.run(notify(services, [event_of(merchant_id, event_id)], BatchReport()))


if __name__ == "__main__":
    main(*sys.argv[1:])
