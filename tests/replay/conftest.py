"""A database with facts to replay, and the relay that publishes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aio_pika
import pytest
from uuid_utils.compat import uuid7

from local.testkit.payments import new_merchant
from local.testkit.queues import Got, take_all
from local.testkit.servers import Broker, Vhost
from paybridge.core.clock import SystemClock
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.core.times import lowest_id
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.outbox.relay import Refusal, relay_once
from paybridge.outbox.routes import REDRIVE_EXCHANGE
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.replay.domain import Replay, ReplayOrder
from paybridge.replay.ports import ReplayServices
from paybridge.replay.publish import EventReplays
from paybridge.replay.start import start_replay
from paybridge.wiring.replay import services_over

_CLEAR = Statement("TRUNCATE outbox, replays")
_PUBLISHED = Statement(
    "UPDATE outbox SET published_at = now() WHERE published_at IS NULL AND type NOT LIKE 'command.%'"
)
# What another pass has locked is left to it: this process would wait for itself.
_MAKE_DUE = Statement("""
    UPDATE outbox SET available_at = now()
    WHERE id IN (SELECT id FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED)
""")
_OPEN_ROWS = Statement("SELECT count(*) FROM outbox WHERE type = 'command.replay' AND published_at IS NULL")

QUEUES = ("payments.new", "webhooks", "webhooks.retry", "notifications")
# In the middle of a minute, so that nothing depends on the real time. A month that has a partition.
NOW = datetime.now(UTC).replace(second=30, microsecond=0) - timedelta(hours=2)


@dataclass
class ReplayWorld:
    """Facts in the outbox that count as published, and the passes of the relay."""

    services: ReplayServices
    vhost: Vhost
    merchant_id: UUID
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.services.database

    def fact(self, at: datetime = NOW, type_: str = "payment.succeeded", **changes: Any) -> Event:
        """Record a fact of this time, which was published long ago."""
        event = self.event(at, type_, **changes)
        with self.database.transaction() as transaction:
            outbox.add(transaction, [event])
        self.mark_published()
        return event

    def mark_published(self) -> None:
        """Let all facts count as published."""
        self.database.run(_PUBLISHED)

    def event(self, at: datetime = NOW, type_: str = "payment.succeeded", **changes: Any) -> Event:
        """Return a fact of this time, with some attributes changed."""
        values: dict[str, Any] = {
            "id": UUID(int=lowest_id(at).int | (uuid7().int & ((1 << 80) - 1))),
            "type": type_,
            "payment_id": UUID(str(uuid7())),
            "merchant_id": self.merchant_id,
            "correlation_id": "corr-1",
            "time": at,
            "sequence": 2,
            "data": {"payment_id": "p", "status": "succeeded"},
        }
        return Event(**values | changes)

    def facts(self, count: int, at: datetime = NOW, type_: str = "payment.succeeded") -> list[str]:
        """Record facts a millisecond apart, and return their ids."""
        return [str(self.fact(at + timedelta(milliseconds=number), type_).id) for number in range(count)]

    def order(self, **changes: Any) -> ReplayOrder:
        values: dict[str, Any] = {
            "consumer": "webhooks",
            "begin_at": NOW - timedelta(minutes=30),
            "end_at": NOW + timedelta(minutes=30),
            "types": (),
            "rate_per_second": 100.0,
            "is_dry_run": False,
            "actor": "ana",
        }
        return ReplayOrder(**values | changes)

    def start(self, **changes: Any) -> Replay:
        return start_replay(self.services, self.order(**changes))

    async def passes(self, count: int = 1, database: Database | None = None, *, at_once: bool = True) -> None:
        """Let the relay pass this often over what is due; with `at_once` over what is due later as well."""
        async with open_publisher(self.vhost.amqp_url) as publisher:
            for _ in range(count):
                if at_once:
                    self.database.run(_MAKE_DUE)
                await relay_once(
                    database or self.database,
                    publisher,
                    100,
                    self.refusals.append,
                    replays=EventReplays(self.services.clock),
                )

    async def until_done(self) -> None:
        """Let the relay pass until no replay has a row any more."""
        for _ in range(100):
            if self.database.run(_OPEN_ROWS) == [[0]]:
                return
            await self.passes(5)
        raise AssertionError("the replay does not end")

    async def taken(self, queue: str = "webhooks") -> list[Got]:
        return await take_all(self.vhost.amqp_url, queue)

    async def bind(self, queue: str, *, is_bound: bool) -> None:
        """Let the exchange of redrives reach the queue, or not."""
        async with await aio_pika.connect(self.vhost.amqp_url) as connection:
            found = await (await connection.channel()).get_queue(queue)
            await (found.bind if is_bound else found.unbind)(REDRIVE_EXCHANGE, queue)

    async def ids(self, queue: str = "webhooks") -> list[str]:
        return [got.message_id or "" for got in await self.taken(queue)]


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Vhost:
    """A virtual host of the module's own."""
    return broker.fresh_vhost()


@pytest.fixture
async def world(database_address: DatabaseAddress, vhost: Vhost) -> AsyncIterator[ReplayWorld]:
    """Without any fact, replay or message."""
    for queue in QUEUES:
        await take_all(vhost.amqp_url, queue)
    with closing(Database(database_address, "tests")) as database:
        database.run(_CLEAR)
        yield ReplayWorld(services_over(database, SystemClock(), Uuid7Ids()), vhost, new_merchant(database))
