"""Every invariant of the books that is broken on purpose is named, and no other."""

from __future__ import annotations

import pytest

from local.testkit.event_log import log_events
from paybridge.ledger import seal
from paybridge.ledger.seal import seal_books
from paybridge.ledger.verify import CHECKS
from tests.ledger.conftest import World, tamper

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BLOCK_JOURNALS_MAX", 4)


def broken(world: World, *, full: bool = True) -> dict[str, str]:
    """The checks that do not hold, with what they say."""
    # The checks leave out what the live book may not have posted yet.
    world.clock.move(3600)
    findings = {name: check(world.services, full) for name, check in CHECKS.items()}
    return {name: finding.detail for name, finding in findings.items() if not finding.holds}


class TestChecks:
    def test_all_hold_and_look_at_something(self, world: World) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        assert broken(world) == {}
        checked = {name: check(world.services, False).checked for name, check in CHECKS.items()}
        assert {name for name, count in checked.items() if not count} == {"payouts"}

    @pytest.mark.parametrize(
        ("change", "failing"),
        [
            (
                "UPDATE ledger.accounts SET debits_minor = debits_minor + 1 WHERE kind = 'gateway_clearing'",
                {"balances", "debits_equal_credits"},
            ),
            (
                "UPDATE ledger.daily_totals SET debits_minor = debits_minor + 1 WHERE debits_minor > 0",
                {"balances"},
            ),
            (
                "UPDATE ledger.accounts SET debits_minor = debits_minor + 5, credits_minor = credits_minor + 5",
                {"balances"},
            ),
            (
                "UPDATE ledger.journals SET payment_id = gen_random_uuid() WHERE payment_id IS NOT NULL",
                {"seals"},
            ),
            (
                "UPDATE ledger.journals SET happened_at = happened_at + interval '1 s'",
                {"seals", "live_book_equals_log"},
            ),
            ("DELETE FROM ledger.journals", {"seals", "live_book_equals_log"}),
            ("UPDATE ledger.seals SET previous_hash = hash WHERE number = 2", {"seals"}),
            ("DELETE FROM ledger.seals WHERE number = 2", {"seals"}),
            ("DELETE FROM ledger.seals WHERE number = (SELECT max(number) FROM ledger.seals)", {"seals"}),
            (
                "UPDATE ledger.transfers SET amount_minor = amount_minor + 1",
                {"balances", "seals", "live_book_equals_log"},
            ),
        ],
        ids=[
            *("one side", "day", "both sides", "journal", "time", "no journals", "chain", "gap", "end", "amount"),
        ],
    )
    def test_names_what_was_changed_and_nothing_else(self, world: World, change: str, failing: set[str]) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        tamper(world.database, change)
        assert broken(world).keys() == failing

    def test_a_lost_event_is_missing_from_the_live_book(self, world: World) -> None:
        world.history()
        lost = world.merchant().succeeded("1.00")
        log_events(world.database, [lost])
        assert broken(world) == {"live_book_equals_log": f"event {lost.id}: its journal capture is missing"}

    def test_an_event_that_is_on_its_way_is_not(self, world: World) -> None:
        log_events(world.database, [world.merchant().succeeded("1.00")])
        assert CHECKS["live_book_equals_log"](world.services, False).holds

    def test_a_payout_of_more_than_was_reserved(self, world: World) -> None:
        merchant = world.merchant()
        world.happen([merchant.payout("created", "5.00"), merchant.payout("paid", "6.00")])
        assert broken(world) == {"payouts": f"{merchant.merchant_id}/reserved/EUR is -100"}

    def test_journals_that_are_never_sealed(self, world: World) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        world.history()
        tamper(world.database, "UPDATE ledger.journals SET posted_at = posted_at - interval '1 hour'")
        assert "wait for a seal" in broken(world)["seals"]

    def test_a_check_that_is_not_full_looks_at_the_newest_seals(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        tamper(world.database, "UPDATE ledger.seals SET hash = previous_hash WHERE number = 1")
        monkeypatch.setattr("paybridge.ledger.verify.NEWEST_SEALS", 2)
        assert CHECKS["seals"](world.services, False).holds
        assert not CHECKS["seals"](world.services, True).holds
