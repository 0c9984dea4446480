"""Events become transfers: each once, in any order, and nothing is lost when a process dies."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.testkit.ledger import MoneyEvents, all_balances, balances
from local.testkit.locks import held
from local.testkit.payments import new_merchant
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.ledger.post import ensure_postable, post_events

pytestmark = pytest.mark.integration

_SET_FEES = Statement("""
    INSERT INTO merchant_fees (merchant_id, valid_from, fees)
    VALUES (:id::uuid, :at::timestamptz, :fees::json)
""")
_WRITTEN = Statement("""
    SELECT (SELECT count(*) FROM ledger.journals WHERE owner = :owner::uuid),
           (SELECT count(*) FROM ledger.journals JOIN ledger.transfers USING (book, event_id, rule)
            WHERE owner = :owner::uuid)
""")
# What the counters and the days say beside the transfers.
_DRIFT = Statement("""
    WITH entries AS (
        SELECT debit_account AS account, amount_minor AS debit, 0 AS credit FROM ledger.transfers
        UNION ALL SELECT credit_account, 0, amount_minor FROM ledger.transfers
    ),
    summed AS (SELECT account, sum(debit) AS debits, sum(credit) AS credits FROM entries GROUP BY account),
    days AS (SELECT account, sum(debits_minor) AS debits, sum(credits_minor) AS credits
             FROM ledger.daily_totals GROUP BY account)
    SELECT a.id FROM ledger.accounts a LEFT JOIN summed s ON s.account = a.id LEFT JOIN days d ON d.account = a.id
    WHERE (a.debits_minor, a.credits_minor) IS DISTINCT FROM (coalesce(s.debits, 0), coalesce(s.credits, 0))
       OR (a.debits_minor, a.credits_minor) IS DISTINCT FROM (coalesce(d.debits, 0), coalesce(d.credits, 0))
""")


def merchant_with_fees(database: Database) -> MoneyEvents:
    merchant_id = new_merchant(database)
    since = datetime.now(UTC) - timedelta(days=1)
    database.run(_SET_FEES, id=merchant_id, at=since, fees='{"percent": "2.9", "fixed": {"EUR": "0.30"}}')
    return MoneyEvents(merchant_id)


def written(database: Database, owner: uuid.UUID) -> tuple[int, int]:
    """How many journals and transfers the merchant has."""
    journals, transfers = database.run(_WRITTEN, owner=owner)[0]
    return journals, transfers


def house(database: Database) -> dict[tuple[str, str], int]:
    return balances(database, None)


@pytest.fixture(autouse=True)
def nothing_drifts(database: Database) -> Iterator[None]:
    """After every test, totals are the sum of the transfers, and no currency has more on one side."""
    yield
    assert database.run(_DRIFT) == []
    sides: dict[str, int] = {}
    for (_, kind, currency), minor in all_balances(database).items():
        sign = 1 if kind in ("gateway_clearing", "gateway_authorized") else -1
        sides[currency] = sides.get(currency, 0) + sign * minor
    assert set(sides.values()) <= {0}


class TestPostEvents:
    def test_a_payment_and_its_refund_with_fees(self, database: Database) -> None:
        events = merchant_with_fees(database)
        before = house(database)
        payment_id = uuid.uuid4()
        report = post_events(database, [events.succeeded("100.00", payment_id), events.refunded("40.00", payment_id)])
        assert (report.posted, report.repeated, report.locked, report.refused) == (2, 0, [], [])
        assert balances(database, events.merchant_id) == {("available", "EUR"): 10000 - 320 - 4000}
        after = house(database)
        assert after["gateway_clearing", "EUR"] - before.get(("gateway_clearing", "EUR"), 0) == 6000
        assert after["fees", "EUR"] - before.get(("fees", "EUR"), 0) == 320
        assert written(database, events.merchant_id) == (2, 3)

    def test_a_hold_that_is_captured_in_part_ends_as_a_whole(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        post_events(database, [events.authorized("100.00")])
        assert balances(database, events.merchant_id) == {("pending", "EUR"): 10000}
        post_events(database, [events.succeeded("60.00", type="capture", authorized="100.00")])
        assert balances(database, events.merchant_id) == {("pending", "EUR"): 0, ("available", "EUR"): 6000}

    def test_each_event_three_times_in_any_order_makes_the_same_book(self, database: Database) -> None:
        events = merchant_with_fees(database)
        payment_id = uuid.uuid4()
        all_events = [
            events.authorized("100.00", payment_id),
            events.succeeded("100.00", payment_id, type="capture", authorized="100.00"),
            events.refunded("40.00", payment_id),
            events.refund_failed("40.00", payment_id),
            events.charge_taken("5.00"),
            events.charge_returned("5.00"),
        ]
        expected = None
        for order in [[*range(6)], [5, 4, 3, 2, 1, 0], [2, 1, 0, 5, 3, 4]]:
            # Another merchant with the same history.
            other = merchant_with_fees(database)
            mine = [replace(all_events[n], id=uuid.uuid4(), merchant_id=other.merchant_id) for n in order]
            times = [each for each in mine for _ in range(3)]
            random.Random(1).shuffle(times)
            posted = 0
            for batch in itertools.batched(times, 5) if hasattr(itertools, "batched") else [times[:7], times[7:]]:
                posted += post_events(database, [*batch]).posted
            assert posted == 6
            found = balances(database, other.merchant_id)
            expected = expected or found
            assert found == expected == {("pending", "EUR"): 0, ("available", "EUR"): 10000 - 320}

    def test_the_fee_is_the_one_that_was_in_force_when_it_happened(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        change = events.now + timedelta(hours=1)
        database.run(_SET_FEES, id=events.merchant_id, at=change, fees='{"percent": "10"}')
        before, after = events.succeeded("1.00"), events.succeeded("1.00")
        post_events(database, [replace(after, time=change), replace(before, time=change - timedelta(microseconds=1))])
        assert balances(database, events.merchant_id) == {("available", "EUR"): 190}

    def test_currencies_and_places_are_never_mixed(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        yen, dinar = replace(events, currency="JPY"), replace(events, currency="KWD")
        post_events(database, [events.succeeded("1.00"), yen.succeeded("1"), dinar.succeeded("1.000")])
        found = balances(database, events.merchant_id)
        assert found == {("available", "EUR"): 100, ("available", "JPY"): 1, ("available", "KWD"): 1000}

    def test_sums_are_exact_beyond_what_a_float_and_a_bigint_hold(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database), currency="CHF")
        most = "92233720368547758.07"
        for _ in range(2):
            post_events(database, [events.succeeded(most), events.succeeded("0.01")])
        assert balances(database, events.merchant_id) == {("available", "CHF"): 2 * (2**63 - 1 + 1)}

    def test_what_moves_no_money_is_not_written(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        quiet = [
            events.failed(type="charge", amount="5.00"),
            events.failed(),
            events.refund_failed("1.00", taken_back=False),
            replace(events.failed(), type="payment.review"),
        ]
        assert post_events(database, quiet).posted == 0
        assert written(database, events.merchant_id) == (0, 0)

    def test_an_event_that_cannot_be_posted_fails_alone(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        good = [events.succeeded("1.00") for _ in range(4)]
        bad = events.succeeded("many")
        report = post_events(database, [*good[:2], bad, *good[2:]])
        assert [(event.id, type(error)) for event, error in report.refused] == [(bad.id, MalformedMessage)]
        assert (report.posted, report.locked) == (4, [])
        assert balances(database, events.merchant_id) == {("available", "EUR"): 400}

    def test_an_account_that_another_transaction_holds_keeps_back_its_events_alone(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        mine, free = MoneyEvents(new_merchant(database)), MoneyEvents(new_merchant(database), currency="SEK")
        post_events(database, [mine.payout("created", "1.00"), free.payout("created", "1.00")])
        held_event, free_event = mine.payout("paid", "1.00"), free.payout("paid", "1.00")
        with held(database_address, f"SELECT FROM ledger.accounts WHERE owner = '{mine.merchant_id}' FOR UPDATE"):
            report = post_events(database, [held_event, free_event])
        assert ([event.id for event in report.locked], report.posted) == ([held_event.id], 1)
        assert post_events(database, [held_event, free_event]).posted == 1


class TestEnsurePostable:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"currency": None}, "currency"),
            ({"currency": "eur"}, "currency"),
            ({"operation": []}, "operation"),
            ({"operation": {"type": "gift", "amount": "1.00"}}, "operation"),
            ({"operation": {"type": "charge", "amount": 1}}, "amount"),
            ({"operation": {"type": "charge", "amount": "-1.00"}}, "amount"),
            ({"operation": {"type": "charge", "amount": "0.00"}}, "zero"),
            ({"operation": {"type": "charge", "amount": "9" * 19}}, "digits"),
            ({"operation": {"type": "charge", "amount": "1.00", "operation_id": "x"}}, "id"),
            ({"operation": {"type": "capture", "amount": "1.00", "authorized": "1"}}, "places"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_money_that_cannot_be_read_is_malformed(self, changes: dict[str, object], reason: str) -> None:
        event = MoneyEvents().succeeded("1.00")
        broken: Event = replace(event, data={**event.data, **changes})
        with pytest.raises(MalformedMessage, match=reason):
            ensure_postable(broken)

    def test_a_command_is_no_fact(self) -> None:
        with pytest.raises(MalformedMessage, match="command"):
            ensure_postable(replace(MoneyEvents().succeeded("1.00"), sequence=None))
