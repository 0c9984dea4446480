"""`paybridge payouts` and `paybridge ledger`: the same payouts and balances that the API has."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge.cli import UNUSABLE
from paybridge.ledger.post import post_events
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration


@pytest.fixture
def merchant_id(terminal: Terminal) -> uuid.UUID:
    """A merchant that has 100.500 KWD."""
    merchant_id = new_merchant(terminal.database)
    post_events(terminal.database, [MoneyEvents(merchant_id, "KWD").succeeded("100.500")])
    return merchant_id


class TestPayouts:
    def test_orders_lists_shows_and_settles(self, terminal: Terminal, merchant_id: uuid.UUID) -> None:
        of_merchant = ("--merchant", merchant_id)
        made = terminal.read("payouts", "create", "40.500", "KWD", *of_merchant, "--idempotency-key", "k")
        assert (made.pop("idempotency_key"), made["status"], made["amount"]) == ("k", "pending", "40.500")
        again = terminal.read("payouts", "create", "40.500", "KWD", *of_merchant, "--idempotency-key", "k")
        assert again["payout_id"] == made["payout_id"]
        assert terminal.read("payouts", "list", *of_merchant)["data"] == [made]
        assert terminal.read("payouts", "show", made["payout_id"]) == made
        failed = terminal.read("payouts", "settle", made["payout_id"], "failed", "--reason", "closed")
        assert (failed["status"], failed["failure_reason"]) == ("failed", "closed")
        assert terminal.read("payouts", "list", *of_merchant, "--status", "pending")["data"] == []
        _, row = terminal.run("payouts", "list", *of_merchant).splitlines()
        assert row.split()[:5] == [made["payout_id"], "failed", "40.500", "KWD", "closed"]

    def test_explains_what_it_refuses(self, terminal: Terminal, merchant_id: uuid.UUID) -> None:
        create = ("payouts", "create", "--merchant", merchant_id)
        assert "Only 100.500 KWD is available" in terminal.refused(*create, "100.501", "KWD")
        assert "decimal places" in terminal.refused(*create, "1.00", "KWD")
        made = terminal.read(*create, "1.000", "KWD", "--idempotency-key", "k")
        assert "another payout" in terminal.refused(*create, "2.000", "KWD", "--idempotency-key", "k")
        terminal.run("payouts", "settle", made["payout_id"], "paid")
        assert "paid already" in terminal.refused("payouts", "settle", made["payout_id"], "failed")
        reason = ("--reason", "x" * 501)
        assert "1 to 500" in terminal.refused("payouts", "settle", made["payout_id"], "failed", *reason, code=UNUSABLE)
        for command in (("show",), ("settle", "paid")):
            name, *rest = command
            assert "There is no payout" in terminal.refused("payouts", name, uuid.uuid4(), *rest)


class TestLedger:
    def test_balances_print_every_digit(self, terminal: Terminal, merchant_id: uuid.UUID) -> None:
        large = [MoneyEvents(merchant_id, "JPY").succeeded("999999999999999") for _ in range(20)]
        post_events(terminal.database, large)
        printed = terminal.run("ledger", "balances", "--merchant", merchant_id).splitlines()
        assert [line.split() for line in printed] == [
            ["CURRENCY", "PENDING", "AVAILABLE", "RESERVED"],
            ["JPY", "0", "19999999999999980", "0"],
            ["KWD", "0.000", "100.500", "0.000"],
        ]
        data = terminal.read("ledger", "balances", "--merchant", merchant_id)["data"]
        assert data[0]["available"] == "19999999999999980"

    def test_balances_of_all_and_of_a_moment(self, terminal: Terminal, merchant_id: uuid.UUID) -> None:
        before = [each for each in terminal.read("ledger", "balances")["data"] if each["currency"] == "KWD"]
        post_events(terminal.database, [MoneyEvents(new_merchant(terminal.database), "KWD").succeeded("1.000")])
        after = [each for each in terminal.read("ledger", "balances")["data"] if each["currency"] == "KWD"]
        assert Decimal(after[0]["available"]) - Decimal(before[0]["available"]) == 1
        past = terminal.read("ledger", "balances", "--merchant", merchant_id, "--as-of", "2020-01-01")["data"]
        assert [each["available"] for each in past] == ["0.000"]
        assert "name a --merchant" in terminal.refused("ledger", "balances", "--as-of", "2020-01-01", code=UNUSABLE)

    def test_a_merchant_without_money_is_told_so(self, terminal: Terminal) -> None:
        assert terminal.run("ledger", "balances", "--merchant", uuid.uuid4()) == "No money has moved.\n"

    def test_accounts_and_entries(self, terminal: Terminal, merchant_id: uuid.UUID) -> None:
        [account] = terminal.read("ledger", "accounts", "--merchant", merchant_id)["data"]
        assert (account["account"], account["balance"]) == (f"{merchant_id}/available/KWD/3", "100.500")
        [entry] = terminal.read("ledger", "entries", "--account", account["account"])["data"]
        assert (entry["rule"], entry["amount"], entry["credit_account"]) == ("capture", "100.500", account["account"])
        assert terminal.read("ledger", "entries", "--payment", entry["payment_id"])["data"] == [entry]
        _, row = terminal.run("ledger", "entries", "--merchant", merchant_id).splitlines()
        assert row.split()[1:6] == [
            "capture",
            "house/gateway_clearing/KWD/3",
            account["account"],
            "100.500",
            "KWD",
        ]
        assert "Send the name of an account" in terminal.refused("ledger", "entries", "--account", "available")
