"""`paybridge ledger rebuild` and `paybridge verify` as an operator types them. The tests share their books."""

from __future__ import annotations

import json
import uuid

import pytest

from local.testkit.event_log import log_events
from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge import cli
from paybridge.database.database import Statement
from paybridge.ledger.post import post_events
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration

CHECKS = (
    *("balances", "debits_equal_credits", "payouts", "seals", "live_book_equals_log", "payments_equal_events"),
    "outbox",
)


class TestLedgerRebuild:
    def test_proves_that_the_books_are_equal(self, terminal: Terminal) -> None:
        merchant = MoneyEvents(new_merchant(terminal.database))
        events = [merchant.succeeded("10.00"), merchant.refunded("4.00")]
        log_events(terminal.database, events)
        post_events(terminal.database, events)
        assert cli.main(["ledger", "rebuild"], actor="ann") == 0
        printed = terminal.output.readouterr()
        assert "equal" in printed.out
        assert "done 100%: 2 events, 2 compared" in printed.err
        (listed,) = terminal.read("ledger", "rebuilds")["data"]
        assert (listed["equal"], listed["created_by"], listed["live_hash"]) == (True, "ann", listed["rebuilt_hash"])

    def test_switches_and_drops_the_retired_book(self, terminal: Terminal) -> None:
        (listed,) = terminal.read("ledger", "rebuilds")["data"]
        assert terminal.read("ledger", "switch", listed["rebuild_id"])["switched_by"] == "a test"
        books = terminal.read("ledger", "books")["data"]
        assert [(book["book"], book["state"]) for book in books] == [(listed["book"], "live"), (1, "retired")]
        assert "live book" in terminal.refused("ledger", "drop-book", listed["book"])
        assert terminal.run("ledger", "drop-book", 1) == "Book 1 is gone.\n"
        assert "no book 1" in terminal.refused("ledger", "drop-book", 1)

    def test_says_what_differs_with_exit_code_1(self, terminal: Terminal) -> None:
        lost = MoneyEvents(new_merchant(terminal.database)).succeeded("3.00")
        log_events(terminal.database, [lost])
        assert cli.main(["ledger", "rebuild", "--wait", "0"]) == 1
        assert str(lost.id) in terminal.output.readouterr().out
        (listed, _) = terminal.read("ledger", "rebuilds")["data"]
        assert listed["first_difference"]["event_id"] == str(lost.id)
        assert "differ" in terminal.refused("ledger", "switch", listed["rebuild_id"])
        reason = ("--accept-differences", "an outage")
        assert terminal.read("ledger", "switch", listed["rebuild_id"], *reason)["switch_reason"] == "an outage"

    def test_looks_for_a_while_and_goes_on_later(self, terminal: Terminal) -> None:
        log_events(terminal.database, [MoneyEvents(new_merchant(terminal.database)).succeeded("3.00")])
        begun = terminal.read("ledger", "rebuild", "--look", 0, "--wait", 1)
        assert begun["state"] == "running"
        assert "1 compared" not in terminal.refused("ledger", "rebuild", "--id", begun["rebuild_id"])

    def test_cancels_one_that_is_running(self, terminal: Terminal) -> None:
        log_events(terminal.database, [MoneyEvents(new_merchant(terminal.database)).succeeded("3.00")])
        begun = terminal.read("ledger", "rebuild", "--look", 0)
        for _ in range(2):
            canceled = terminal.read("ledger", "cancel-rebuild", begun["rebuild_id"])
            assert (canceled["state"], canceled["failure"]) == ("failed", "canceled by a test")
        (*_, ended) = terminal.read("ledger", "rebuilds")["data"]
        assert "nothing to cancel" in terminal.refused("ledger", "cancel-rebuild", ended["rebuild_id"])

    def test_refuses_what_is_not_there(self, terminal: Terminal) -> None:
        unknown = uuid.uuid4()
        assert f"no rebuild {unknown}" in terminal.refused("ledger", "rebuild", "--id", unknown)
        assert f"no rebuild {unknown}" in terminal.refused("ledger", "switch", unknown)
        assert f"no rebuild {unknown}" in terminal.refused("ledger", "cancel-rebuild", unknown)
        assert "1 to 500" in terminal.refused("ledger", "switch", unknown, "--accept-differences", " ", code=2)


class TestVerify:
    def test_every_invariant_has_a_line(self, terminal: Terminal) -> None:
        # The event log of these tests names payments that do not exist.
        assert cli.main(["verify", "--seconds", "60"]) == 1
        lines = terminal.output.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines] == [
            *(["holds", name] for name in CHECKS if name != "outbox"),
            ["FAILS", "outbox"],
        ]
        assert "no_subject" in lines[-1]

    def test_programs_read_the_same(self, terminal: Terminal) -> None:
        assert cli.main(["verify", "--full", "--json"]) == 1
        verified = json.loads(terminal.output.readouterr().out)
        assert verified["holds"] is False
        assert tuple(view["check"] for view in verified["data"]) == CHECKS

    def test_one_that_does_not_hold_is_exit_code_1(self, terminal: Terminal) -> None:
        change = "UPDATE ledger.accounts SET debits_minor = debits_minor + 1 WHERE kind = 'gateway_clearing'"
        terminal.database.run(Statement(change))
        assert cli.main(["verify", "--check", "debits_equal_credits", "--check", "payouts"]) == 1
        first, second = terminal.output.readouterr().out.splitlines()
        assert first.startswith("FAILS        debits_equal_credits  (")
        assert second.startswith("holds        payouts")

    def test_an_unknown_check_is_refused(self, terminal: Terminal) -> None:
        assert "none of balances" in terminal.refused("verify", "--check", "everything", code=2)
