"""The figures of days follow from events alone, whatever their order and however often the job runs or dies."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.testkit.payments import new_merchant, new_payment
from paybridge.analytics import update as update_module
from paybridge.analytics.store import cursors, projection
from paybridge.analytics.update import update_analytics
from paybridge.core.errors import LockTimeout
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement, Transaction
from paybridge.outbox import store as outbox
from paybridge.wiring.analytics import services_over
from tests.support.analytics import NOON, RUN_SECONDS_MAX, World, again
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

_DIRTY = Statement("SELECT count(*) FROM analytics.dirty_days WHERE merchant_id = :merchant_id::uuid")


class TestADay:
    def test_counts_payments_by_outcome_and_adds_up_amounts(self, world: World) -> None:
        world.write(
            *world.payment(),
            *world.payment(("processing", 1), ("requires_capture", 2)),
            *world.payment(("processing", 1), ("succeeded", 2)),
            *world.payment(("succeeded", 4), ("refunded", 90)),
            *world.payment(("failed", 6)),
            *world.payment(("canceled", 8)),
        )
        world.update()
        day = world.day()
        counts = ("payments", "open", "authorized", "succeeded", "failed", "canceled")
        assert [day[name] for name in counts] == [6, 1, 1, 2, 1, 1]
        assert (day["amount"], day["volume"], day["day"]) == ("603.00", "201.00", "2026-03-14")
        assert day["failure_rate"] == Decimal("0.200000")
        # The first outcome counts: 2, 2, 4, 6 and 8 seconds. What is open has none.
        seconds = [day[f"processing_{name}_seconds"] for name in ("mean", "p50", "p95")]
        assert seconds == [Decimal("4.400"), Decimal("4.000"), Decimal("8.000")]

    def test_a_day_without_an_outcome_has_no_rates(self, world: World) -> None:
        world.write(*world.payment())
        world.update()
        day = world.day()
        names = ("failure_rate", "webhook_success_rate", "processing_mean_seconds", "processing_p50_seconds")
        assert [day[name] for name in names] == [None] * 4
        assert day["volume"] == "0.00"

    def test_every_digit_of_large_sums_and_small_places_is_kept(self, world: World) -> None:
        large = "999999999999999"
        for _ in range(12):
            world.write(*world.payment(("succeeded", 1), amount=large, currency="JPY"))
        world.write(*world.payment(("succeeded", 1), amount="0.001", currency="KWD"))
        world.update()
        assert {day["currency"]: day["volume"] for day in world.days()} == {"JPY": "11999999999999988", "KWD": "0.001"}

    def test_refunds_count_on_the_day_they_were_asked_for(self, world: World) -> None:
        later = NOON + timedelta(days=2)
        world.write(
            *world.payment(("succeeded", 1)),
            *world.refund(("succeeded", 1), begin_at=later),
            *world.refund(("failed", 1), begin_at=later),
            # The bank takes it back a day later.
            *world.refund(("succeeded", 1), ("failed", 86_400), begin_at=later),
            *world.refund(begin_at=later),
        )
        world.update()
        _, day = world.days()
        assert (day["day"], day["payments"]) == ("2026-03-16", 0)
        assert [day[name] for name in ("refunds", "refunds_failed", "refunds_open", "refunded")] == [1, 2, 1, "30.00"]

    def test_webhooks_count_on_the_day_they_began(self, world: World) -> None:
        world.write(*world.payment(("succeeded", 1)))
        for status in ("delivered", "delivered", "delivered", "failed", "canceled"):
            world.end_delivery(status)
        sent_again = world.end_delivery("gone", created_at=NOON + timedelta(days=1))
        world.update()
        first, second = world.days()
        assert (first["webhooks_delivered"], first["webhooks_failed"]) == (3, 1)
        assert first["webhook_success_rate"] == Decimal("0.750000")
        assert (second["webhooks_delivered"], second["webhooks_failed"]) == (0, 1)
        # Sent again, it counts as delivered on its own day.
        world.end_delivery("delivered", id_=sent_again, created_at=NOON + timedelta(days=1))
        world.update()
        assert [day["webhooks_delivered"] for day in world.days()] == [3, 1]

    def test_days_are_those_of_utc_and_of_one_currency(self, world: World) -> None:
        midnight = NOON.replace(hour=0)
        world.write(
            *world.payment(begin_at=midnight - timedelta(microseconds=1)),
            *world.payment(begin_at=midnight),
            *world.payment(begin_at=midnight, currency="USD"),
        )
        world.update()
        found = [(day["day"], day["currency"], day["payments"]) for day in world.days()]
        assert found == [("2026-03-13", "EUR", 1), ("2026-03-14", "EUR", 1), ("2026-03-14", "USD", 1)]

    def test_what_the_api_writes_is_read(self, world: World) -> None:
        payment_id = new_payment(world.database, world.merchant_id)
        world.update()
        (day,) = world.days(first=NOON.date(), last=NOON.date() + timedelta(days=3650))
        assert (day["currency"], day["payments"], day["open"], day["amount"]) == ("RUB", 1, 1, "100.50"), payment_id


class TestOrder:
    @settings(max_examples=12)
    @given(st.randoms(use_true_random=False), st.integers(1, 9))
    def test_any_order_and_repetition_gives_the_same_days(self, chance: random.Random, slice_events: int) -> None:
        self.world.merchant_id = new_merchant(self.world.database)
        world = self.world
        midnight = NOON.replace(hour=0)
        events = [
            *world.payment(("processing", 1), ("succeeded", 2)),
            *world.payment(("requires_capture", 3), ("succeeded", 60), ("partially_refunded", 70)),
            *world.payment(("failed", 5), begin_at=midnight - timedelta(seconds=1)),
            *world.payment(("review", 1), ("processing", 9), ("canceled", 10), currency="USD"),
            *world.refund(("succeeded", 4), ("failed", 99)),
            *world.refund(("succeeded", 7), begin_at=NOON + timedelta(days=1)),
        ]
        world.write(*events)
        world.update()
        expected = [{**day, "merchant_id": None} for day in world.days()]
        assert len(expected) == 4

        world.merchant_id = new_merchant(world.database)
        events = [replace(event, merchant_id=world.merchant_id) for event in events]
        mixed = [*again(events, world.ids), *again(chance.sample(events, 7), world.ids)]
        chance.shuffle(mixed)
        self.monkeypatch.setattr(update_module, "SLICE_EVENTS", slice_events)
        while mixed:
            # Some runs find one event of a payment, and others several.
            count = chance.randint(1, 6)
            world.write(*mixed[:count])
            del mixed[:count]
            if chance.random() < 0.5:
                world.update()
        world.update()
        assert [{**day, "merchant_id": None} for day in world.days()] == expected

    @pytest.fixture(autouse=True)
    def _around_all_examples(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.monkeypatch = world, monkeypatch

    def test_a_second_run_changes_nothing(self, world: World) -> None:
        world.write(*world.payment(("succeeded", 2)), *world.refund(("succeeded", 4)))
        world.end_delivery("delivered")
        world.update()
        before = world.days()
        updated = world.update()
        assert (updated.events, updated.deliveries, updated.days, updated.is_up_to_date) == (0, 0, 0, True)
        assert world.days() == before

    def test_a_late_event_changes_the_day_of_its_payment(self, world: World) -> None:
        created, succeeded = world.payment(("succeeded", 86_400 * 40))
        world.write(created)
        world.update()
        assert world.day()["open"] == 1
        world.write(succeeded)
        world.update()
        day = world.day()
        assert (day["open"], day["succeeded"], day["volume"]) == (0, 1, "100.50")

    def test_an_event_that_commits_late_is_not_skipped(self, world: World, database_address: DatabaseAddress) -> None:
        world.write(*world.payment())
        await_horizon(world.database)
        early, late = world.payment(), world.payment(("failed", 1))
        with closing(Database(database_address)) as other:
            with other.transaction() as transaction:
                outbox.add(transaction, late)
                # This one is committed first, in a transaction that began later.
                world.write(*early)
                update_analytics(services_over(world.database), RUN_SECONDS_MAX)
                assert world.day()["payments"] == 1
            world.update()
        assert (world.day()["payments"], world.day()["failed"]) == (3, 1)

    def test_an_event_that_cannot_be_read_stops_nothing(self, world: World) -> None:
        broken = [event for amount in ("1e5", "", "-1.00") for event in world.payment(amount=amount)]
        world.write(*broken, *world.payment(created_at="yesterday"))
        spoiled = world.payment()
        world.write(*spoiled, *world.payment(("succeeded", 1)))
        body = Statement("UPDATE outbox SET body = 'no JSON' WHERE id = :id::uuid")
        world.database.run(body, id=spoiled[0].id)
        world.update()
        assert (world.day()["payments"], world.day()["succeeded"]) == (1, 1)


class TestMonths:
    def test_days_add_up_to_months(self, world: World) -> None:
        chance = random.Random(7)
        for number in range(60):
            begin_at = NOON + timedelta(days=chance.randrange(100))
            outcome = chance.choice(["succeeded", "failed", "canceled"])
            steps = [(outcome, chance.randint(1, 90))] if number % 5 else []
            world.write(*world.payment(*steps, begin_at=begin_at, amount=f"{chance.randint(1, 999)}.{number:02}"))
            world.write(*world.refund((chance.choice(["succeeded", "failed"]), 3), begin_at=begin_at))
            world.end_delivery(chance.choice(["delivered", "failed"]), created_at=begin_at)
        world.update()
        days, months = world.days(), world.months()
        assert [month["month"] for month in months] == ["2026-03", "2026-04", "2026-05", "2026-06"]
        added = ("payments", "open", "succeeded", "failed", "canceled", "refunds", "refunds_failed",
                 "webhooks_delivered", "webhooks_failed", "amount", "volume", "refunded")  # fmt: skip
        for month in months:
            of_month = [day for day in days if day["day"].startswith(month["month"])]
            assert len(of_month) > 1
            for name in added:
                assert Decimal(month[name]) == sum(Decimal(day[name]) for day in of_month), name
            settled = [Decimal(day["payments"] - day["open"]) for day in of_month]
            means = [day["processing_mean_seconds"] or Decimal(0) for day in of_month]
            weighted = sum(mean * count for mean, count in zip(means, settled, strict=True)) / sum(settled)
            assert abs(month["processing_mean_seconds"] - weighted) < Decimal("0.01")
            assert "processing_p50_seconds" not in month


class TestTwoAtOnce:
    def test_two_workers_give_the_same_days_as_one(self, world: World, database_address: DatabaseAddress) -> None:
        for number in range(40):
            world.write(*world.payment(("succeeded", number)), *world.refund(("succeeded", 1)))
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with closing(Database(database_address)) as database:
                    for _ in range(10):
                        update_analytics(services_over(database), 60)
            except BaseException as error:  # noqa: BLE001 - the test reports it.
                failures.append(error)

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for number in range(40):
            world.write(*world.payment(("failed", number)))
        for worker in workers:
            worker.join()
        assert failures == []
        world.update()
        day = world.day()
        assert (day["payments"], day["succeeded"], day["failed"], day["refunds"]) == (80, 40, 40, 40)

    def test_a_cursor_that_another_worker_holds_is_passed_by(
        self, world: World, database_address: DatabaseAddress
    ) -> None:
        world.write(*world.payment())
        world.update()
        world.write(*world.payment())
        hold = Statement("SELECT FROM analytics.event_cursors WHERE merchant_id = :merchant_id::uuid FOR UPDATE")
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            transaction.run(hold, merchant_id=world.merchant_id)
            world.update()
            assert world.day()["payments"] == 1
        world.update()
        assert world.day()["payments"] == 2

    def test_a_change_that_commits_while_its_day_is_computed_is_not_lost(
        self, world: World, database_address: DatabaseAddress
    ) -> None:
        """The other worker has taken over an event of a marked day, and commits after this one has computed days."""
        world.write(*world.payment())
        await_horizon(world.database)
        with world.database.transaction() as transaction:
            take_over(transaction, world.merchant_id)
        world.write(*world.payment(("failed", 1)))
        await_horizon(world.database)
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            take_over(transaction, world.merchant_id)
            update_analytics(services_over(world.database), RUN_SECONDS_MAX)
        world.update()
        assert (world.day()["payments"], world.day()["failed"]) == (2, 1)


def take_over(transaction: Transaction, merchant_id: UUID) -> None:
    """Take over what a slice does, and leave the computation to others."""
    position = cursors.lock(transaction, merchant_id)
    assert position is not None
    end, count, _ = projection.take_over_events(transaction, merchant_id, position, 1000)
    cursors.save(transaction, merchant_id, end, count)


class TestDeath:
    @pytest.mark.parametrize("step", ["take_over_events", "save", "compute", "save_deliveries"])
    def test_the_next_run_goes_on_where_a_process_died(
        self, world: World, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.write(*world.payment(("succeeded", 2)), *world.refund(("succeeded", 4)))
        world.end_delivery("delivered")
        modules = [update_module.projection, update_module.cursors, update_module.aggregates]
        (module,) = [each for each in modules if hasattr(each, step)]
        done = getattr(module, step)

        def die(*arguments: object) -> None:
            done(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(module, step, die)
            with pytest.raises(KeyboardInterrupt):
                world.update()
        world.update()
        day = world.day()
        assert (day["succeeded"], day["refunds"], day["webhooks_delivered"]) == (1, 1, 1)
        assert world.database.run(_DIRTY, merchant_id=world.merchant_id) == [[0]]

    def test_a_short_run_goes_on_later(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(update_module, "SLICE_EVENTS", 2)
        for _ in range(5):
            world.write(*world.payment(("succeeded", 2)))
        world.update()
        times = iter(range(1000))
        updated = update_analytics(services_over(world.database), 10, lambda: float(next(times)))
        assert updated.is_up_to_date in {True, False}
        assert world.day()["succeeded"] == 5

    def test_a_locked_day_is_left_for_the_next_run(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.write(*world.payment())

        def locked(*_: object) -> None:
            raise LockTimeout("another transaction has it")

        with monkeypatch.context() as patched:
            patched.setattr(update_module.projection, "take_over_events", locked)
            assert world.update().events == 0
        world.update()
        assert world.day()["payments"] == 1


class TestRest:
    def test_a_busy_day_is_computed_again_once_it_has_rested(self, world: World) -> None:
        world.write(*world.payment())
        world.update()
        slow = Statement("UPDATE analytics.days SET seconds_spent = 1000 WHERE merchant_id = :merchant_id::uuid")
        world.database.run(slow, merchant_id=world.merchant_id)
        world.write(*world.payment())
        update_analytics(services_over(world.database), 60)
        assert world.day()["payments"] == 1
        world.update()
        assert world.day()["payments"] == 2
