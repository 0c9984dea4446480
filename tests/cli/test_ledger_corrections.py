"""`paybridge ledger correct` as an operator types it."""

from __future__ import annotations

import uuid

import pytest

from local.testkit.ledger import MoneyEvents, balances
from local.testkit.payments import new_merchant
from paybridge.ledger.post import post_events
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration


class TestCorrect:
    def test_takes_a_journal_back_once(self, terminal: Terminal) -> None:
        merchant = MoneyEvents(new_merchant(terminal.database))
        wrong = merchant.succeeded("10.00")
        post_events(terminal.database, [wrong])
        order = ("ledger", "correct", wrong.id, "--reason", "captured twice")
        made = terminal.read(*order, "--idempotency-key", "case-17")
        assert (made["created_by"], made["reason"], made["rule"]) == ("a test", "captured twice", "capture")
        assert terminal.read(*order, "--idempotency-key", "case-17") == made
        assert "corrected before. (journal_corrected)" in terminal.refused(*order)
        assert "another correction" in terminal.refused(
            *("ledger", "correct", uuid.uuid4(), "--reason", "x", "--idempotency-key", "case-17")
        )
        assert balances(terminal.database, merchant.merchant_id) == {("available", "EUR"): 0}
        (listed,) = terminal.read("ledger", "corrections")["data"]
        assert listed == {name: value for name, value in made.items() if name != "idempotency_key"}

    def test_shows_what_it_would_post(self, terminal: Terminal) -> None:
        merchant = MoneyEvents(new_merchant(terminal.database))
        wrong = merchant.succeeded("10.00")
        post_events(terminal.database, [wrong])
        before = balances(terminal.database, merchant.merchant_id)
        order = ("ledger", "correct", wrong.id, "--reason", "captured twice")
        shown = terminal.read(*order, "--dry-run")
        assert shown["rule"] == "correction_of_capture"
        assert shown["transfers"] == [
            {
                "debit": f"{merchant.merchant_id}/available/EUR/2",
                "credit": "house/gateway_clearing/EUR/2",
                "amount": "10.00",
            }
        ]
        assert balances(terminal.database, merchant.merchant_id) == before
        terminal.read(*order)
        assert "corrected before. (journal_corrected)" in terminal.refused(*order, "--dry-run")

    def test_refuses_what_is_not_there(self, terminal: Terminal) -> None:
        assert "no journal of this event. (journal_not_found)" in terminal.refused(
            "ledger", "correct", uuid.uuid4(), "--reason", "test"
        )
        assert "1 to 500" in terminal.refused("ledger", "correct", uuid.uuid4(), "--reason", " ")
