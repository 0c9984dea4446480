"""Delivering webhooks: real PostgreSQL, real HTTP, real receivers."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from local.testkit.local_servers import running_sink
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Row, Statement
from paybridge.webhooks.deliver import deliver_webhooks
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.domain.webhook import SendResult, delivery_id
from paybridge.webhooks.http import HttpWebhookSender
from paybridge.webhooks.lanes import Lane, fast_lane, slow_lane
from paybridge.webhooks.ports import WebhookSender, WebhookServices
from paybridge.webhooks.reports import DeliveryReport
from paybridge.webhooks.store import payments

pytestmark = pytest.mark.integration

SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
FAST = fast_lane(0.5)
SLOW = slow_lane(2.0, prompt_seconds=0.5)

MERCHANT = Statement("INSERT INTO merchants (id, name, webhook_secrets) VALUES (:id::uuid, 'Test', :secrets::text[])")
PAYMENT = Statement("""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, status, webhook_url, correlation_id,
                          created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 100, 100, 'RUB', 'succeeded', :url::text, 'corr-1', now(), now())
""")
DELIVERIES = Statement("""
    SELECT status, attempts FROM webhook_deliveries WHERE payment_id = :id::uuid ORDER BY id
""")
ATTEMPTS = Statement("""
    SELECT a.number, a.status, a.response_status, a.error FROM webhook_attempts a
    JOIN webhook_deliveries d ON d.id = a.delivery_id WHERE d.payment_id = :id::uuid ORDER BY d.id, a.number
""")
OUTBOX = Statement("""
    SELECT body, exchange, routing_key, extract(epoch FROM available_at - now())::float8 FROM outbox
    WHERE payment_id = :id::uuid ORDER BY id
""")
MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at > now()")
RECEIVERS = Statement("""
    SELECT origin, consecutive_failures, slow_until > now() FROM webhook_receivers WHERE merchant_id = :id::uuid
""")


LOCK_DELIVERIES = Statement("SELECT 1 FROM webhook_deliveries WHERE payment_id = :id::uuid FOR UPDATE")
LOCK_PAYMENT = Statement("SELECT 1 FROM payments WHERE id = :id::uuid FOR UPDATE")


class Crash(BaseException):
    """The process died."""


class StubSender:
    """A sender whose answers are given; it remembers what it was asked to send."""

    def __init__(self, *answers: SendResult | BaseException) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        self.sent.append((url, headers, body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class BreakingSender:
    """A sender for which URLs with that ending break, or have an answer of their own; all others say 200."""

    def __init__(self, ending: str, answer: SendResult | Exception) -> None:
        self._ending = ending
        self._answer = answer

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        if not url.endswith(self._ending):
            return answered(200)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class HeldSender:
    """A sender that answers 200 when it is released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        self.asked.set()
        await self.released.wait()
        return answered(200)


class World:
    """A database with merchants and payments, and what a session does to it."""

    def __init__(self, database: Database, sender: WebhookSender, sink: str) -> None:
        self.database = database
        self.sender = sender
        self.sink = sink

    def merchant(self, *secrets: str) -> UUID:
        merchant_id = uuid7()
        self.database.run(MERCHANT, id=merchant_id, secrets=list(secrets or [SECRET]))
        return merchant_id

    def event(self, merchant_id: UUID, path: str | None, **changes: Any) -> Event:
        """An outcome event of a new payment whose webhooks go to that path of the sink, or to a whole URL."""
        url = path if path is None or path.startswith("http") else self.sink + path
        payment_id = uuid7()
        self.database.run(PAYMENT, id=payment_id, merchant_id=merchant_id, url=url)
        data = {"payment_id": str(payment_id), "status": "succeeded", "webhook_url": url}
        return self.fact(payment_id, merchant_id, **{"data": data, **changes})

    def fact(self, payment_id: UUID, merchant_id: UUID, **changes: Any) -> Event:
        values: dict[str, Any] = {
            "id": uuid7(),
            "type": "payment.succeeded",
            "payment_id": payment_id,
            "merchant_id": merchant_id,
            "correlation_id": "corr-1",
            "time": datetime.now(UTC),
            "sequence": 3,
            "data": {},
        }
        return Event(**values | changes)

    async def deliver(
        self,
        *events: Event,
        lane: Lane = FAST,
        delays: tuple[float, ...] = (1, 2, 4),
        sender: WebhookSender | None = None,
    ) -> list[DeliveryReport]:
        services = WebhookServices(
            database=self.database,
            sender=sender or self.sender,
            clock=SystemClock(),
            ids=Uuid7Ids(),
            retry_delays_seconds=delays,
        )
        return await deliver_webhooks(services, events, lane)

    def outbox(self, event: Event) -> list[tuple[Event, str | None, str, float]]:
        rows = self.database.run(OUTBOX, id=event.payment_id)
        return [(parse_envelope(orjson.loads(row[0])), *row[1:]) for row in rows]

    def command(self, event: Event) -> Event:
        """The newest retry command about the event's payment, which is due from now on."""
        self.database.run(MAKE_DUE)
        return [found[0] for found in self.outbox(event) if found[0].type == DELIVER_WEBHOOK][-1]

    def deliveries(self, event: Event) -> list[Row]:
        return self.database.run(DELIVERIES, id=event.payment_id)

    def attempts(self, event: Event) -> list[Row]:
        return self.database.run(ATTEMPTS, id=event.payment_id)

    def received(self, event: Event) -> list[dict[str, Any]]:
        parameters = {"payment_id": str(event.payment_id)}
        answer = httpx.get(f"{self.sink}/received", params=parameters, trust_env=False)
        listed: list[dict[str, Any]] = answer.json()
        return listed


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    with running_sink(SECRET) as url:
        yield url


@pytest_asyncio.fixture
async def world(database_address: DatabaseAddress, sink: str) -> AsyncIterator[World]:
    database = Database(database_address)
    async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
        yield World(database, sender, sink)
    database.close()


def answered(status: int) -> SendResult:
    return SendResult(status_code=status, error=None, latency_ms=3)


class TestDelivery:
    async def test_an_event_arrives_signed_and_every_step_is_on_record(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        reports = await world.deliver(event)
        assert [(report.outcome, report.attempt) for report in reports] == [("delivered", 1)]
        assert world.deliveries(event) == [["delivered", 1]]
        assert world.attempts(event) == [[1, "delivered", 200, None]]
        (received,) = world.received(event)
        assert received["verified"]
        assert received["headers"]["webhook-id"] == str(event.id)
        assert received["headers"]["x-correlation-id"] == "corr-1"
        assert received["headers"]["content-type"] == "application/json"
        assert received["headers"]["user-agent"] == "Paybridge"
        assert received["body"] == {
            "type": "payment.succeeded",
            "timestamp": event.time.isoformat(),
            "data": {**event.data, "sequence": 3},
        }

    async def test_an_event_without_url_takes_the_payments(self, world: World) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/ok", type="refund.succeeded", data={})
        await world.deliver(event)
        assert world.deliveries(event) == [["delivered", 1]]

    async def test_a_payment_of_another_merchant_lends_no_url(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        foreign = world.fact(event.payment_id, world.merchant())
        assert await world.deliver(foreign) == []

    async def test_a_payment_without_url_is_nobodys_business(self, world: World) -> None:
        event = world.event(world.merchant(), None)
        assert await world.deliver(event) == []
        assert world.deliveries(event) == []

    async def test_messages_that_come_again_change_nothing(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        await world.deliver(event, event)
        assert await world.deliver(event) == []
        assert len(world.received(event)) == 1

    async def test_both_secrets_of_a_rotation_sign(self, world: World) -> None:
        event = world.event(world.merchant("whsec_" + "QUJD" * 10, SECRET), "/ok")
        await world.deliver(event)
        assert [received["verified"] for received in world.received(event)] == [True]

    async def test_a_malformed_secret_is_a_failed_attempt(self, world: World) -> None:
        event = world.event(world.merchant("nonsense"), "/ok")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "invalid_secret"]]
        assert world.deliveries(event) == [["pending", 1]]

    async def test_a_batch_of_hundreds_is_delivered_whole(self, world: World) -> None:
        merchant_id = world.merchant()
        events = [world.event(merchant_id, "/ok") for _ in range(300)]
        reports = await world.deliver(*events, lane=fast_lane(10))
        assert {report.outcome for report in reports} == {"delivered"}
        assert len(reports) == 300


class TestRetries:
    async def test_the_schedule_is_followed_to_its_end(self, world: World) -> None:
        event = world.event(world.merchant(), "/status/500")
        await world.deliver(event)
        for number, delay in enumerate((1, 2, 4), start=2):
            command, exchange, routing_key, seconds = world.outbox(event)[-1]
            assert (command.type, exchange, routing_key) == (DELIVER_WEBHOOK, "payments", "webhooks.retry")
            assert command.data == {
                "delivery_id": str(delivery_id(event.id, world.sink + "/status/500")),
                "attempt": number,
            }
            assert delay - 1 < seconds <= delay
            await world.deliver(world.command(event), lane=SLOW)
        assert world.attempts(event) == [[number, "failed", 500, None] for number in (1, 2, 3, 4)]
        assert world.deliveries(event) == [["failed", 4]]

    async def test_the_end_of_the_schedule_is_a_fact_of_the_payment(self, world: World) -> None:
        event = world.event(world.merchant(), "/status/500")
        await world.deliver(event, delays=())
        ((fact, exchange, _, _),) = world.outbox(event)
        assert (fact.type, exchange, fact.sequence) == ("webhook.exhausted", None, 2)
        assert fact.data["event_id"] == str(event.id)
        assert fact.data["attempts"] == 1

    async def test_two_give_ups_of_one_payment_have_their_own_sequence(self, world: World) -> None:
        event = world.event(world.merchant(), "/status/500")
        other = world.fact(event.payment_id, event.merchant_id, data=event.data)
        await world.deliver(event, other, delays=())
        assert sorted(found[0].sequence or 0 for found in world.outbox(event)) == [2, 3]

    async def test_a_retry_carries_the_same_id_and_body(self, world: World) -> None:
        event = world.event(world.merchant(), "/fail-times/1/x")
        await world.deliver(event)
        await world.deliver(world.command(event), lane=SLOW)
        first, second = world.received(event)
        assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
        assert first["body"] == second["body"]
        assert world.deliveries(event) == [["delivered", 2]]

    async def test_a_command_that_comes_too_early_or_again_changes_nothing(self, world: World) -> None:
        event = world.event(world.merchant(), "/fail-times/1/y")
        await world.deliver(event)
        early = world.outbox(event)[-1][0]
        assert await world.deliver(early, lane=SLOW) == []
        command = world.command(event)
        await world.deliver(command, lane=SLOW)
        assert await world.deliver(command, lane=SLOW) == []
        assert len(world.received(event)) == 2

    async def test_the_event_that_comes_again_leaves_the_retry_alone(self, world: World) -> None:
        event = world.event(world.merchant(), "/fail-times/1/z")
        await world.deliver(event)
        world.command(event)
        assert await world.deliver(event) == []
        assert len(world.received(event)) == 1

    async def test_retry_after_puts_the_retry_off(self, world: World) -> None:
        event = world.event(world.merchant(), "/retry-after/30")
        await world.deliver(event)
        assert 29 < world.outbox(event)[-1][3] <= 30
        assert world.attempts(event) == [[1, "failed", 429, None]]

    async def test_a_redirect_is_a_failure_and_not_followed(self, world: World) -> None:
        event = world.event(world.merchant(), "/redirect")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", 302, None]]
        assert [received["path"] for received in world.received(event)] == ["/redirect"]

    async def test_a_url_that_is_not_allowed_is_given_up_at_once(self, world: World) -> None:
        event = world.event(world.merchant(), "http://user@127.0.0.1/")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "url_not_allowed"]]
        assert world.deliveries(event) == [["failed", 1]]

    async def test_a_private_address_is_not_reached(self, world: World) -> None:
        event = world.event(world.merchant(), "https://169.254.169.254/latest/meta-data")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "address_not_allowed"]]


class TestGone:
    async def test_410_ends_the_deliveries_of_the_payment_to_that_url(self, world: World) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/gone")
        waiting = world.fact(event.payment_id, merchant_id, data=event.data)
        await world.deliver(waiting, sender=StubSender(answered(500)))
        await world.deliver(event)
        later = world.fact(event.payment_id, merchant_id, data=event.data)
        assert await world.deliver(later) == []
        assert await world.deliver(world.command(event), lane=SLOW) == []
        assert [status for status, _ in world.deliveries(event)] == ["gone", "gone"]

    async def test_other_payments_still_go_there(self, world: World) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/gone"))
        other = world.event(merchant_id, "/gone")
        await world.deliver(other)
        assert len(world.received(other)) == 1


class TestDeath:
    async def test_between_attempt_and_outcome_sends_again_with_the_same_id(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        dying = StubSender(Crash())
        with pytest.raises(Crash):
            await world.deliver(event, sender=dying)
        assert world.attempts(event) == [[1, "started", None, None]]
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "interrupted"], [2, "delivered", 200, None]]
        assert world.received(event)[0]["headers"]["webhook-id"] == dying.sent[0][1]["webhook-id"]

    async def test_in_a_retry_sends_again_when_the_command_comes_again(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        await world.deliver(event, sender=StubSender(answered(500)))
        command = world.command(event)
        with pytest.raises(Crash):
            await world.deliver(command, lane=SLOW, sender=StubSender(Crash()))
        await world.deliver(command, lane=SLOW)
        assert [attempt[:2] for attempt in world.attempts(event)] == [[1, "failed"], [2, "failed"], [3, "delivered"]]

    async def test_uses_up_none_of_the_schedule(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        for _ in range(3):
            with pytest.raises(Crash):
                await world.deliver(event, delays=(1, 2), sender=StubSender(Crash()))
        (report,) = await world.deliver(event, delays=(1, 2), sender=StubSender(answered(500)))
        assert (report.outcome, report.attempt) == ("retry", 4)
        assert 0 < world.outbox(event)[-1][3] <= 1
        for outcome in ("retry", "failed"):
            (report,) = await world.deliver(
                world.command(event), lane=SLOW, delays=(1, 2), sender=StubSender(answered(500))
            )
            assert report.outcome == outcome
        assert [attempt[3] for attempt in world.attempts(event)] == ["interrupted"] * 3 + [None] * 3

    async def test_an_answer_to_what_was_taken_for_interrupted_is_still_recorded(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        sender = HeldSender()
        slow = asyncio.create_task(world.deliver(event, sender=sender))
        await sender.asked.wait()
        with closing(Database(world.database._address)) as other:
            await World(other, StubSender(answered(500)), world.sink).deliver(event)
        assert world.attempts(event)[0] == [1, "failed", None, "interrupted"]
        sender.released.set()
        await slow
        assert world.attempts(event) == [[1, "delivered", 200, None], [2, "failed", 500, None]]
        assert world.deliveries(event) == [["delivered", 2]]


class TestFaultsOfOne:
    """One delivery that nobody can do anything with, and the others of its batch."""

    @pytest.mark.parametrize("url", ["https://xn--a/", "https://xn--/", "https://[::1%25]/x"])
    async def test_an_unreadable_name_is_given_up_and_the_others_arrive(self, world: World, url: str) -> None:
        odd, good = world.event(world.merchant(), url), world.event(world.merchant(), "/ok")
        reports = await world.deliver(odd, good)
        assert {report.payment_id: report.outcome for report in reports}[good.payment_id] == "delivered"
        assert world.attempts(odd)[0][3] in ("url_not_allowed", "address_not_allowed", "connect_failed")

    async def test_a_sender_that_breaks_fails_one_attempt_and_says_so(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = world.merchant()
        odd, good = world.event(merchant_id, "/odd"), world.event(merchant_id, "/ok")
        sender = BreakingSender("/odd", AssertionError("4111111111111111"))
        reports = await world.deliver(odd, good, sender=sender)
        assert {report.payment_id: report.outcome for report in reports} == {
            odd.payment_id: "retry",
            good.payment_id: "delivered",
        }
        assert world.attempts(odd) == [[1, "failed", None, "internal_error"]]
        (line,) = [vars(record) for record in caplog.records if record.message == "cannot send a webhook"]
        assert (line["levelname"], line["payment_id"], line["error_type"]) == (
            "ERROR",
            str(odd.payment_id),
            "AssertionError",
        )
        assert "41111111" not in str(line).replace(" ", "")

    async def test_an_event_that_the_database_refuses_is_logged_and_the_others_arrive(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        good = world.event(world.merchant(), "/ok")
        odd = world.fact(good.payment_id, good.merchant_id, data={"webhook_url": "https://example.com/\x00"})
        (report,) = await world.deliver(odd, good, good)
        assert (report.payment_id, report.outcome) == (good.payment_id, "delivered")
        assert len(world.received(good)) == 1
        (line,) = [vars(record) for record in caplog.records if record.message == "cannot begin a webhook delivery"]
        assert (line["levelname"], line["event_id"], line["error_type"]) == ("ERROR", str(odd.id), "QueryFailed")

    async def test_an_outcome_that_the_database_refuses_is_logged_and_the_others_recorded(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = world.merchant()
        odd, good = world.event(merchant_id, "/odd"), world.event(merchant_id, "/ok")
        (report,) = await world.deliver(odd, good, sender=BreakingSender("/odd", answered(70_000)))
        assert (report.payment_id, report.outcome) == (good.payment_id, "delivered")
        assert world.deliveries(good) == [["delivered", 1]]
        assert world.attempts(odd) == [[1, "started", None, None]]
        (line,) = [vars(record) for record in caplog.records if record.message == "cannot record a webhook delivery"]
        assert (line["levelname"], line["step"], line["error_type"]) == ("ERROR", "AnsweredAttempt", "QueryFailed")

    async def test_a_command_for_an_unknown_delivery_is_logged_and_the_others_arrive(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        event = world.event(world.merchant(), "/fail-times/1/unknown")
        await world.deliver(event)
        nobody = uuid7()
        strange = [
            world.fact(event.payment_id, event.merchant_id, type=DELIVER_WEBHOOK, data={name: str(nobody)})
            for name in ("delivery_id", "event_id")
        ]
        (report,) = await world.deliver(*strange, world.command(event), lane=SLOW)
        assert report.outcome == "delivered"
        lines = [vars(record) for record in caplog.records if record.message == "a command names an unknown id"]
        assert {(line["levelname"], line["id"]) for line in lines} == {("ERROR", str(nobody))}


class TestLocks:
    async def test_a_lock_held_for_longer_than_one_wait_does_not_return_the_batch(self, world: World) -> None:
        event = world.event(world.merchant(), "/ok")
        await world.deliver(event, sender=StubSender(answered(500)))
        command = world.command(event)
        with closing(Database(world.database._address)) as other:
            with other.transaction() as transaction:
                transaction.run(LOCK_DELIVERIES, id=event.payment_id)
                delivering = asyncio.create_task(world.deliver(command, lane=SLOW))
                # Longer than the session's lock_timeout of 2 s, and shorter than two of it.
                await asyncio.sleep(2.5)
            (report,) = await delivering
        assert report.outcome == "delivered"

    def test_payments_are_locked_in_the_order_of_their_ids(self, world: World) -> None:
        merchant_id, sink = world.merchant(), world.sink
        low, high = sorted(uuid7() for _ in range(2))
        # The order in the table is the other one.
        for id_ in (high, low):
            world.database.run(PAYMENT, id=id_, merchant_id=merchant_id, url=sink)
        with closing(Database(world.database._address)) as other, ThreadPoolExecutor(1) as threads:
            with world.database.transaction() as transaction:
                transaction.run(LOCK_PAYMENT, id=low)
                taking = threads.submit(take_sequences, other, {high: 1, low: 2})
                time.sleep(0.5)
                # Would raise LockTimeout if the other one had begun at the wrong end.
                transaction.run(LOCK_PAYMENT, id=high)
            assert taking.result() == {high: 2, low: 3}


def take_sequences(database: Database, counts: dict[UUID, int]) -> dict[UUID, int]:
    with database.transaction() as transaction:
        return payments.take_sequences(transaction, counts)


class TestIsolation:
    async def test_a_hanging_receiver_delays_nobody_beyond_the_fast_deadline(self, world: World) -> None:
        dead, alive = world.merchant(), world.merchant()
        hanging = [world.event(dead, "/hang") for _ in range(120)]
        good = [world.event(alive, "/ok") for _ in range(20)]
        started = time.monotonic()
        reports = await world.deliver(*hanging, *good)
        assert time.monotonic() - started < 2 * FAST.timeout_seconds + 1
        outcomes = {report.payment_id: report.outcome for report in reports}
        assert {outcomes[event.payment_id] for event in good} == {"delivered"}
        assert sorted({outcomes[event.payment_id] for event in hanging}) == ["postponed", "retry"]

    async def test_what_is_delivered_is_recorded_while_others_hang(self, world: World) -> None:
        hanging, good = world.event(world.merchant(), "/hang"), world.event(world.merchant(), "/ok")
        task = asyncio.create_task(world.deliver(hanging, good, lane=fast_lane(3)))
        await asyncio.sleep(1)
        other = Database(world.database._address)
        assert other.run(DELIVERIES, id=good.payment_id) == [["delivered", 1]]
        assert other.run(ATTEMPTS, id=hanging.payment_id) == [[1, "started", None, None]]
        other.close()
        assert not task.done()
        await task

    async def test_after_a_timeout_first_attempts_go_to_the_slow_lane(self, world: World) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"))
        assert world.database.run(RECEIVERS, id=merchant_id) == [[world.sink, 1, True]]
        event = world.event(merchant_id, "/ok")
        (report,) = await world.deliver(event)
        assert (report.outcome, world.attempts(event)) == ("postponed", [])
        ((command, exchange, routing_key, seconds),) = world.outbox(event)
        assert (exchange, routing_key) == ("payments", "webhooks.retry")
        assert seconds <= 0
        assert await world.deliver(event) == []
        await world.deliver(command, lane=SLOW)
        assert world.attempts(event) == [[1, "delivered", 200, None]]

    async def test_a_prompt_answer_brings_the_receiver_back(self, world: World) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"))
        slow, prompt = world.event(merchant_id, "/slow/0.7"), world.event(merchant_id, "/ok")
        await world.deliver(slow, prompt)
        await world.deliver(world.command(slow), lane=SLOW)
        assert world.database.run(RECEIVERS, id=merchant_id)[0][2]
        await world.deliver(world.command(prompt), lane=SLOW)
        assert world.database.run(RECEIVERS, id=merchant_id) == []

    async def test_failures_in_a_row_make_a_receiver_slow(self, world: World) -> None:
        merchant_id = world.merchant()
        for number in range(1, 6):
            await world.deliver(world.event(merchant_id, "/status/500"))
            assert world.database.run(RECEIVERS, id=merchant_id) == [
                [world.sink, number, True if number >= 5 else None]
            ]

    async def test_one_merchants_slow_receiver_is_fast_for_another(self, world: World) -> None:
        await world.deliver(world.event(world.merchant(), "/hang"))
        (report,) = await world.deliver(world.event(world.merchant(), "/ok"))
        assert report.outcome == "delivered"
