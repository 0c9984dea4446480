"""Delivers a batch of webhooks and is killed at the step that is named: run by test_webhooks_killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from local.testkit.servers import address_of
from local.testkit.webhooks import FAST
from paybridge.core.clock import SystemClock
from paybridge.core.events import parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.webhooks import deliver
from paybridge.webhooks.attempts import AttemptChange, SentAttempt, StartingAttempt
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.http import HttpWebhookSender
from paybridge.webhooks.ports import WebhookServices

STEPS = ("begun", "started", "sent", "recorded")


def die() -> None:
    """End the process as if its machine had lost power."""
    os.kill(os.getpid(), signal.SIGKILL)


def plant(step: str) -> None:
    """Make the process die once its deliveries exist, or their attempts are started, sent or recorded."""
    begin: Callable[..., Any] = deliver.begin_deliveries
    record: Callable[..., Any] = deliver.record_changes

    def begun(*arguments: Any) -> Any:
        begin(*arguments)
        die()

    def recorded(services: WebhookServices, changes: Sequence[AttemptChange], lane: Any) -> Any:
        has_sent = any(isinstance(change, SentAttempt) for change in changes)
        if step == "sent" and has_sent:
            die()
        result = record(services, changes, lane)
        if step == "started" and any(isinstance(change, StartingAttempt) for change in changes):
            die()
        if step == "recorded" and has_sent:
            die()
        return result

    if step == "begun":
        deliver.begin_deliveries = begun
    else:
        deliver.record_changes = recorded


async def main(database_url: str, step: str, *messages: str) -> None:
    plant(step)
    async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
        services = WebhookServices(
            database=Database(address_of(database_url)),
            sender=sender,
            clock=SystemClock(),
            ids=Uuid7Ids(),
            retry_delays_seconds=(1, 2, 4),
        )
        await deliver.deliver_webhooks(services, [parse_envelope(orjson.loads(body)) for body in messages], FAST)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
