"""`paybridge worker` with real servers: it settles waiting payments, and no way of stopping it loses or doubles one."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from local.testkit.live import eventually, received
from local.testkit.payments import attempt_rows, control_gateway
from local.testkit.queues import put, take_all
from local.testkit.rmq import outbox_bodies
from local.testkit.servers import Broker, Postgres
from local.testkit.workers import Workers
from paybridge.worker.assignments import CONSUMER, NAMES, RELAY
from tests.support.dead_letters import rows
from tests.worker.conftest import Place

pytestmark = [pytest.mark.integration, pytest.mark.broker]


def queue_up(place: Place, count: int) -> list[UUID]:
    """Make payments and put their messages in the queue, as if a relay had published them."""
    payment_ids = place.pay(count, payment_method=None)

    async def publish() -> None:
        for body in outbox_bodies(place.database, payment_ids, "payment.created"):
            await put(place.vhost.amqp_url, "payments.new", body)

    asyncio.run(publish())
    return payment_ids


def left_on(place: Place, queue: str = "payments.new") -> list[bytes]:
    return [message.body for message in asyncio.run(take_all(place.vhost.amqp_url, queue))]


def until_one_is_being_charged(place: Place, payment_ids: list[UUID]) -> None:
    def started() -> bool:
        return any(row["status"] == "started" for id_ in payment_ids for row in attempt_rows(place.database, id_))

    eventually(started, "an attempt under way")


@pytest.fixture
def slow_gateway(gateway_url: str) -> Iterator[None]:
    """Let each charge take so long that a test can act meanwhile, even on a busy machine."""
    control_gateway(gateway_url, latency_seconds_min=3.0, latency_seconds_max=4.0)
    yield
    control_gateway(gateway_url, latency_seconds_min=0.0, latency_seconds_max=0.0)


class TestAll:
    def test_a_payment_goes_from_the_outbox_to_its_webhook(self, place: Place, workers: Workers, sink_url: str) -> None:
        started = [workers.start(name) for name in NAMES]
        for worker in started:
            worker.wait_until_ready()
        [payment_id] = place.pay(1, webhook_url=f"{sink_url}/ok/worker")
        place.wait_until_each_is_charged_once([payment_id])
        [webhook] = eventually(lambda: received(sink_url, str(payment_id)), "the webhook")
        assert webhook["verified"]
        assert [worker.stop() for worker in started] == [0] * len(NAMES)


class TestConsumer:
    def test_it_charges_waiting_payments_and_acknowledges_their_messages(self, place: Place, workers: Workers) -> None:
        payment_ids = queue_up(place, 30)
        worker = workers.start("consumer")
        place.wait_until_each_is_charged_once(payment_ids)
        assert worker.stop() == 0
        assert left_on(place) == []

    def test_sigterm_finishes_the_batch_in_hand(self, place: Place, workers: Workers, slow_gateway: None) -> None:
        payment_ids = queue_up(place, 20)
        worker = workers.start("consumer", GATEWAY_TIMEOUT_SECONDS="10")
        until_one_is_being_charged(place, payment_ids)
        assert place.settled() < len(payment_ids)
        assert worker.stop() == 0
        place.wait_until_each_is_charged_once(payment_ids, seconds_max=1)
        assert left_on(place) == []

    def test_sigkill_loses_nothing(self, place: Place, workers: Workers, slow_gateway: None) -> None:
        payment_ids = queue_up(place, 20)
        worker = workers.start("consumer", GATEWAY_TIMEOUT_SECONDS="6")
        until_one_is_being_charged(place, payment_ids)
        worker.process.kill()
        assert worker.process.wait() == -signal.SIGKILL
        assert place.settled() < len(payment_ids)
        for name in (RELAY, CONSUMER):
            workers.start(name, GATEWAY_TIMEOUT_SECONDS="6")
        # The lease of an interrupted attempt lasts longer than a call.
        place.wait_until_each_is_charged_once(payment_ids, seconds_max=80)
        attempts = [len(attempt_rows(place.database, id_)) for id_ in payment_ids]
        # Otherwise nothing was interrupted, and the test proves nothing.
        assert max(attempts) > 1

    def test_two_side_by_side_share_the_queue(self, place: Place, workers: Workers, slow_gateway: None) -> None:
        both = [workers.start("consumer", GATEWAY_TIMEOUT_SECONDS="10") for _ in range(2)]
        for worker in both:
            worker.wait_until_ready()
        payment_ids = queue_up(place, 60)
        place.wait_until_each_is_charged_once(payment_ids)
        # A batch is logged after it is committed, but before its worker ends.
        assert [worker.stop() for worker in both] == [0, 0]
        assert all(worker.logged("processed payments") for worker in both)

    def test_poison_is_dead_lettered_and_delays_no_payment(self, place: Place, workers: Workers) -> None:
        asyncio.run(put(place.vhost.amqp_url, "payments.new", b"no json"))
        payment_ids = queue_up(place, 3)
        worker = workers.start("consumer")
        place.wait_until_each_is_charged_once(payment_ids)
        assert worker.stop() == 0
        assert left_on(place, "payments.dead") == [b"no json"]

    def test_unreadable_properties_do_not_end_the_connection(self, place: Place, workers: Workers) -> None:
        payment_ids = place.pay(1)
        [body] = outbox_bodies(place.database, payment_ids, "payment.created")
        asyncio.run(put(place.vhost.amqp_url, "payments.new", body, headers={"x": "y"}, message_id="é" * 100))
        worker = workers.start("consumer")
        place.wait_until_each_is_charged_once(payment_ids)
        assert worker.logged("cannot work now") == []


class TestDeadLetters:
    def test_any_message_is_recorded_with_headers_of_any_type(self, place: Place, workers: Workers) -> None:
        headers: dict[str, Any] = {
            "text": "caf\u00e9",
            "bytes": bytearray(b"\xff\x00"),
            "table": {"n": [1, None, True], "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)},
            "decimal": Decimal("1.5"),
            "x-paybridge-queue": "webhooks",
            "x-paybridge-reason": "odd",
        }
        bodies = [b"", b"\x00\xff", b"x" * 7_000_000]
        for body in bodies:
            asyncio.run(put(place.vhost.amqp_url, "payments.dead", body, headers=headers, message_id="odd"))
        worker = workers.start("dead-letters")
        eventually(lambda: len(rows(place.database)) == len(bodies), "every dead letter in the table")
        assert worker.stop() == 0
        found = rows(place.database)
        assert sorted(bytes.fromhex(row["body"][2:]) for row in found) == sorted(bodies)
        assert found[0]["headers"] == {
            **headers,
            "bytes": {"base64": "/wA="},
            "table": {"n": [1, None, True], "at": "2026-01-02 03:04:05+00:00"},
            "decimal": "1.5",
        }
        assert len(worker.logged("dead letter from webhooks: odd")) == len(bodies)
        assert left_on(place, "payments.dead") == []


class TestOutages:
    @pytest.mark.broker_stops
    def test_it_comes_back_with_the_broker(self, place: Place, workers: Workers, broker: Broker) -> None:
        worker = workers.start("consumer")
        worker.wait_until_ready()
        broker.stop()
        eventually(lambda: worker.logged("cannot work now"), "it says that the broker is away")
        broker.start()
        payment_ids = queue_up(place, 5)
        place.wait_until_each_is_charged_once(payment_ids)
        assert worker.stop() == 0

    def test_it_comes_back_with_the_database(self, place: Place, workers: Workers, postgres_server: Postgres) -> None:
        worker = workers.start("consumer")
        worker.wait_until_ready()
        payment_ids = queue_up(place, 5)
        place.wait_until_each_is_charged_once(payment_ids)
        later = place.pay(5)
        bodies = outbox_bodies(place.database, later, "payment.created")
        postgres_server.stop()

        async def publish() -> None:
            for body in bodies:
                await put(place.vhost.amqp_url, "payments.new", body)

        asyncio.run(publish())
        # Longer than a batch is held: it goes back into the queue without counting as a delivery.
        eventually(lambda: worker.logged("cannot work on a batch now"), "it says that the database is away")
        postgres_server.start()
        place.wait_until_each_is_charged_once(payment_ids + later)
        assert worker.stop() == 0
        assert left_on(place, "payments.dead") == []


class TestSettings:
    def test_a_missing_setting_is_named_before_any_message_is_taken(self, place: Place, workers: Workers) -> None:
        worker = workers.start("consumer", GATEWAY_URL="")
        assert worker.process.wait(timeout=90) == 2
        assert worker.logged("worker ready") == []

    def test_invalid_settings_end_it(self, place: Place, workers: Workers) -> None:
        worker = workers.start("webhooks", DATABASE_TLS="perhaps")
        assert worker.process.wait(timeout=90) == 2
        assert worker.logged("worker ready") == []

    def test_a_time_limit_with_a_unit_ends_it(self, place: Place, workers: Workers) -> None:
        worker = workers.start("webhooks-retry", WEBHOOK_TIMEOUT_SECONDS="15s")
        assert worker.process.wait(timeout=90) == 2
        assert worker.logged("worker ready") == []

    def test_the_relay_names_a_missing_setting_before_it_is_ready(self, place: Place, workers: Workers) -> None:
        worker = workers.start("relay", RELAY_BATCH_ROWS="many")
        assert worker.process.wait(timeout=90) == 2
        assert worker.logged("worker ready") == []

    def test_the_relay_looks_for_the_certificates_before_it_is_ready(self, place: Place, workers: Workers) -> None:
        worker = workers.start("relay", DATABASE_TLS="verify-full", DATABASE_TLS_CA_FILE="")
        assert worker.process.wait(timeout=90) == 2
        assert worker.logged("worker ready") == []


class TestLog:
    def test_every_line_is_json_without_a_login(self, place: Place, workers: Workers) -> None:
        worker = workers.start("consumer")
        place.wait_until_each_is_charged_once(queue_up(place, 1))
        worker.stop()
        text = worker.output.read_text()
        assert {json.loads(line)["service"] for line in text.splitlines()} == {"worker-consumer"}
        assert "guest:guest" not in text
