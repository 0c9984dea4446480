"""Every invariant of the books that is broken on purpose is named, and no other."""

from __future__ import annotations

import orjson
import pytest

from local.testkit.event_log import log_events
from paybridge.core.events import parse_envelope
from paybridge.core.findings import Finding
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.ledger import seal
from paybridge.ledger.create_payout import Ordered, PayoutOrder, create_payout
from paybridge.ledger.domain.payouts import Payout, PayoutKey, PayoutOutcome
from paybridge.ledger.domain.seal import Block, Seal
from paybridge.ledger.drop_book import drop_book
from paybridge.ledger.seal import seal_books
from paybridge.ledger.settle_payout import settle_payout
from paybridge.ledger.store import seals
from paybridge.ledger.switch import switch_books
from paybridge.ledger.verify import CHECKS
from tests.ledger.conftest import World, tamper
from tests.ledger.test_rebuild import rebuilt

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


def ordered(world: World) -> Payout:
    """A payout of 5 EUR of a new merchant who has 10."""
    merchant = world.merchant()
    world.happen([merchant.succeeded("10.00")])
    key = PayoutKey("one", bytes(32))
    order = PayoutOrder(
        merchant_id=merchant.merchant_id, amount_minor=500, currency="EUR", key=key, correlation_id="one"
    )
    result = create_payout(world.database, world.clock, Uuid7Ids(), order)
    assert isinstance(result, Ordered)
    return result.payout


def settle(world: World, payout: Payout, outcome: PayoutOutcome, *, is_posted: bool = True) -> None:
    reason = "closed" if outcome is PayoutOutcome.FAILED else None
    assert settle_payout(world.database, world.clock, Uuid7Ids(), payout.id, outcome, reason, by="ann")
    if is_posted:
        newest = "SELECT body::text FROM outbox WHERE subject_id = :id::uuid ORDER BY sequence DESC LIMIT 1"
        ((body,),) = world.database.run(Statement(newest), id=payout.id)
        world.post([parse_envelope(orjson.loads(body))])


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

    def test_an_event_that_cannot_be_read_hides_no_other(self, world: World) -> None:
        merchant = world.merchant()
        lost, malformed, odd = merchant.succeeded("1.00"), merchant.succeeded("2.00"), merchant.succeeded("much")
        log_events(world.database, [lost, malformed, odd])
        world.database.run(Statement("UPDATE outbox SET body = '[' WHERE id = :id::uuid"), id=malformed.id)
        detail = broken(world)["live_book_equals_log"]
        assert f"event {lost.id}: its journal capture is missing" in detail
        assert f"event {malformed.id}: it cannot be read" in detail
        assert f"event {odd.id}: it cannot be read: an amount is missing or malformed" in detail

    def test_a_payout_of_more_than_was_reserved(self, world: World) -> None:
        merchant = world.merchant()
        payout_id = Uuid7Ids().new()
        world.happen(
            [merchant.payout(what, amount, payout_id) for what, amount in (("created", "5.00"), ("paid", "6.00"))]
        )
        assert broken(world) == {
            "payouts": f"payout {payout_id}: there are journals and no payout; "
            f"{merchant.merchant_id}/reserved/EUR is -100"
        }

    def test_payouts_and_their_journals_agree(self, world: World) -> None:
        payouts = [ordered(world) for _ in range(3)]
        settle(world, payouts[1], PayoutOutcome.PAID)
        settle(world, payouts[2], PayoutOutcome.FAILED)
        assert broken(world) == {}

    def test_a_payout_that_was_settled_a_moment_ago_is_not_in_the_books_yet(self, world: World) -> None:
        payout = ordered(world)
        settle(world, payout, PayoutOutcome.PAID, is_posted=False)
        assert CHECKS["payouts"](world.services, True).holds
        wanted = f"payout {payout.id}: paid, 500: the books have 500 reserved and 0 paid"
        assert broken(world)["payouts"] == wanted

    def test_payouts_that_are_wrong_by_the_same_amount_are_both_named(self, world: World) -> None:
        """In total nothing is missing."""
        one, other = ordered(world), ordered(world)
        wrong = (
            "UPDATE ledger.transfers SET amount_minor = CASE amount_minor WHEN 500 THEN {} END WHERE event_id IN ({})"
        )
        for payout, amount in ((one, 499), (other, 501)):
            of_payout = f"SELECT event_id FROM ledger.journals WHERE operation_id = '{payout.id}'"  # noqa: S608
            tamper(world.database, wrong.format(amount, of_payout))
        assert broken(world)["payouts"] == "; ".join(
            f"payout {payout.id}: pending, 500: the books have {amount} reserved and 0 paid"
            for payout, amount in sorted([(one, 499), (other, 501)], key=lambda each: each[0].id)
        )

    def test_journals_without_a_payout_are_found_before_between_and_after_the_pages_of_payouts(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paybridge.ledger.verify_payouts.PAYOUTS_PAGE", 1)
        merchant, unknown = world.merchant(), []
        for known in (True, True, False):
            payout_id = Uuid7Ids().new()
            unknown.append(payout_id)
            world.happen([merchant.succeeded("5.00"), merchant.payout("created", "1.00", payout_id)])
            if known:
                ordered(world)
        assert broken(world) == {
            "payouts": "; ".join(f"payout {id_}: there are journals and no payout" for id_ in unknown)
        }

    def test_a_check_that_is_not_full_looks_at_the_newest_payouts(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        oldest = ordered(world)
        settle(world, oldest, PayoutOutcome.PAID, is_posted=False)
        ordered(world)
        world.clock.move(3600)
        monkeypatch.setattr("paybridge.ledger.verify_payouts.NEWEST_PAYOUTS", 1)
        assert CHECKS["payouts"](world.services, False).holds
        assert not CHECKS["payouts"](world.services, True).holds

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

    @pytest.mark.parametrize("full", [False, True])
    def test_what_is_sealed_meanwhile_is_for_the_next_check(
        self, world: World, monkeypatch: pytest.MonkeyPatch, full: bool
    ) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        read_head, sealed = seals.read_head, []

        def read_head_and_seal(database: Database, book: int) -> tuple[Seal, int] | None:
            head = read_head(database, book)
            world.history()
            sealed.append(seal_books(database, 60.0, 0.0).blocks)
            return head

        monkeypatch.setattr(seals, "read_head", read_head_and_seal)
        assert CHECKS["seals"](world.services, full) == Finding(True, 6)
        assert all(sealed)

    def test_journals_that_were_sealed_while_the_seals_were_checked_do_not_wait(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The check of all seals may take longer than a journal may wait."""
        world.history()
        seal_books(world.database, 60.0, 0.0)
        read_seals = seals.read_seals

        def read_seals_for_an_hour(database: Database, book: int, after: int, limit: int) -> list[tuple[Block, Seal]]:
            found = read_seals(database, book, after, limit)
            world.history()
            seal_books(database, 60.0, 0.0)
            long_ago = "UPDATE ledger.journals SET posted_at = posted_at - interval '1 hour'"
            tamper(world.database, long_ago)
            return found

        monkeypatch.setattr(seals, "read_seals", read_seals_for_an_hour)
        assert CHECKS["seals"](world.services, True).holds

    def test_a_book_whose_drop_begins_meanwhile_is_left_out(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        seal_books(world.database, 60.0, 0.0)
        read_head = seals.read_head

        def read_head_and_drop(database: Database, book: int) -> tuple[Seal, int] | None:
            head = read_head(database, book)
            if book == 1:
                drop_book(database, 1, 0.0)
            return head

        monkeypatch.setattr(seals, "read_head", read_head_and_drop)
        assert CHECKS["seals"](world.services, True).holds

    @pytest.mark.parametrize(
        ("change", "checked", "fault"),
        [
            ("DELETE FROM ledger.seals", 0, "the chain ends with seal 0, its head with 6"),
            ("UPDATE ledger.seal_heads SET number = 2", 0, "the chain ends with seal 6, its head with 2"),
            ("DELETE FROM ledger.seals WHERE number = 4", 0, "seal 4 is missing"),
            ("UPDATE ledger.seal_heads SET hash = sha256('other')", 2, "seal 6 is not what the head of the chain says"),
        ],
        ids=["no seals", "head back", "first one looked at", "head"],
    )
    def test_seals_and_head_that_do_not_fit_are_named(
        self, world: World, monkeypatch: pytest.MonkeyPatch, change: str, checked: int, fault: str
    ) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        tamper(world.database, change)
        monkeypatch.setattr("paybridge.ledger.verify.NEWEST_SEALS", 2)
        assert CHECKS["seals"](world.services, False) == Finding(False, checked, f"book 1: {fault}")
