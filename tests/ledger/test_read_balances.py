"""Balances and accounts, now and at any moment, equal what a fold of the events says."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge.core.errors import InvalidInput
from paybridge.core.events import Event
from paybridge.database.database import Database
from paybridge.ledger.domain.accounts import AccountKind, account_name, format_signed, parse_account_name
from paybridge.ledger.domain.balances import CurrencyBalance, account_view
from paybridge.ledger.domain.rules import journal_of
from paybridge.ledger.post import post_events
from paybridge.ledger.read_balances import list_accounts, read_balances
from tests.support.folding import fold

pytestmark = pytest.mark.integration

START = datetime(2026, 12, 1, 22, tzinfo=UTC)


def history(merchant_id: uuid.UUID) -> list[Event]:
    """Three days of a merchant, one event every three hours, two of them at midnight."""
    events = MoneyEvents(merchant_id)
    made = [
        events.authorized("100.00"),
        events.succeeded("60.00", type="capture", authorized="100.00"),
        events.refunded("10.01"),
        events.payout("created", "30.00"),
        events.payout("paid", "30.00"),
        events.succeeded("5.00"),
        events.refunded("40.00"),
        events.refund_failed("40.00"),
        *(events.succeeded("0.07") for _ in range(16)),
    ]
    random.Random(1).shuffle(made)
    return [replace(event, time=START + number * timedelta(hours=3, minutes=-1)) for number, event in enumerate(made)]


def expected(events: list[Event], moment: datetime) -> dict[str, int]:
    """What the merchant has then, by the fold of the events that had happened."""
    journals = [journal_of(event) for event in events if event.time <= moment]
    totals = fold(journal for journal in journals if journal is not None)
    return {
        str(key.kind): each.credits_minor - each.debits_minor for key, each in totals.items() if key.owner is not None
    }


class TestReadBalances:
    def test_it_is_right_at_every_moment(self, database: Database) -> None:
        events = history(new_merchant(database))
        post_events(database, sorted(events, key=lambda event: event.id.int % 7))
        merchant_id = events[0].merchant_id
        moments = [event.time + shift for event in events for shift in (timedelta(0), timedelta(microseconds=-1))]
        midnight = datetime(2026, 12, 3, tzinfo=UTC)
        for moment in [*moments, midnight, midnight - timedelta(microseconds=1), START - timedelta(days=1)]:
            found = read_balances(database, merchant_id, moment)
            want = expected(events, moment)
            shown = {kind: format_signed(want.get(kind, 0), 2) for kind in ("pending", "available", "reserved")}
            assert found == [CurrencyBalance("EUR", **shown)]
        assert read_balances(database, merchant_id) == read_balances(database, merchant_id, events[-1].time)

    def test_an_event_that_comes_late_counts_from_when_it_happened(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database), now=START)
        early, late = events.succeeded("1.00"), events.succeeded("2.00")
        post_events(database, [late])
        assert read_balances(database, events.merchant_id, early.time)[0].available == "0.00"
        post_events(database, [early])
        assert read_balances(database, events.merchant_id, early.time)[0].available == "1.00"

    def test_currencies_are_never_added_up_and_every_digit_is_shown(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        most = {"EUR": "92233720368547758.07", "JPY": "9223372036854775807", "KWD": "9223372036854775.807"}
        made = [replace(events, currency=currency).succeeded(most[currency]) for currency in most for _ in range(3)]
        post_events(database, made)
        assert [(each.currency, each.available) for each in read_balances(database, events.merchant_id)] == [
            ("EUR", "276701161105643274.21"),
            ("JPY", "27670116110564327421"),
            ("KWD", "27670116110564327.421"),
        ]

    def test_a_currency_that_changed_its_places_keeps_every_digit(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database), currency="ISK")
        post_events(database, [events.succeeded("5"), events.succeeded("1.25"), events.refunded("7")])
        assert read_balances(database, events.merchant_id) == [CurrencyBalance("ISK", "0.00", "-0.75", "0.00")]

    def test_a_merchant_without_events_has_none(self, database: Database) -> None:
        assert read_balances(database, uuid.uuid4()) == read_balances(database, uuid.uuid4(), START) == []


class TestListAccounts:
    def test_a_merchant_sees_its_own(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        post_events(database, [events.succeeded("1.00"), events.payout("created", "0.40")])
        page = list_accounts(database, events.merchant_id, cursor=None, limit=10)
        views = {view["kind"]: view for view in map(account_view, page.accounts)}
        assert set(views) == {"available", "reserved"}
        assert views["available"] == {
            "account": f"{events.merchant_id}/available/EUR/2",
            "merchant_id": str(events.merchant_id),
            "kind": "available",
            "currency": "EUR",
            "normal_side": "credit",
            "debits": "0.40",
            "credits": "1.00",
            "balance": "0.60",
        }

    @pytest.mark.parametrize("of_all", [True, False])
    @pytest.mark.parametrize("as_of", [None, START + timedelta(days=400)])
    def test_pages_have_every_account_once(self, database: Database, of_all: bool, as_of: datetime | None) -> None:
        events = MoneyEvents(new_merchant(database))
        for currency in ("EUR", "USD", "JPY"):
            replace_currency = replace(events, currency=currency)
            amount = "1" if currency == "JPY" else "1.00"
            post_events(database, [replace_currency.succeeded(amount), replace_currency.payout("created", amount)])
        merchant_id = None if of_all else events.merchant_id
        whole = list_accounts(database, merchant_id, as_of, cursor=None, limit=1000).accounts
        pages, cursor = [], None
        while True:
            page = list_accounts(database, merchant_id, as_of, cursor=cursor, limit=2)
            assert len(page.accounts) <= 2
            pages += page.accounts
            cursor = page.next_cursor
            if cursor is None:
                break
        assert pages == whole
        assert len({each.account for each in whole}) == len(whole) >= 6
        assert ({None} <= {each.account.owner for each in whole}) == of_all

    def test_a_cursor_of_another_list_is_refused(self, database: Database) -> None:
        with pytest.raises(InvalidInput, match="another list"):
            list_accounts(database, None, cursor="eA", limit=1)


class TestAccountNames:
    def test_a_name_leads_back_to_its_account(self, database: Database) -> None:
        for each in list_accounts(database, None, cursor=None, limit=1000).accounts:
            assert parse_account_name(account_name(each.account)) == each.account

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "house",
            "house/fees/EUR",
            "house/available/EUR/2",
            "house/fees/eur/2",
            "house/fees/EUR/02",
            "x/fees/EUR/2",
        ],
    )
    def test_another_text_is_none(self, name: str) -> None:
        assert parse_account_name(name) is None

    def test_a_merchant_has_no_account_of_the_house(self) -> None:
        assert parse_account_name(f"{uuid.uuid4()}/{AccountKind.FEES}/EUR/2") is None
