"""The relay function as Lambda calls it, between a real database and a real broker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from local.testkit.payments import new_merchant, new_payment
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.runners import relay as handling
from paybridge.wiring import broker
from paybridge.wiring.settings import Settings
from relay import handler as relay
from tests.support.metrics import metrics_of, of

pytestmark = pytest.mark.integration

DUE_90_SECONDS_AGO = Statement(
    "UPDATE outbox SET available_at = now() - interval '90 seconds' WHERE published_at IS NULL"
)


UNPUBLISHED = Statement("SELECT count(*) FROM outbox WHERE published_at IS NULL")
# Only a drain that hangs takes longer.
DRAIN_SECONDS_MAX = 60.0


class Context:
    """Lambda's context, as far as the function uses it: the time that remains, none once `is_done`."""

    def __init__(self, is_done: Callable[[], bool]) -> None:
        self._is_done = is_done
        self._end = time.monotonic() + relay.RESERVE_SECONDS + DRAIN_SECONDS_MAX

    def get_remaining_time_in_millis(self) -> int:
        return 0 if self._is_done() else round((self._end - time.monotonic()) * 1000)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress, vhost: Vhost) -> Iterator[Database]:
    """Wire the function to the test's database and broker."""
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(broker, "open_publisher", lambda: open_publisher(vhost.amqp_url))
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
        yield database


@pytest.fixture
def onlooker(database_address: DatabaseAddress) -> Iterator[Database]:
    """A connection that the function does not use."""
    with closing(Database(database_address)) as onlooker:
        yield onlooker


def call(is_done: Callable[[], bool]) -> dict[str, int]:
    return relay.handler({}, Context(is_done))  # type: ignore[arg-type]


def is_drained(onlooker: Database) -> bool:
    return onlooker.run(UNPUBLISHED) == [[0]]


class TestHandler:
    def test_it_emits_the_number_of_published_messages_and_the_lag(
        self, database: Database, onlooker: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        begun_at = time.monotonic()
        merchant_id = new_merchant(database)
        new_payment(database, merchant_id)
        database.run(DUE_90_SECONDS_AGO)
        new_payment(database, merchant_id)
        assert call(lambda: is_drained(onlooker))["published"] == 2
        emitted = metrics_of(caplog.records)
        assert emitted["Published", of("test")] == [2.0]
        (lag,) = emitted["RelayLag", of("test")]
        assert 90 <= lag < 91 + time.monotonic() - begun_at

    def test_without_anything_to_publish_there_is_no_lag(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        looks = itertools.count()
        call(lambda: next(looks) > 3)
        assert metrics_of(caplog.records) == {("Published", of("test")): [0.0]}

    def test_a_long_drain_emits_meanwhile(
        self,
        database: Database,
        onlooker: Database,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(handling, "EMIT_EVERY_SECONDS", 0.2)
        new_payment(database, new_merchant(database))

        def published() -> list[float]:
            return metrics_of(caplog.records).get(("Published", of("test")), [])

        call(lambda: is_drained(onlooker) and len(published()) > 3)
        assert len(published()) > 3
        assert sum(published()) == 1
