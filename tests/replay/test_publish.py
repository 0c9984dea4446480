"""What the relay publishes for replays, with a real database and broker."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta

import orjson
import pytest

from local.testkit.dying_database import DyingDatabase
from local.testkit.payments import new_payment, outbox_rows
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Statement
from paybridge.outbox import store as outbox
from paybridge.outbox.relay import relay_once
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.replay.read import read_replay
from paybridge.replay.store import facts
from tests.replay.conftest import NOW, ReplayWorld

pytestmark = [pytest.mark.integration, pytest.mark.broker]

MICROSECOND = timedelta(microseconds=1)
_BODY = Statement("SELECT body FROM outbox WHERE id = :id::uuid")
_DUE_IN = Statement("""
    SELECT extract(epoch FROM available_at - :before::timestamptz)::float8 FROM outbox WHERE type = 'command.replay'
""")
_DUE_AT = Statement("SELECT available_at FROM outbox WHERE type = 'command.replay'")
_LATE = Statement("""
    UPDATE outbox SET available_at = now() - make_interval(secs => 60) WHERE type = 'command.replay'
""")


class TestRange:
    async def test_both_ends_are_exact_to_the_microsecond(self, world: ReplayWorld) -> None:
        begin_at, end_at = NOW, NOW + timedelta(minutes=1)
        world.fact(begin_at - MICROSECOND)
        first, last = world.fact(begin_at), world.fact(end_at - MICROSECOND)
        world.fact(end_at)
        world.start(begin_at=begin_at, end_at=end_at)
        await world.until_done()
        assert await world.ids() == [str(first.id), str(last.id)]

    async def test_ranges_that_meet_send_each_fact_once(self, world: ReplayWorld) -> None:
        sent = [str(world.fact(NOW + number * MICROSECOND).id) for number in range(20)]
        middle = NOW + 10 * MICROSECOND
        world.start(end_at=middle)
        world.start(begin_at=middle)
        await world.until_done()
        assert sorted(await world.ids()) == sorted(sent)

    @pytest.mark.parametrize("seconds", [-599, 599])
    async def test_an_id_made_by_another_clock_hides_no_fact(self, world: ReplayWorld, seconds: int) -> None:
        fact = world.fact(NOW)
        moved = world.fact(NOW + timedelta(seconds=seconds), time=NOW)
        world.start(begin_at=NOW, end_at=NOW + MICROSECOND)
        await world.until_done()
        assert sorted(await world.ids()) == sorted([str(fact.id), str(moved.id)])

    async def test_nothing_in_the_range_is_finished_at_once(self, world: ReplayWorld) -> None:
        replay = world.start()
        await world.passes()
        found = read_replay(world.services, replay.id)
        assert found is not None
        assert (found.state, found.checked, found.progress) == ("finished", 0, 1.0)

    async def test_a_fact_that_was_being_written_when_it_began_is_waited_for(self, world: ReplayWorld) -> None:
        early, late = world.fact(NOW + MICROSECOND), world.event(NOW)
        with closing(world.database.another()) as other:
            with other.transaction() as transaction:
                outbox.add(transaction, [late])
                world.start()
                await world.passes(3)
                assert await world.ids() == []
            world.mark_published()
        await world.until_done()
        assert sorted(await world.ids()) == sorted([str(early.id), str(late.id)])


class TestMessages:
    async def test_one_queue_gets_the_message_as_it_was_with_the_id_of_the_replay(self, world: ReplayWorld) -> None:
        fact = world.fact()
        replay = world.start(consumer="notifications")
        await world.until_done()
        (got,) = await world.taken("notifications")
        assert (got.message_id, got.type, got.correlation_id) == (str(fact.id), "payment.succeeded", "corr-1")
        assert got.body == world.database.run(_BODY, id=fact.id)[0][0].encode()
        assert orjson.loads(got.body)["id"] == str(fact.id)
        assert got.headers.pop("x-delivery-count", 0) == 0
        assert got.headers == {"replay-id": str(replay.id)}
        for queue in ("webhooks", "webhooks.retry", "payments.new", "payments.dead"):
            assert await world.taken(queue) == []

    async def test_commands_and_facts_that_are_only_recorded_stay(self, world: ReplayWorld) -> None:
        world.fact(type_="payment.processing")
        world.fact(type_="payment.created")
        world.fact(type_="webhook.exhausted")
        fact = world.fact(type_="refund.created")
        world.start(consumer="notifications")
        await world.until_done()
        assert await world.ids("notifications") == [str(fact.id)]

    async def test_types_and_families_choose(self, world: ReplayWorld) -> None:
        world.fact(type_="payment.failed")
        wanted = [str(world.fact(NOW + MICROSECOND, type_).id) for type_ in ("refund.created", "payment.succeeded")]
        world.start(types=("refund.*", "payment.succeeded"))
        await world.until_done()
        assert sorted(await world.ids()) == sorted(wanted)

    async def test_the_fact_itself_is_not_changed(self, world: ReplayWorld) -> None:
        fact = world.fact()
        assert fact.payment_id is not None
        before = outbox_rows(world.database, fact.payment_id)
        world.start()
        await world.until_done()
        assert outbox_rows(world.database, fact.payment_id) == before


class TestSlices:
    async def test_progress_is_told_and_the_rate_is_kept(self, world: ReplayWorld) -> None:
        sent = world.facts(7)
        replay = world.start(rate_per_second=8.0)
        due_at = world.database.run(_DUE_AT)[0][0]
        await world.passes(at_once=False)
        assert await world.ids() == sent[:2]
        # Two facts at 8 a second, counted from when the slice was due.
        assert world.database.run(_DUE_IN, before=due_at)[0][0] >= 0.25
        found = read_replay(world.services, replay.id)
        assert found is not None
        assert (found.state, found.checked, dict(found.events)) == ("running", 2, {"payment.succeeded": 2})
        assert 0.4 < found.progress < 0.6
        await world.until_done()
        assert await world.ids() == sent[2:]

    async def test_an_outage_is_not_caught_up_by_a_burst(self, world: ReplayWorld) -> None:
        sent = world.facts(40)
        world.start(rate_per_second=0.1)
        world.database.run(_LATE)
        await world.passes(5, at_once=False)
        # One slice for the row that was late, and one that it lets be due at once.
        assert await world.ids() == sent[:2]

    async def test_many_rows_without_a_wanted_fact_are_passed_over_in_parts(
        self, world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(facts, "SCANNED_ROWS_MAX", 3)
        world.facts(10, type_="payment.failed")
        wanted = world.facts(2, NOW + timedelta(seconds=1))
        world.facts(10, NOW + timedelta(seconds=2), type_="payment.failed")
        world.start(types=("payment.succeeded",))
        await world.until_done()
        assert await world.ids() == wanted

    async def test_a_slice_holds_few_bytes_and_at_least_one_fact(
        self, world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(facts, "BYTES_MAX", 10)
        sent = world.facts(3)
        world.start()
        await world.passes()
        assert await world.ids() == sent[:1]
        await world.until_done()
        assert await world.ids() == sent[1:]

    async def test_messages_that_are_due_go_out_in_the_same_pass(self, world: ReplayWorld) -> None:
        sent = world.facts(50)
        world.start(rate_per_second=1000.0)
        payment_id = new_payment(world.database, world.merchant_id)
        await world.passes()
        assert await world.ids("payments.new") == [row["id"] for row in outbox_rows(world.database, payment_id)]
        assert await world.ids() == sent

    async def test_two_relays_at_once_send_each_fact_once(self, world: ReplayWorld) -> None:
        sent = world.facts(60)
        world.start(rate_per_second=40.0)
        with closing(world.database.another()) as second:
            await asyncio.gather(world.passes(20), world.passes(20, second))
        await world.until_done()
        assert sorted(await world.ids()) == sorted(sent)


class TestFaults:
    async def test_a_relay_that_dies_at_any_statement_skips_nothing(
        self, world: ReplayWorld, database_address: DatabaseAddress
    ) -> None:
        sent = world.facts(40)
        world.start(rate_per_second=8.0)
        deaths = 0
        for step in range(1, 100):
            with closing(DyingDatabase(database_address, step)) as dying:
                try:
                    await world.passes(5, dying)
                except DatabaseUnavailable:
                    deaths += dying.has_died
                else:
                    break
        assert deaths >= 15
        await world.until_done()
        assert set(await world.ids()) == set(sent)

    async def test_what_the_broker_refuses_is_sent_again_later_and_said(self, world: ReplayWorld) -> None:
        sent = world.facts(3)
        replay = world.start()
        await world.bind("webhooks", is_bound=False)
        await world.passes()
        assert [refusal.event_type for refusal in world.refusals] == ["command.replay"]
        found = read_replay(world.services, replay.id)
        assert found is not None
        assert (found.checked, found.state) == (0, "running")
        assert found.problem
        await world.bind("webhooks", is_bound=True)
        await world.until_done()
        assert await world.ids() == sent
        found = read_replay(world.services, replay.id)
        assert found is not None
        assert (found.state, found.problem) == ("finished", None)

    async def test_a_relay_of_an_earlier_release_sends_nothing_and_loses_nothing(self, world: ReplayWorld) -> None:
        sent = world.facts(2)
        world.start()
        async with open_publisher(world.vhost.amqp_url) as publisher:
            with world.database.transaction() as transaction:
                rows = outbox.claim(transaction, 10)
                assert [reason is None for reason in await publisher.publish(rows, 10.0)] == [False]
        await world.until_done()
        assert await world.ids() == sent

    async def test_a_relay_without_replays_leaves_the_row(self, world: ReplayWorld) -> None:
        sent = world.facts(2)
        world.start()
        async with open_publisher(world.vhost.amqp_url) as publisher:
            relayed = await relay_once(world.database, publisher, 100, world.refusals.append)
        assert (relayed.claimed, relayed.refused) == (0, 0)
        await world.until_done()
        assert await world.ids() == sent
