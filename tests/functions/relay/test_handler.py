"""The relay function as Lambda calls it, between a real database and a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
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


class Context:
    """Lambda's context, as far as the function uses it: the remaining time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + relay.RESERVE_SECONDS + seconds

    def get_remaining_time_in_millis(self) -> int:
        return round((self._end - time.monotonic()) * 1000)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress, vhost: Vhost) -> Iterator[Database]:
    """Wire the function to the test's database and broker."""
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(broker, "open_publisher", lambda: open_publisher(vhost.amqp_url))
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
        yield database


def call(seconds: float) -> dict[str, int]:
    return relay.handler({}, Context(seconds))  # type: ignore[arg-type]


class TestHandler:
    def test_it_emits_the_number_of_published_messages_and_the_lag(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = new_merchant(database)
        new_payment(database, merchant_id)
        database.run(DUE_90_SECONDS_AGO)
        new_payment(database, merchant_id)
        assert call(1)["published"] == 2
        emitted = metrics_of(caplog.records)
        assert emitted["Published", of("test")] == [2.0]
        (lag,) = emitted["RelayLag", of("test")]
        assert 90 <= lag < 100

    def test_without_anything_to_publish_there_is_no_lag(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        call(0.1)
        assert metrics_of(caplog.records) == {("Published", of("test")): [0.0]}

    def test_a_long_drain_emits_meanwhile(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(handling, "EMIT_EVERY_SECONDS", 0.2)
        new_payment(database, new_merchant(database))
        call(1.1)
        published = metrics_of(caplog.records)["Published", of("test")]
        assert len(published) > 3
        assert sum(published) == 1
