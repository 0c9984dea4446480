"""Totals are compared with all transfers and days, however many transfers an account has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from paybridge.core.findings import Finding
from paybridge.database.database import Database, Transaction
from paybridge.ledger import verify_totals
from paybridge.ledger.drop_book import drop_book
from paybridge.ledger.post import post_events
from paybridge.ledger.store import verifying
from paybridge.ledger.store.verifying import SummedPart
from paybridge.ledger.switch import switch_books
from paybridge.ledger.verify_totals import NEWEST_FULL_DAYS, check_totals
from tests.ledger.conftest import World, query, tamper
from tests.ledger.test_rebuild import rebuilt

pytestmark = pytest.mark.integration

MORE = "UPDATE ledger.transfers SET amount_minor = amount_minor + 1 WHERE amount_minor = 2000"
CLEARING = "book 1, house/gateway_clearing/EUR/2: (debits, credits)"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sum the transfers of all accounts in parts."""
    monkeypatch.setattr(verify_totals, "PAGE_TRANSFERS_MAX", 0)
    monkeypatch.setattr(verify_totals, "PART_TRANSFERS", 2)


def accounts(world: World) -> int:
    return len(query(world.database, "SELECT FROM ledger.accounts"))


class TestCheckTotals:
    @pytest.mark.parametrize("full", [False, True])
    def test_names_the_two_sums_that_differ_and_their_period(self, world: World, full: bool) -> None:
        world.history()
        old = world.merchant()
        old.now -= timedelta(days=5)
        world.happen([old.succeeded("7.00")])
        total = "UPDATE ledger.accounts SET debits_minor = debits_minor + 1 WHERE kind = 'gateway_clearing'"
        tamper(world.database, total)
        finding = check_totals(world.services, full)
        assert finding.detail == f"{CLEARING} in all: its totals (66801, 10100), its days (66800, 10100)"

    def test_transfers_that_differ_are_those_of_the_newest_days_or_all(self, world: World) -> None:
        world.history(1)
        old = world.merchant()
        old.now -= timedelta(days=5)
        world.happen([old.succeeded("7.00")])
        tamper(world.database, MORE)
        day = datetime.now(UTC).date() - timedelta(days=NEWEST_FULL_DAYS)
        newest = f"{CLEARING} since {day}: its transfers (13100, 2101), its days (13100, 2100)"
        assert newest in check_totals(world.services, False).detail
        both = f"{CLEARING} in all: its transfers (13800, 2101), its days (13800, 2100)"
        assert both in check_totals(world.services, True).detail

    def test_if_not_full_it_looks_at_the_busiest_accounts_and_the_newest_days(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.history()
        old = world.merchant()
        old.now -= timedelta(days=5)
        world.happen([old.succeeded("7.00")])
        tamper(world.database, "UPDATE ledger.transfers SET amount_minor = 8 WHERE amount_minor = 700")
        assert check_totals(world.services, False).holds
        assert not check_totals(world.services, True).holds
        tamper(world.database, MORE)
        assert not check_totals(world.services, False).holds
        monkeypatch.setattr(verify_totals, "BUSIEST_ACCOUNTS", 1)
        assert check_totals(world.services, False).checked == 1

    @pytest.mark.usefixtures("small_parts")
    @pytest.mark.parametrize("full", [False, True])
    def test_many_transfers_are_summed_in_parts(self, world: World, full: bool) -> None:
        world.history()
        assert check_totals(world.services, full) == Finding(True, accounts(world))
        tamper(world.database, MORE)
        finding = check_totals(world.services, full)
        assert not finding.holds
        assert f"{CLEARING} {'in all' if full else 'since'}" in finding.detail

    @pytest.mark.usefixtures("small_parts")
    def test_transfers_of_one_moment_are_in_one_part(self, world: World) -> None:
        world.history()
        moment = "date_trunc('day', happened_at)"
        tamper(world.database, f"UPDATE ledger.transfers SET happened_at = {moment}")  # noqa: S608
        assert check_totals(world.services, True).holds

    @pytest.mark.usefixtures("small_parts")
    def test_what_is_posted_between_two_parts_is_no_fault(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.history()
        merchant = world.merchant()
        sum_debits, posted = verifying.sum_debits, []

        with closing(Database(world.address)) as other:

            def sum_and_post(
                transaction: Transaction, account: int, after: datetime | None, limit: int
            ) -> SummedPart | None:
                part = sum_debits(transaction, account, after, limit)
                posted.append(post_events(other, [merchant.succeeded("1.00")]).posted)
                return part

            monkeypatch.setattr(verifying, "sum_debits", sum_and_post)
            assert check_totals(world.services, True).holds
        assert sum(posted) > accounts(world)

    @pytest.mark.usefixtures("small_parts")
    def test_what_there_was_no_time_for_is_not_checked(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.history()
        monkeypatch.setattr(verify_totals, "NEWEST_SECONDS_MAX", 0.0)
        count = accounts(world)
        advice = "`paybridge verify --full --check balances` sums all"
        wanted = f"the transfers of {count} accounts were not summed in time: {advice}"
        assert check_totals(world.services, False) == Finding(None, count, wanted)
        assert check_totals(world.services, True).holds

    @pytest.mark.usefixtures("small_parts")
    def test_the_time_ends_within_an_account(self, world: World) -> None:
        world.history()
        seconds = iter([0.0] * 4)
        finding = check_totals(world.services, False, lambda: next(seconds, 99.0))
        assert finding.detail.startswith(f"the transfers of {accounts(world)} accounts")

    def test_a_book_whose_drop_begins_meanwhile_is_left_out(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.history()
        switch_books(world.services, rebuilt(world).id, actor="ann")
        next_accounts = verifying.next_accounts

        def find_and_drop(database: Database, after: int, limit: int) -> Sequence[int]:
            found = next_accounts(database, after, limit)
            if not after:
                drop_book(database, 1, 0.0)
            return found

        monkeypatch.setattr(verifying, "next_accounts", find_and_drop)
        in_live_book = query(world.database, "SELECT FROM ledger.accounts WHERE book > 1")
        assert check_totals(world.services, True) == Finding(True, len(in_live_book))
