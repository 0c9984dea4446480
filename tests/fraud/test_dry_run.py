"""A dry run decides as screening would have, in the order of time, however it is cut into slices."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.payments import MovableClock, new_merchant, rows
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.fraud import dry_run
from paybridge.fraud.domain.dry_run import DryRunState
from paybridge.fraud.domain.rules import ScreenedPayment
from paybridge.fraud.dry_run import clean_up, read_dry_run, start_dry_run, work_on, work_on_dry_runs
from paybridge.fraud.ports import FraudServices
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.fraud.screen import find_rules, screen_payments
from paybridge.payments.store.history import StoredHistory

pytestmark = pytest.mark.integration

PAYMENT = Statement("""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, currency_places, status, customer,
                          payment_method, correlation_id, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, :amount::bigint, :amount::bigint, 'EUR', 2, 'succeeded', :customer::text,
            :payment_method::text, 'c', :at::timestamptz, :at::timestamptz)
""")
RULES = [
    {"id": "first", "action": "review", "score": 1, "when": {"first_seen_customer": True}},
    {
        "id": "often",
        "action": "block",
        "score": 2,
        "when": {"velocity": {"per": "customer", "window_seconds": 600, "count_gte": 3}},
    },
    {
        "id": "much",
        "action": "review",
        "score": 4,
        "when": {"velocity": {"per": "merchant", "window_seconds": 300, "amount_gte": "400.00"}},
    },
    {"id": "large", "action": "block", "score": 8, "when": {"amount_gte": "99.00", "currency_in": ["EUR"]}},
    {"id": "vip", "action": "allow", "when": {"customer_in": ["customer 7"]}},
]
END = datetime(2026, 11, 20, tzinfo=UTC)
COUNT = 240


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


@pytest.fixture
def services(database: Database) -> FraudServices:
    return FraudServices(database, MovableClock(), Uuid7Ids(), StoredHistory())


def id_at(at: datetime, number: int) -> uuid.UUID:
    """A UUIDv7 of that moment."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0x8 << 60 | number)


def make_payments(database: Database, merchant_id: uuid.UUID, count: int = COUNT) -> list[ScreenedPayment]:
    """Payments of an hour, in the order of time."""
    chance = random.Random(7)
    made = []
    for number in range(count):
        at = END - timedelta(seconds=(count - number) * 3600 / count)
        payment = ScreenedPayment(
            payment_id=id_at(at, merchant_id.int % 2**32 << 16 | number),
            merchant_id=merchant_id,
            at=at,
            amount_minor=chance.randrange(100, 11_000),
            currency="EUR",
            currency_places=2,
            customer=chance.choice([None, *(f"customer {each}" for each in range(12))]),
            payment_method="m",
        )
        made.append(payment)
        database.run(
            PAYMENT,
            id=payment.payment_id,
            merchant_id=merchant_id,
            amount=payment.amount_minor,
            customer=payment.customer,
            payment_method=payment.payment_method,
            at=at,
        )
    return made


class NoHistory(StoredHistory):
    """For payments that are all in the rehearsal: nothing was before them."""

    def known_customers(self, transaction: Any, looks: Any) -> set[Any]:
        return set()


def screen_one_by_one(database: Database, payments: list[ScreenedPayment]) -> list[tuple[str, tuple[str, ...]]]:
    """What the real thing makes of the same payments, for another merchant."""
    merchant_id = new_merchant(database)
    replace_fraud_rules(database, MovableClock(), merchant_id, RULES, "a test")
    found = []
    for payment in payments:
        values = {name: getattr(payment, name) for name in payment.__slots__} | {"merchant_id": merchant_id}
        copy = ScreenedPayment(**values | {"payment_id": Uuid7Ids().new()})
        with database.transaction() as transaction:
            screened = screen_payments(
                transaction,
                [copy],
                find_rules(transaction, [merchant_id]),
                payment.at,
                history=NoHistory(),
                review_expiry_seconds=60,
            )
        screening = screened[copy.payment_id]
        found.append((str(screening.decision), screening.rules))
    return found


class TestDecisions:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_are_those_of_the_real_thing(
        self,
        database: Database,
        services: FraudServices,
        merchant_id: uuid.UUID,
        monkeypatch: pytest.MonkeyPatch,
        size: int,
    ) -> None:
        """Velocities also count the payments of the time before."""
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", size)
        payments = make_payments(database, merchant_id)
        real = screen_one_by_one(database, payments)
        begin_at = END - timedelta(minutes=30)
        wanted = [each for payment, each in zip(payments, real, strict=True) if payment.at >= begin_at]
        assert len({decision for decision, _ in wanted}) == 3
        found = start_dry_run(services, merchant_id, RULES, begin_at, END)
        while found.state is DryRunState.RUNNING:
            found = work_on(services, found.id, 10) or found
        view = found.view()
        assert (view["total"], view["checked"], view["progress"]) == (len(wanted), len(wanted), 1.0)
        assert {name: number for name, number in view["decisions"].items() if number} == Counter(
            decision for decision, _ in wanted
        )
        fired = Counter(itertools.chain.from_iterable(rules for _, rules in wanted))
        assert view["rules"] == {rule["id"]: fired[rule["id"]] for rule in RULES}
        shown = [(sample["decision"], tuple(sample["rules"])) for sample in view["samples"]]
        for action in ("review", "block"):
            of_action = [each for each in wanted if each[0] == action]
            assert [each for each in shown if each[0] == action] == of_action[:20]

    def test_a_dry_run_counts_nothing_for_the_real_thing(
        self, database: Database, services: FraudServices, merchant_id: uuid.UUID
    ) -> None:
        make_payments(database, merchant_id, 20)
        start_dry_run(services, merchant_id, RULES, END - timedelta(days=1), END)
        sql = "SELECT to_json(count) FROM fraud_counters WHERE owner_id = :id::uuid"
        assert rows(database, sql, id=merchant_id) == []
        assert (
            rows(database, "SELECT to_json(1) FROM fraud_decisions WHERE merchant_id = :id::uuid", id=merchant_id) == []
        )

    def test_of_another_merchant_are_not_read(
        self, database: Database, services: FraudServices, merchant_id: uuid.UUID
    ) -> None:
        make_payments(database, merchant_id, 5)
        found = start_dry_run(services, new_merchant(database), RULES, END - timedelta(days=1), END)
        assert (found.state, found.total, found.checked) == (DryRunState.FINISHED, 0, 0)
        assert read_dry_run(services, new_merchant(database), found.id) is None


class TestWork:
    def test_two_at_once_do_each_slice_once(
        self,
        database: Database,
        database_address: DatabaseAddress,
        services: FraudServices,
        merchant_id: uuid.UUID,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 3)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        make_payments(database, merchant_id, 30)
        found = start_dry_run(services, merchant_id, RULES, END - timedelta(days=1), END)
        with closing(Database(database_address)) as other:
            held = FraudServices(other, services.clock, services.ids, services.history)
            with database.transaction() as transaction:
                transaction.run(Statement("SELECT 1 FROM fraud_dry_runs WHERE id = :id::uuid FOR UPDATE"), id=found.id)
                assert work_on(held, found.id, 0) is None
                waiting = read_dry_run(held, merchant_id, found.id)
                assert waiting is not None
                assert waiting.read == found.read
            after = work_on(held, found.id, 10)
        assert after is not None
        assert (after.state, after.checked) == (DryRunState.FINISHED, 30)

    def test_a_death_loses_no_slice_and_doubles_none(
        self,
        database: Database,
        database_address: DatabaseAddress,
        services: FraudServices,
        merchant_id: uuid.UUID,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 10)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        make_payments(database, merchant_id, 20)
        found = start_dry_run(services, merchant_id, RULES, END - timedelta(days=1), END)

        def look() -> list[Any]:
            counted = "SELECT to_json(c) FROM fraud_counters c WHERE owner_id = :id::uuid ORDER BY digest"
            return [
                rows(database, "SELECT to_json(d) FROM fraud_dry_runs d WHERE id = :id::uuid", id=found.id),
                rows(database, counted, id=found.id),
            ]

        def act(dying: Database) -> None:
            work_on(FraudServices(dying, services.clock, services.ids, services.history), found.id, 0)

        assert die_at_every_step(database_address, act, look) >= 6

    def test_the_jobs_finish_what_is_not_asked_for(
        self, database: Database, services: FraudServices, merchant_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 3)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        make_payments(database, merchant_id, 10)
        found = start_dry_run(services, merchant_id, RULES, END - timedelta(days=1), END)
        assert found.state is DryRunState.RUNNING
        assert work_on_dry_runs(services) >= 1
        after = read_dry_run(services, merchant_id, found.id)
        assert after is not None
        assert (after.state, after.checked) == (DryRunState.FINISHED, 10)


class TestCleanUp:
    def test_old_counters_go_and_count_on_from_nothing(self, database: Database, services: FraudServices) -> None:
        merchant_id, clock = new_merchant(database), MovableClock()
        rule = {
            "id": "v",
            "action": "block",
            "when": {"velocity": {"per": "customer", "window_seconds": 60, "count_gte": 1}},
        }
        replace_fraud_rules(database, clock, merchant_id, [rule], "a test")

        def counters_and_points() -> list[int]:
            tables = ("fraud_counters", "fraud_counter_points")
            sql = "SELECT to_json(count(*)) FROM {} WHERE owner_id = :id::uuid"
            return [int(str(rows(database, sql.format(table), id=merchant_id)[0])) for table in tables]

        def screen(at: datetime) -> str:
            payment = ScreenedPayment(
                payment_id=Uuid7Ids().new(),
                merchant_id=merchant_id,
                at=at,
                amount_minor=1,
                currency="EUR",
                currency_places=2,
                customer="c",
                payment_method=None,
            )
            with database.transaction() as transaction:
                found = screen_payments(
                    transaction,
                    [payment],
                    find_rules(transaction, [merchant_id]),
                    at,
                    history=services.history,
                    review_expiry_seconds=60,
                )
            return str(found[payment.payment_id].decision)

        now = clock.now()
        assert [screen(now), screen(now + timedelta(days=1))] == ["allow", "allow"]
        assert counters_and_points() == [2, 4]
        later = MovableClock()
        later.move(31.5 * 86400)
        clean_up(FraudServices(database, later, services.ids, services.history))
        # The points of the second day are still needed, and so are the counters.
        assert counters_and_points() == [2, 2]
        assert screen(now + timedelta(days=1, seconds=30)) == "block"
        later.move(40 * 86400)
        clean_up(FraudServices(database, later, services.ids, services.history))
        assert counters_and_points() == [0, 0]
        assert screen(now + timedelta(days=60)) == "allow"

    def test_a_dry_run_that_is_not_finished_in_time_is_canceled(
        self, database: Database, services: FraudServices, merchant_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 3)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        make_payments(database, merchant_id, 10)
        found = start_dry_run(services, merchant_id, RULES, END - timedelta(days=1), END)
        later = MovableClock()
        later.move(86400 + 60)
        clean_up(FraudServices(database, later, services.ids, services.history))
        canceled = read_dry_run(services, merchant_id, found.id)
        assert canceled is not None
        assert canceled.state is DryRunState.CANCELED
        later.move(30 * 86400)
        clean_up(FraudServices(database, later, services.ids, services.history))
        assert read_dry_run(services, merchant_id, found.id) is None
