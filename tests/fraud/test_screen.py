"""Screening counts exactly: within a batch, over windows, and for batches of several threads at once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.testkit.locks import patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment, rows
from paybridge.core.errors import ConstraintViolated
from paybridge.core.ids import Uuid7Ids
from paybridge.core.money import format_places
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.fraud import screen as module
from paybridge.fraud.domain.rules import ScreenedPayment, Screening, Verdict
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.fraud.screen import find_rules, screen_payments
from paybridge.payments.store.history import StoredHistory

pytestmark = pytest.mark.integration

FIRST = {"id": "new", "action": "review", "when": {"first_seen_customer": True}}
KNOWN = {"id": "known", "action": "block", "when": {"first_seen_customer": False}}
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
IDS = Uuid7Ids()


def velocity(action: str = "block", per: str = "customer", seconds: int = 3600, **limits: Any) -> dict[str, Any]:
    return {
        "id": f"{per}-{seconds}",
        "action": action,
        "score": 10,
        "when": {"velocity": {"per": per, "window_seconds": seconds, **limits}},
    }


def candidate(merchant_id: uuid.UUID, at: datetime = NOW, **changes: Any) -> ScreenedPayment:
    values: dict[str, Any] = {
        "payment_id": IDS.new(),
        "amount_minor": 1000,
        "currency": "EUR",
        "currency_places": 2,
        "customer": "c-1",
        "payment_method": "tok_1",
        **changes,
    }
    return ScreenedPayment(merchant_id=merchant_id, at=at, **values)


def screen(database: Database, candidates: list[ScreenedPayment], now: datetime = NOW) -> dict[uuid.UUID, Screening]:
    with database.transaction() as transaction:
        sets = find_rules(transaction, {each.merchant_id for each in candidates})
        with_rules = [each for each in candidates if each.merchant_id in sets]
        return screen_payments(transaction, with_rules, sets, now, history=StoredHistory(), review_expiry_seconds=86400)


def decisions(database: Database, candidates: list[ScreenedPayment], now: datetime = NOW) -> list[str]:
    screened = screen(database, candidates, now)
    return [str(screened[each.payment_id].decision) for each in candidates]


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


@pytest.fixture
def other_databases(database_address: DatabaseAddress) -> Iterator[list[Database]]:
    opened = [patient_database(database_address) for _ in range(10)]
    yield opened
    for one in opened:
        one.close()


def put(database: Database, merchant_id: uuid.UUID, *rules: dict[str, Any]) -> int:
    return replace_fraud_rules(database, MovableClock(), merchant_id, list(rules), "a test").version


class TestWithoutRules:
    def test_nothing_is_screened(self, database: Database, merchant_id: uuid.UUID) -> None:
        assert screen(database, [candidate(merchant_id)]) == {}

    def test_an_empty_rule_set_screens_nothing(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(count_gte=1))
        put(database, merchant_id)
        assert screen(database, [candidate(merchant_id)]) == {}


class TestManyMerchants:
    def test_rules_that_memory_has_no_room_for_are_read_again(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "RULE_SETS_MAX", 2)
        merchants = [new_merchant(database) for _ in range(5)]
        for place, one in enumerate(merchants):
            put(database, one, {"id": f"r{place}", "action": "block", "when": {}})
        for chosen in (merchants[:1], merchants[:3], merchants[2:], merchants):
            batch = [candidate(one) for one in chosen]
            screened = screen(database, batch)
            assert [screened[each.payment_id].rules for each in batch] == [
                (f"r{merchants.index(one)}",) for one in chosen
            ]


class TestCounts:
    def test_exactly_as_many_as_the_limit_pass_within_one_batch(
        self, database: Database, merchant_id: uuid.UUID
    ) -> None:
        put(database, merchant_id, velocity(count_gte=10))
        made = decisions(database, [candidate(merchant_id) for _ in range(1000)])
        assert made == ["allow"] * 10 + ["block"] * 990

    def test_batches_count_on(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(count_gte=10))
        made = [decisions(database, [candidate(merchant_id) for _ in range(4)]) for _ in range(3)]
        assert made == [["allow"] * 4, ["allow"] * 4, ["allow"] * 2 + ["block"] * 2]

    def test_each_key_has_its_own_count(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(count_gte=1), velocity(per="payment_method", count_gte=2))
        batch = [
            candidate(merchant_id, customer="a", payment_method="m"),
            candidate(merchant_id, customer="b", payment_method="m"),
            candidate(merchant_id, customer="c", payment_method="m"),
            candidate(merchant_id, customer="a", payment_method="n"),
            candidate(merchant_id, customer=None, payment_method=None),
            candidate(merchant_id, customer=None, payment_method=None),
        ]
        assert decisions(database, batch) == ["allow", "allow", "block", "block", "allow", "allow"]

    def test_merchants_do_not_count_each_other(self, database: Database, merchant_id: uuid.UUID) -> None:
        stranger = new_merchant(database)
        for one in (merchant_id, stranger):
            put(database, one, velocity(count_gte=1))
        assert decisions(database, [candidate(merchant_id), candidate(stranger)]) == ["allow", "allow"]
        assert decisions(database, [candidate(stranger), candidate(merchant_id)]) == ["block", "block"]

    def test_the_window_slides_and_its_edge_is_outside(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(seconds=60, count_gte=2))
        times = [0, 30, 59, 60, 61, 89, 90, 121]
        made = [decisions(database, [candidate(merchant_id, at)], at)[0] for at in map(after, times)]
        # At 60 the first is out, at 90 the second. Those that are blocked count as well.
        assert made == ["allow", "allow", "block", "block", "block", "block", "block", "block"]
        assert decisions(database, [candidate(merchant_id, after(400))], after(400)) == ["allow"]

    def test_counts_equal_a_plain_count_of_the_window(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity("review", seconds=60, count_gte=1_000_000))
        seconds = [0, 0, 10, 10, 59, 60, 61, 70, 71, 119, 120, 121, 300, 301]
        for second in seconds:
            screen(database, [candidate(merchant_id, after(second))], after(second))
        expected = [
            sum(1 for earlier in seconds[:place] if second - earlier < 60) for place, second in enumerate(seconds)
        ]
        assert [facts["velocities"][0]["count"] for facts in facts_of(database, merchant_id)] == expected

    def test_sums_are_of_the_payments_currency(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(amount_gte="20.00"))
        batch = [
            candidate(merchant_id, currency="EUR", amount_minor=1500),
            candidate(merchant_id, currency="JPY", currency_places=0, amount_minor=19),
            candidate(merchant_id, currency="EUR", amount_minor=500),
            candidate(merchant_id, currency="JPY", currency_places=0, amount_minor=1),
            candidate(merchant_id, currency="EUR", amount_minor=1),
            candidate(merchant_id, currency="JPY", currency_places=0, amount_minor=1),
            candidate(merchant_id, currency="USD", amount_minor=1),
        ]
        assert decisions(database, batch) == ["allow", "allow", "allow", "allow", "block", "block", "allow"]

    def test_sums_beyond_64_bits_are_exact(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity("review", amount_gte="999999999999999"))
        largest = 999_999_999_999_999
        for _ in range(2):
            screen(database, [candidate(merchant_id, amount_minor=largest) for _ in range(10_000)])
        last = facts_of(database, merchant_id)[-1]
        assert last["velocities"][0] == {
            "per": "customer",
            "window_seconds": 3600,
            "count": 19_999,
            "amount": format_places(19_999 * largest, 2),
        }

    def test_a_clock_that_is_behind_counts_what_came_before(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(seconds=60, count_gte=2))
        assert decisions(database, [candidate(merchant_id, after(30))], after(30)) == ["allow"]
        assert decisions(database, [candidate(merchant_id, after(0))], after(0)) == ["allow"]
        assert decisions(database, [candidate(merchant_id, after(31))], after(31)) == ["block"]

    def test_a_batch_that_is_rolled_back_counts_nothing(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, velocity(count_gte=1))
        twice = candidate(merchant_id)
        with pytest.raises(ConstraintViolated), database.transaction() as transaction:
            options: dict[str, Any] = {"history": StoredHistory(), "review_expiry_seconds": 1}
            sets = find_rules(transaction, [merchant_id])
            screen_payments(transaction, [twice], sets, NOW, **options)
            screen_payments(transaction, [twice], sets, NOW, **options)
        assert decisions(database, [candidate(merchant_id)]) == ["allow"]


class TestManyAtOnce:
    @pytest.mark.parametrize("per", ["customer", "payment_method", "merchant"])
    def test_exactly_as_many_as_the_limit_pass(
        self, database: Database, merchant_id: uuid.UUID, other_databases: list[Database], per: str
    ) -> None:
        put(database, merchant_id, velocity(per=per, count_gte=10))

        def screen_some(one: Database) -> Counter[str]:
            made: Counter[str] = Counter()
            for size in (1, 3, 46, 50):
                made.update(decisions(one, [candidate(merchant_id) for _ in range(size)]))
            return made

        with ThreadPoolExecutor(len(other_databases)) as threads:
            total = sum(threads.map(screen_some, other_databases), Counter[str]())
        assert total == {"allow": 10, "block": 990}


class TestFirstSeenCustomer:
    def test_the_first_payment_of_a_customer(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, FIRST, KNOWN)
        batch = [candidate(merchant_id, customer=customer) for customer in ("a", "b", "a", None)]
        assert decisions(database, batch) == ["review", "review", "block", "allow"]
        assert decisions(database, [candidate(merchant_id, customer="a")]) == ["block"]

    def test_a_customer_from_before_the_rules_is_known(self, database: Database, merchant_id: uuid.UUID) -> None:
        old, waiting, stranger = new_merchant(database), "waits", "elsewhere"
        payment_id = new_payment(database, merchant_id, customer="old")
        rows(
            database,
            "UPDATE payments SET status = 'processing' WHERE id = :id::uuid RETURNING '{}'::json",
            id=payment_id,
        )
        new_payment(database, merchant_id, customer=waiting)
        other_id = new_payment(database, old, customer=stranger)
        rows(
            database, "UPDATE payments SET status = 'processing' WHERE id = :id::uuid RETURNING '{}'::json", id=other_id
        )
        put(database, merchant_id, FIRST, KNOWN)
        batch = [candidate(merchant_id, customer=customer) for customer in ("old", waiting, stranger)]
        assert decisions(database, batch) == ["block", "review", "review"]


class TestDecisions:
    def test_each_is_stored_with_version_rules_score_and_facts(
        self, database: Database, merchant_id: uuid.UUID
    ) -> None:
        put(database, merchant_id, velocity(count_gte=5))
        version = put(
            database, merchant_id, velocity("review", count_gte=1), velocity("review", amount_gte="10", seconds=60)
        )
        batch = [candidate(merchant_id), candidate(merchant_id)]
        screened = screen(database, batch)
        assert screened[batch[1].payment_id] == Screening(Verdict.REVIEW, 20, ("customer-3600", "customer-60"))
        first, second = stored(database, merchant_id)
        assert (first["decision"], first["review_expires_at"]) == ("allow", None)
        assert second["rule_set_version"] == version == 2
        assert second["rules"] == ["customer-3600", "customer-60"]
        assert datetime.fromisoformat(second["review_expires_at"]) == NOW + timedelta(days=1)
        assert second["facts"] == {
            "velocities": [
                {"per": "customer", "window_seconds": 3600, "count": 1, "amount": "10.00"},
                {"per": "customer", "window_seconds": 60, "count": 1, "amount": "10.00"},
            ]
        }


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def stored(database: Database, merchant_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(
        database,
        "SELECT to_json(d) FROM fraud_decisions d WHERE merchant_id = :id::uuid ORDER BY payment_id",
        id=merchant_id,
    )


def facts_of(database: Database, merchant_id: uuid.UUID) -> list[dict[str, Any]]:
    return [row["facts"] for row in stored(database, merchant_id)]
