"""Recording attempts while processes die, receivers and the database refuse, and others hold locks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from local.testkit.live import eventually
from local.testkit.locks import held
from local.testkit.webhooks import PAYMENT, SLOW, DeliveryWorld
from paybridge.core.errors import LockTimeout
from paybridge.core.events import DELIVER_WEBHOOK
from paybridge.core.isolation import LOCKS_SECONDS_MAX
from paybridge.database import counters
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.webhooks import begin
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.store.payments import take_sequences
from tests.support.webhook_senders import BreakingSender, Crash, HeldSender, StubSender, answered

pytestmark = pytest.mark.integration

LOCK_DELIVERIES = "SELECT 1 FROM webhook_deliveries WHERE payment_id = :id::uuid FOR UPDATE"
LOCK_ATTEMPTS = """
    SELECT 1 FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id
    WHERE d.payment_id = :id::uuid FOR UPDATE OF a
"""
LOCK_WAITS = Statement("SELECT count(*) FROM pg_locks WHERE NOT granted")
LOCK_PAYMENT = Statement("SELECT 1 FROM payments WHERE id = :id::uuid FOR UPDATE")
LOCKED_RETRY_SECONDS = 300.0


class TestInterruption:
    async def test_a_crash_before_the_outcome_leads_to_another_attempt_with_the_same_id(
        self, world: DeliveryWorld
    ) -> None:
        event = world.event(world.merchant(), "/ok")
        dying = StubSender(Crash())
        with pytest.raises(Crash):
            await world.deliver(event, sender=dying)
        assert world.attempts(event) == [[1, "started", None, None]]
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "interrupted"], [2, "delivered", 200, None]]
        assert world.received(event)[0]["headers"]["webhook-id"] == dying.sent[0][1]["webhook-id"]

    async def test_a_crash_in_a_retry_leads_to_another_attempt_on_redelivery(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        await world.deliver(event, sender=StubSender(answered(500)))
        command = world.command(event)
        with pytest.raises(Crash):
            await world.deliver(command, lane=SLOW, sender=StubSender(Crash()))
        await world.deliver(command, lane=SLOW)
        assert [attempt[:2] for attempt in world.attempts(event)] == [[1, "failed"], [2, "failed"], [3, "delivered"]]

    async def test_interrupted_attempts_take_up_no_place_in_the_schedule(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        for _ in range(3):
            with pytest.raises(Crash):
                await world.deliver(event, delays=(100, 200), sender=StubSender(Crash()))
        (report,) = await world.deliver(event, delays=(100, 200), sender=StubSender(answered(500)))
        assert (report.outcome, report.attempt) == ("retry", 4)
        assert 0 < world.outbox(event)[-1].delay_seconds <= 100
        for outcome in ("retry", "failed"):
            (report,) = await world.deliver(
                world.command(event), lane=SLOW, delays=(100, 200), sender=StubSender(answered(500))
            )
            assert report.outcome == outcome
        assert [attempt[3] for attempt in world.attempts(event)] == ["interrupted"] * 3 + [None] * 3

    async def test_a_late_answer_to_an_attempt_closed_as_interrupted_is_recorded(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        sender = HeldSender()
        slow = asyncio.create_task(world.deliver(event, sender=sender))
        await sender.asked.wait()
        with closing(DeliveryWorld(world.address, StubSender(answered(500)), world.sink)) as other:
            await other.deliver(event)
        assert world.attempts(event)[0] == [1, "failed", None, "interrupted"]
        sender.released.set()
        await slow
        assert world.attempts(event) == [[1, "delivered", 200, None], [2, "failed", 500, None]]
        assert world.deliveries(event) == [["delivered", 2]]

    async def test_a_delivery_that_two_attempts_end_is_counted_once(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        before = counters.read(world.database).get("delivery.delivered", 0)
        sender = HeldSender()
        slow = asyncio.create_task(world.deliver(event, sender=sender))
        await sender.asked.wait()
        with closing(DeliveryWorld(world.address, StubSender(answered(200)), world.sink)) as other:
            await other.deliver(event)
        sender.released.set()
        await slow
        assert [attempt[1] for attempt in world.attempts(event)] == ["delivered", "delivered"]
        assert counters.read(world.database)["delivery.delivered"] - before == 1


class TestFaultsOfOne:
    """One hopeless delivery, and the others of its batch."""

    @pytest.mark.parametrize("url", ["https://xn--a/", "https://xn--/", "https://[::1%25]/x"])
    async def test_an_unreadable_name_is_given_up_and_the_others_arrive(self, world: DeliveryWorld, url: str) -> None:
        odd, good = world.event(world.merchant(), url), world.event(world.merchant(), "/ok")
        reports = await world.deliver(odd, good)
        assert {report.payment_id: report.outcome for report in reports}[good.payment_id] == "delivered"
        assert world.attempts(odd)[0][3] in ("url_not_allowed", "address_not_allowed", "connect_failed")

    async def test_a_sender_that_breaks_fails_one_attempt_and_logs_it(
        self, world: DeliveryWorld, caplog: pytest.LogCaptureFixture
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
        self, world: DeliveryWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        good = world.event(world.merchant(), "/ok")
        odd = world.fact(good.payment_id, good.merchant_id, data={"webhook_url": "https://example.com/\x00"})
        (report,) = await world.deliver(odd, good, good)
        assert (report.payment_id, report.outcome) == (good.payment_id, "delivered")
        assert len(world.received(good)) == 1
        (line,) = [vars(record) for record in caplog.records if record.message == "cannot begin a webhook delivery"]
        assert (line["levelname"], line["event_id"], line["error_type"]) == ("ERROR", str(odd.id), "QueryFailed")

    async def test_an_outcome_that_the_database_refuses_is_logged_and_the_others_recorded(
        self, world: DeliveryWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = world.merchant()
        odd, good = world.event(merchant_id, "/odd"), world.event(merchant_id, "/ok")
        (report,) = await world.deliver(odd, good, sender=BreakingSender("/odd", answered(70_000)))
        assert (report.payment_id, report.outcome) == (good.payment_id, "delivered")
        assert world.deliveries(good) == [["delivered", 1]]
        assert world.attempts(odd) == [[1, "started", None, None]]
        (line,) = [vars(record) for record in caplog.records if record.message == "cannot record a webhook delivery"]
        assert (line["levelname"], line["step"], line["error_type"]) == ("ERROR", "SentAttempt", "QueryFailed")

    async def test_a_command_for_an_unknown_delivery_is_logged_and_the_others_arrive(
        self, world: DeliveryWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        event = world.event(world.merchant(), "/fail-times/1/unknown")
        await world.deliver(event)
        unknown = uuid7()
        strange = [
            world.fact(event.payment_id, event.merchant_id, type=DELIVER_WEBHOOK, data={name: str(unknown)})
            for name in ("delivery_id", "event_id")
        ]
        (report,) = await world.deliver(*strange, world.command(event), lane=SLOW)
        assert report.outcome == "delivered"
        lines = [vars(record) for record in caplog.records if record.message == "a command names an unknown id"]
        assert {(line["levelname"], line["id"]) for line in lines} == {("ERROR", str(unknown))}


class TestLocks:
    async def test_a_locked_delivery_is_put_off_alone(
        self, world: DeliveryWorld, lock_timeouts: list[LockTimeout], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(begin, "LOCKED_RETRY_SECONDS", LOCKED_RETRY_SECONDS)
        merchant_id = world.merchant()
        event, others = world.event(merchant_id, "/ok"), [world.event(merchant_id, "/ok") for _ in range(20)]
        await world.deliver(event, *others, sender=StubSender(answered(500)))
        command, commands = world.command(event), [world.command(other) for other in others]
        with held(world.address, LOCK_DELIVERIES, id=event.payment_id):
            reports = await world.deliver(command, *commands, lane=SLOW)
        assert lock_timeouts == []
        assert {report.payment_id for report in reports if report.outcome == "delivered"} == {
            other.payment_id for other in others
        }
        again = world.outbox(event)[-1]
        assert again.message.data["delivery_id"] == command.data["delivery_id"]
        assert 0 < again.delay_seconds <= LOCKED_RETRY_SECONDS
        (report,) = await world.deliver(again.message, lane=SLOW)
        assert (report.payment_id, report.outcome) == (event.payment_id, "delivered")

    async def test_a_locked_attempt_holds_up_its_delivery_alone(
        self, world: DeliveryWorld, lock_timeouts: list[LockTimeout]
    ) -> None:
        merchant_id = world.merchant()
        event, others = world.event(merchant_id, "/ok"), [world.event(merchant_id, "/ok") for _ in range(20)]
        with pytest.raises(Crash):
            await world.deliver(event, sender=StubSender(Crash()))
        # A batch that waited for as long as its session may would give up all of it.
        world.database.run(Statement(f"SET lock_timeout = {round((LOCKS_SECONDS_MAX + 1) * 1000)}"))
        with held(world.address, LOCK_ATTEMPTS, id=event.payment_id):
            reports = await world.deliver(event, *others)
        # Of all, and of the half with the locked one, down to it alone.
        assert 0 < len(lock_timeouts) <= len(others).bit_length() + 1
        assert {report.payment_id for report in reports} == {other.payment_id for other in others}
        (report,) = await world.deliver(world.outbox(event)[-1].message, lane=SLOW)
        assert (report.payment_id, report.outcome) == (event.payment_id, "delivered")

    async def test_a_row_that_is_locked_while_the_receiver_answers_holds_up_its_delivery_alone(
        self, world: DeliveryWorld
    ) -> None:
        merchant_id = world.merchant()
        event, others = world.event(merchant_id, "/odd"), [world.event(merchant_id, "/ok") for _ in range(20)]
        sender = LockingSender(world.address, LOCK_DELIVERIES, event.payment_id)
        reports = await world.deliver(event, *others, sender=sender)
        sender.release()
        assert {report.payment_id for report in reports} == {other.payment_id for other in others}
        again = world.outbox(event)[-1].message
        (report,) = await world.deliver(again, lane=SLOW)
        assert (report.payment_id, report.outcome) == (event.payment_id, "delivered")

    @pytest.mark.parametrize("answer", [answered(200), answered(500)], ids=["recovered", "failed"])
    async def test_a_locked_record_of_a_receiver_holds_up_nothing(
        self, world: DeliveryWorld, lock_timeouts: list[LockTimeout], answer: SendResult
    ) -> None:
        merchant_id = world.merchant()
        first, second = world.event(merchant_id, "/ok"), world.event(merchant_id, "/ok")
        await world.deliver(first, sender=StubSender(answered(500)))
        lock = "SELECT 1 FROM webhook_receivers WHERE merchant_id = :id::uuid FOR UPDATE"
        with held(world.address, lock, id=merchant_id):
            (report,) = await world.deliver(second, sender=StubSender(answer))
        assert lock_timeouts == []
        assert report.outcome == ("delivered" if answer.status_code == 200 else "retry")

    async def test_a_locked_merchant_holds_up_no_delivery(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/ok")
        with held(world.address, "SELECT 1 FROM merchants WHERE id = :id::uuid FOR UPDATE", id=merchant_id):
            (report,) = await world.deliver(event)
        assert report.outcome == "delivered"

    def test_payments_are_locked_in_the_order_of_their_ids(self, world: DeliveryWorld) -> None:
        merchant_id, sink = world.merchant(), world.sink
        low, high = sorted(uuid7() for _ in range(2))
        # Inserted in the opposite order.
        for id_ in (high, low):
            world.database.run(PAYMENT, id=id_, merchant_id=merchant_id, url=sink)
        with closing(Database(world.address)) as other, ThreadPoolExecutor(1) as threads:
            with world.database.transaction() as transaction:
                transaction.run(LOCK_PAYMENT, id=low)
                taking = threads.submit(reserve, other, {high: 1, low: 2})
                eventually(lambda: transaction.run(LOCK_WAITS) == [[1]], "the other transaction waits")
                # Raises LockTimeout if the other transaction started with the higher id.
                transaction.run(LOCK_PAYMENT, id=high)
            assert taking.result() == {high: 2, low: 3}


class LockingSender(StubSender):
    """Answers every request, and has a row locked from the first one on until `release`."""

    def __init__(self, address: DatabaseAddress, lock: str, payment_id: UUID) -> None:
        super().__init__(answered(200))
        self._holding = ExitStack()
        self._lock = held(address, lock, id=payment_id)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        if not self.sent:
            self._holding.enter_context(self._lock)
        return await super().send(url, headers, body, timeout_seconds)

    def release(self) -> None:
        self._holding.close()


def reserve(database: Database, counts: dict[UUID, int]) -> dict[UUID, int]:
    with database.transaction() as transaction:
        return take_sequences(transaction, counts)
