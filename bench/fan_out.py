"""Deliver each event to 1, 3 and 10 endpoints of its merchant, by the webhooks worker and by Celery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aio_pika
import orjson
import psutil

from bench.receivers import Receivers, running_receivers
from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.rivals.fan_out import celery_fan_out
from bench.servers import Servers, open_database
from local.servers import postgres
from local.testkit.api import WEBHOOK_SECRET
from local.testkit.payments import new_merchant, new_payment
from local.testkit.rmq import outbox_bodies
from local.testkit.workers import Workers, secrets_manager, worker_environment
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Ids, Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.outbox.queues import WEBHOOK_QUEUES
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint

ENDPOINTS = (1, 3, 10)
# A lane gives a merchant a quarter of its places. So many merchants leave none of them free.
MERCHANTS = 20
DELIVERIES = 6_000
GOAL_DELIVERIES_PER_SECOND = 1_500.0
GOAL_TIMES_CELERY = 4.0
SETTLE_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05

_SECRET = Statement("UPDATE webhook_endpoints SET secrets = json_build_array(json_build_object('secret', :s::text))")
_ENDED = """
    SELECT count(*) FILTER (WHERE status = 'delivered'), count(*) FILTER (WHERE attempts <> 1),
           extract(epoch FROM max(finished_at))::float8
    FROM webhook_deliveries WHERE created_at >= to_timestamp(:started_at::float8)
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where our worker finds its events: a database with merchants by their number of endpoints, and a broker."""

    database: Database
    database_url: str
    amqp_url: str
    merchants: dict[int, list[UUID]]
    worker: psutil.Process
    receivers: Receivers


def measure(servers: Servers) -> Measure:
    """Preload a stopped worker with events, let it go on, and count deliveries a second up to the last one recorded."""
    with ExitStack() as stack:
        receivers = stack.enter_context(running_receivers(max(ENDPOINTS), WEBHOOK_SECRET))
        place = stack.enter_context(_our_place(servers, receivers))
        rival = stack.enter_context(celery_fan_out(servers, receivers, ENDPOINTS))
        contenders = {_ours(number): (lambda number=number: _run(place, number)) for number in ENDPOINTS}
        contenders |= {_theirs(number): (lambda number=number: rival(number)) for number in ENDPOINTS}
        # A first round makes the connections and prepares the statements.
        for number in ENDPOINTS:
            _run(place, number)
            rival(number)
        values = interleaved(servers.say, contenders, "deliveries/s")
    return Measure("fan_out", _figures(values))


def _ours(endpoints: int) -> str:
    return f"endpoints: {endpoints}"


def _theirs(endpoints: int) -> str:
    return f"Celery, endpoints: {endpoints}"


def _figures(values: dict[str, tuple[float, ...]]) -> list[Figure]:
    figures = [
        Figure(
            _ours(number),
            "deliveries/s",
            values[_ours(number)],
            Goal(GOAL_DELIVERIES_PER_SECOND) if number == max(ENDPOINTS) else None,
        )
        for number in ENDPOINTS
    ]
    figures += [
        Figure(_theirs(number), "deliveries/s", values[_theirs(number)], is_rival=True, compared_with=_ours(number))
        for number in ENDPOINTS
    ]
    goal = Goal(GOAL_TIMES_CELERY)
    return figures + [
        ratio(f"ratio to Celery, endpoints: {number}", values[_ours(number)], values[_theirs(number)], goal)
        for number in ENDPOINTS
    ]


@contextmanager
def _our_place(servers: Servers, receivers: Receivers) -> Iterator[_Place]:
    url, vhost = servers.postgres.fresh_database(), servers.broker.fresh_vhost()
    folder = servers.folder / "fan_out"
    folder.mkdir()
    with open_database(url) as database, secrets_manager(url, vhost.amqp_url) as aws_url:
        merchants = {number: _merchants(database, receivers, number) for number in ENDPOINTS}
        # No payment is charged here.
        workers = Workers(worker_environment(url, vhost, "http://127.0.0.1:9", aws_url), folder)
        try:
            worker = workers.start("webhooks")
            worker.wait_until_ready()
            process = psutil.Process(worker.process.pid)
            process.suspend()
            yield _Place(database, url, vhost.amqp_url, merchants, process, receivers)
        finally:
            workers.end()
    servers.postgres.drop_database(url)


def _merchants(database: Database, receivers: Receivers, endpoints: int) -> list[UUID]:
    """Create merchants with so many endpoints, each at another receiver."""
    merchants = [new_merchant(database) for _ in range(MERCHANTS)]
    for merchant_id in merchants:
        for number in range(endpoints):
            order = EndpointOrder(url=receivers.url(number, f"{merchant_id}/{number}"), events=("payment.*",))
            create_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, order)
    database.run(_SECRET, s=WEBHOOK_SECRET)
    return merchants


def _run(place: _Place, endpoints: int) -> float:
    events = DELIVERIES // endpoints
    bodies = _events(place, place.merchants[endpoints], events)
    asyncio.run(_publish(place.amqp_url, bodies))
    wanted = events * endpoints
    started_at = time.time()
    place.worker.resume()
    try:
        ended_at = _wait(place.database_url, started_at, wanted)
    finally:
        place.worker.suspend()
    counted = place.receivers.take()
    assert (counted.requests, counted.verified) == (wanted, wanted), f"{counted} of {wanted} webhooks"
    return wanted / (ended_at - started_at)


def _wait(database_url: str, started_at: float, wanted: int) -> float:
    """Wait until so many deliveries have ended, and return when the last one was recorded."""
    with closing(postgres.connect(database_url)) as connection:
        while True:
            ((delivered, repeated, ended_at),) = connection.run(_ENDED, started_at=started_at)
            if delivered >= wanted:
                assert not repeated, f"{repeated} deliveries took more than one attempt"
                return float(ended_at)
            if time.time() > started_at + SETTLE_SECONDS_MAX:
                raise RuntimeError(f"only {delivered} of {wanted} webhooks were delivered")
            time.sleep(POLL_SECONDS)


def _events(place: _Place, merchants: Sequence[UUID], count: int) -> list[bytes]:
    """Return so many events, of the merchants in turns. Each is of another payment."""
    ids = Uuid7Ids()
    example = new_payment(place.database, merchants[0])
    [body] = outbox_bodies(place.database, [example], "payment.created")
    envelope = orjson.loads(body)
    data = {**envelope["data"], "status": "succeeded"}
    return [_event(envelope, data, ids, merchants[number % len(merchants)]) for number in range(count)]


def _event(envelope: dict[str, Any], data: dict[str, Any], ids: Ids, merchant_id: UUID) -> bytes:
    payment_id = str(ids.new())
    changed = {
        "id": str(ids.new()),
        "type": "payment.succeeded",
        "subject": payment_id,
        "merchantid": str(merchant_id),
        "data": {**data, "payment_id": payment_id},
    }
    return orjson.dumps({**envelope, **changed})


async def _publish(amqp_url: str, bodies: list[bytes]) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        exchange = (await connection.channel()).default_exchange
        messages = [aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT) for body in bodies]
        await asyncio.gather(*(exchange.publish(message, WEBHOOK_QUEUES[0]) for message in messages))
