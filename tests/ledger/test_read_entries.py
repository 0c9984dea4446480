"""Entries by account, by payment and at a moment, in pages that miss and repeat nothing."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Database
from paybridge.ledger.domain.entries import LedgerEntry, entry_view
from paybridge.ledger.post import post_events
from paybridge.ledger.read_entries import EntryFilters, list_entries

pytestmark = pytest.mark.integration

START = datetime(2026, 12, 1, 22, tzinfo=UTC)


@pytest.fixture
def events(database: Database) -> MoneyEvents:
    """A merchant with a payment, its refund, and a payout, some of which happened in the same moment."""
    events = MoneyEvents(new_merchant(database), now=START)
    made = [events.succeeded("10.00"), events.payout("created", "4.00"), events.payout("paid", "4.00")]
    made += [replace(events.succeeded("1.00"), time=START) for _ in range(5)]
    post_events(database, made)
    return events


def whole(database: Database, merchant_id: uuid.UUID | None, filters: EntryFilters, limit: int) -> list[LedgerEntry]:
    """Every entry, in pages of `limit`."""
    found: list[LedgerEntry] = []
    cursor = None
    while True:
        page = list_entries(database, merchant_id, filters, cursor=cursor, limit=limit)
        assert len(page.entries) <= limit
        found += page.entries
        cursor = page.next_cursor
        if cursor is None:
            return found


def amounts(entries: list[LedgerEntry]) -> list[str]:
    return [entry_view(entry)["amount"] for entry in entries]


class TestListEntries:
    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages_have_every_entry_once_newest_first(
        self, database: Database, events: MoneyEvents, limit: int
    ) -> None:
        found = whole(database, events.merchant_id, EntryFilters(), limit)
        assert amounts(found) == ["4.00", "4.00", "10.00", *["1.00"] * 5]
        positions = [entry.position for entry in found]
        assert positions == sorted(set(positions), reverse=True)

    def test_an_entry_says_all_of_its_journal(self, database: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        payment_id = uuid.uuid4()
        event = events.succeeded("1.00", payment_id)
        post_events(database, [event])
        (entry,) = list_entries(database, events.merchant_id, EntryFilters(), cursor=None, limit=5).entries
        view = entry_view(entry)
        assert view.pop("posted_at") > "2026"
        assert view == {
            "journal_id": str(uuid.uuid5(event.id, "capture/1")),
            "number": 1,
            "rule": "capture",
            "rule_version": 1,
            "event_id": str(event.id),
            "payment_id": str(payment_id),
            "operation_id": event.data["operation"]["operation_id"],
            "merchant_id": str(events.merchant_id),
            "debit_account": "house/gateway_clearing/EUR/2",
            "credit_account": f"{events.merchant_id}/available/EUR/2",
            "amount": "1.00",
            "currency": "EUR",
            "happened_at": event.time.isoformat(timespec="microseconds"),
            "corrects": None,
            "reason": None,
        }

    def test_one_account(self, database: Database, events: MoneyEvents) -> None:
        name = f"{events.merchant_id}/reserved/EUR/2"
        for merchant_id in (events.merchant_id, None):
            assert amounts(whole(database, merchant_id, EntryFilters(account=name), 1)) == ["4.00", "4.00"]

    def test_one_payment(self, database: Database, events: MoneyEvents) -> None:
        payment_id = uuid.uuid4()
        post_events(database, [events.authorized("3.00", payment_id), events.canceled("3.00", payment_id)])
        filters = EntryFilters(payment_id=payment_id)
        for merchant_id in (events.merchant_id, None):
            assert len(whole(database, merchant_id, filters, 1)) == 2
        mine = replace(filters, account=f"{events.merchant_id}/available/EUR/2")
        assert whole(database, None, mine, 1) == []
        assert len(whole(database, None, replace(filters, account=f"{events.merchant_id}/pending/EUR/2"), 1)) == 2

    def test_at_a_moment(self, database: Database, events: MoneyEvents) -> None:
        filters = EntryFilters(as_of=START)
        assert amounts(whole(database, events.merchant_id, filters, 2)) == ["1.00"] * 5
        assert whole(database, events.merchant_id, EntryFilters(as_of=START - timedelta(microseconds=1)), 2) == []

    def test_the_house_without_a_filter(self, database: Database, events: MoneyEvents) -> None:
        found = whole(database, None, EntryFilters(), 3)
        assert {each.owner for each in found} >= {events.merchant_id}
        assert all(None in (each.debit.owner, each.credit.owner) for each in found)

    def test_another_merchant_sees_nothing(self, database: Database, events: MoneyEvents) -> None:
        other = new_merchant(database)
        payment_id = uuid.uuid4()
        post_events(database, [events.succeeded("3.00", payment_id)])
        for filters in (
            EntryFilters(),
            EntryFilters(payment_id=payment_id),
            EntryFilters(account=f"{events.merchant_id}/available/EUR/2"),
            EntryFilters(account="house/fees/EUR/2"),
        ):
            assert whole(database, other, filters, 10) == []

    def test_what_is_no_account_is_refused(self, database: Database) -> None:
        with pytest.raises(InvalidInput, match="name of an account"):
            list_entries(database, None, EntryFilters(account="fees"), cursor=None, limit=1)

    @pytest.mark.parametrize("cursor", ["x", "AQ", "é"])
    def test_a_cursor_that_is_none_is_refused(self, database: Database, cursor: str) -> None:
        with pytest.raises(InvalidInput):
            list_entries(database, None, EntryFilters(), cursor=cursor, limit=1)
