"""The composition root: settings and adapters, made on first use and kept for the life of the environment."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import STATEMENT_SECONDS_MAX, Database
from paybridge.wiring.settings import (
    DATABASE_LOGIN,
    Environment,
    GatewaySettings,
    RelaySettings,
    SecretReader,
    WebhookSettings,
    broker_url,
    database_address,
    gateway_settings,
    login_address,
    relay_settings,
    renewed_broker_urls,
    renewed_database_addresses,
    webhook_settings,
)

if TYPE_CHECKING:
    from paybridge.payments.gateways.http import HttpGateway
    from paybridge.rabbitmq.batch import Batch, Poison
    from paybridge.rabbitmq.depths import AmqpQueueDepths
    from paybridge.rabbitmq.publisher import RabbitPublisher
    from paybridge.rabbitmq.subscription import Subscription, Taken

_Result = TypeVar("_Result")


@cache
def environment() -> Environment:
    """The process environment, typed."""
    return Environment()


def environment_name() -> str:
    """The name of the deployment, by which CloudWatch tells its metrics from those of others."""
    return environment().text("ENVIRONMENT_NAME")


@cache
def _secrets() -> SecretReader:
    return SecretReader()


@cache
def database(statement_seconds_max: float = STATEMENT_SECONDS_MAX) -> Database:
    """The environment's one database connection, opened on first use: ask for it with the same patience everywhere."""
    name = environment().text("POWERTOOLS_SERVICE_NAME", "paybridge")
    return Database(
        database_address(environment(), _secrets()),
        name,
        statement_seconds_max,
        lambda: renewed_database_addresses(environment(), _secrets(), environment().text(DATABASE_LOGIN)),
    )


def database_of(secret_id: str, statement_seconds_max: float = STATEMENT_SECONDS_MAX) -> Database:
    """The same database by another login, such as the administrator's; the caller closes it."""
    return Database(
        login_address(environment(), _secrets().read(secret_id)),
        "paybridge-admin",
        statement_seconds_max,
        lambda: renewed_database_addresses(environment(), _secrets(), secret_id),
    )


def database_login() -> tuple[str, str]:
    """The role that the functions log in as, and its password."""
    address = database_address(environment(), _secrets())
    return address.user, address.password


def rabbitmq_url() -> str:
    """The broker's URL with its login, as it was last found good: keep it out of logs."""
    return broker_url(environment(), _secrets())


def renewed_rabbitmq_urls() -> Iterator[str]:
    """The broker's URLs to try once it refuses the login of `rabbitmq_url`, read when they are asked for."""
    return renewed_broker_urls(environment(), _secrets())


@cache
def clock() -> SystemClock:
    """The machine's clock."""
    return SystemClock()


@cache
def ids() -> Uuid7Ids:
    """The source of UUIDv7."""
    return Uuid7Ids()


@cache
def gateway_configuration() -> GatewaySettings:
    """The gateway's settings."""
    return gateway_settings(environment())


@cache
def webhook_configuration() -> WebhookSettings:
    """The webhooks' settings."""
    return webhook_settings(environment())


@cache
def relay_configuration() -> RelaySettings:
    """The relay's settings."""
    return relay_settings(environment())


def payment_shards() -> int:
    """How many shards the queue `payments.new` has; 1 is the queue itself."""
    return environment().integer("PAYMENT_SHARDS", 1)


@cache
def gateway() -> HttpGateway:
    """The payment gateway; use it only in coroutines given to `run`."""
    from paybridge.payments.gateways.http import HttpGateway

    configuration = gateway_configuration()
    return HttpGateway(configuration.url, configuration.timeout_seconds)


def parse_batch(lambda_event: Mapping[str, Any], known_types: frozenset[str]) -> Batch:
    """The messages of an `aws:rmq` event; see `paybridge.rabbitmq.batch.parse_batch`."""
    from paybridge.rabbitmq import batch

    return batch.parse_batch(lambda_event, known_types)


def batch_of(deliveries: Sequence[Taken], known_types: frozenset[str]) -> Batch:
    """The batch of what a worker has taken; see `paybridge.rabbitmq.batch.batch_of`."""
    from paybridge.rabbitmq import batch

    return batch.batch_of(deliveries, known_types)


def subscribe(queues: Sequence[str], prefetch: int) -> AbstractAsyncContextManager[Subscription]:
    """A subscription to the queues on a broker connection of its own."""
    from paybridge.rabbitmq import subscription

    return subscription.subscribe(rabbitmq_url(), queues, prefetch, renewed_rabbitmq_urls)


async def dead_letter(poison: Sequence[Poison]) -> None:
    """Hands poison to the dead-letter exchange; raises BrokerUnavailable unless all of it was confirmed."""
    from paybridge.rabbitmq import batch

    await batch.dead_letter(rabbitmq_url(), poison, renewed_rabbitmq_urls)


def queue_depths() -> AmqpQueueDepths:
    """How many messages wait in queues, asked on a broker connection of its own; for coroutines given to `run`."""
    from paybridge.rabbitmq.depths import AmqpQueueDepths

    return AmqpQueueDepths(rabbitmq_url(), renewed_rabbitmq_urls)


def open_publisher() -> AbstractAsyncContextManager[RabbitPublisher]:
    """A publisher on a broker connection of its own."""
    from paybridge.rabbitmq.publisher import open_publisher as open_rabbit_publisher

    return open_rabbit_publisher(rabbitmq_url(), renewed_rabbitmq_urls)


# A batch makes tens of thousands of objects that live until its end. Python would look for garbage among them, and
# among all that a cold start has loaded, every 700 objects.
GARBAGE_OBJECTS = 50_000


@cache
def _runner() -> asyncio.Runner:
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, *gc.get_threshold()[1:])
    return asyncio.Runner(loop_factory=_new_loop)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        # There is none for Windows, whose default loop cannot watch the database's socket.
        return asyncio.SelectorEventLoop()
    return uvloop.new_event_loop()


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine on the environment's one event loop, so that HTTP connections outlive an invocation."""
    return _runner().run(work)
