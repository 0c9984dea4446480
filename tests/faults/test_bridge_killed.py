"""A bridge that is killed at each step of a batch: every event reaches the bus, byte for byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from local.testkit.event_bus import CallError, EventsEndpoint, body_of, succeeded
from local.testkit.live import eventually
from local.testkit.queues import put, take_all
from local.testkit.servers import Vhost, address_of
from local.testkit.workers import Worker, Workers, secrets_manager, worker_environment
from paybridge.core.events import BRIDGE_EVENT
from paybridge.database.database import Database, Statement

pytestmark = [pytest.mark.integration, pytest.mark.broker, pytest.mark.faults]

EVENTS = 25
WAITING = Statement(f"SELECT count(*) FROM outbox WHERE type = '{BRIDGE_EVENT}' AND published_at IS NULL")  # noqa: S608


class Place(NamedTuple):
    """Workers, and what they have to do."""

    workers: Workers
    endpoint: EventsEndpoint
    database: Database
    vhost: Vhost


@pytest.fixture
def place(database_url: str, vhost: Vhost, tmp_path: Path) -> Iterator[Place]:
    with (
        EventsEndpoint() as endpoint,
        secrets_manager(database_url, vhost.amqp_url) as aws_url,
        closing(Database(address_of(database_url))) as database,
    ):
        environment = {
            **worker_environment(database_url, vhost, "http://127.0.0.1:1", aws_url),
            "AWS_ENDPOINT_URL_EVENTBRIDGE": endpoint.url,
            "BRIDGE_RETRY_DELAYS_SECONDS": "0.1,0.1,0.1,0.1",
        }
        workers = Workers(environment, tmp_path)
        yield Place(workers, endpoint, database, vhost)
        workers.end()


def before_the_second_call(place: Place, worker: Worker) -> None:
    """Kill it as its second call arrives, of which nothing is taken."""

    def kill_second(_: object) -> CallError | None:
        if len(place.endpoint.calls) != 2:
            return None
        worker.process.kill()
        worker.process.wait()
        return CallError(500, "InternalFailure")

    place.endpoint.fail = kill_second


def before_the_second_answer(place: Place, worker: Worker) -> None:
    """Kill it once its second call is taken, before it knows."""

    def kill_second(number: int) -> bool:
        if number == 2:
            worker.process.kill()
            worker.process.wait()
        return number != 2

    place.endpoint.before_answer = kill_second


def after_the_commands(place: Place, worker: Worker) -> None:
    """Kill it once the outbox has what the bus did not take."""
    place.endpoint.refuse = lambda _: "InternalFailure"

    def kill_and_take() -> None:
        eventually(lambda: waiting(place.database), "the commands are written")
        worker.process.kill()
        worker.process.wait()
        place.endpoint.refuse = lambda _: None

    threading.Thread(target=kill_and_take).start()


def waiting(database: Database) -> int:
    return int(database.run(WAITING)[0][0])


async def publish(vhost: Vhost, bodies: list[str]) -> None:
    await asyncio.gather(*(put(vhost.amqp_url, "bridge", body.encode()) for body in bodies))


@pytest.mark.parametrize("kill", [before_the_second_call, before_the_second_answer, after_the_commands])
def test_no_event_is_lost(kill: Callable[[Place, Worker], None], place: Place) -> None:
    bodies = [body_of(succeeded()) for _ in range(EVENTS)]
    worker = place.workers.start("bridge")
    worker.wait_until_ready()
    kill(place, worker)
    asyncio.run(publish(place.vhost, bodies))
    eventually(lambda: worker.process.poll() is not None, "the bridge is dead")

    again = place.workers.start("bridge")
    again.wait_until_ready()
    place.workers.start("relay")
    eventually(lambda: set(place.endpoint.details) == set(bodies), "every event is on the bus")
    eventually(lambda: waiting(place.database) == 0, "no command waits")
    assert again.stop() == 0
    assert asyncio.run(take_all(place.vhost.amqp_url, "bridge")) == []
    assert asyncio.run(take_all(place.vhost.amqp_url, "payments.dead")) == []
