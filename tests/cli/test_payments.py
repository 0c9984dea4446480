"""`paybridge payments` and `paybridge refunds` as an operator types them, over a real database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from local.testkit.payments import authorized_payment, captured_payment, new_merchant, new_payment, operation_rows
from paybridge import cli, wiring
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

Output = pytest.CaptureFixture[str]


@pytest.fixture
def database(database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        yield database


def run(capsys: Output, *arguments: object) -> str:
    """Run the command, which must succeed, and return what it prints."""
    assert cli.main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def read(capsys: Output, *arguments: object) -> Any:
    return json.loads(run(capsys, *arguments, "--json"))


def refused(capsys: Output, *arguments: object) -> str:
    """Run the command, which must be refused, and return why."""
    assert cli.main([*map(str, arguments)]) == 1
    return capsys.readouterr().err


class TestList:
    def test_lists_the_payments_of_every_merchant_newest_first(self, database: Database, capsys: Output) -> None:
        first, second = (new_payment(database, new_merchant(database)) for _ in range(2))
        found = read(capsys, "payments", "list", "--limit", 2)
        assert [view["payment_id"] for view in found["data"]] == [str(second), str(first)]
        assert found["has_more"] in {True, False}

    def test_filters_and_goes_on(self, database: Database, capsys: Output) -> None:
        merchant_id = new_merchant(database)
        ids = [str(new_payment(database, merchant_id)) for _ in range(3)]
        page = read(capsys, "payments", "list", "--merchant", merchant_id, "--limit", 2)
        rest = read(
            capsys, "payments", "list", "--merchant", merchant_id, "--limit", 2, "--cursor", page["next_cursor"]
        )
        assert [view["payment_id"] for view in page["data"] + rest["data"]] == ids[::-1]
        assert run(capsys, "payments", "list", "--merchant", merchant_id, "--status", "failed") == (
            "There are no such payments.\n"
        )

    def test_prints_a_table_for_people(self, database: Database, capsys: Output) -> None:
        merchant_id = new_merchant(database)
        payment_id = new_payment(database, merchant_id)
        names, row = run(capsys, "payments", "list", "--merchant", merchant_id).splitlines()
        assert names.split()[:4] == ["PAYMENT", "STATUS", "AMOUNT", "CURRENCY"]
        assert row.split()[:4] == [str(payment_id), "pending", "100.50", "RUB"]


class TestShow:
    @pytest.mark.parametrize("command", [["payment"], ["payments", "show"]])
    def test_shows_where_a_payment_is(self, database: Database, capsys: Output, command: list[str]) -> None:
        payment_id = new_payment(database, new_merchant(database))
        assert f"{payment_id}  100.50 RUB  pending" in run(capsys, *command, payment_id)
        assert read(capsys, *command, payment_id)["payment_id"] == str(payment_id)

    def test_an_unknown_payment_is_an_error(self, database: Database, capsys: Output) -> None:
        assert refused(capsys, "payments", "show", uuid.uuid4()).startswith("There is no payment")


class TestCapture:
    def test_captures_once_under_a_key(self, database: Database, capsys: Output) -> None:
        payment_id = authorized_payment(database, new_merchant(database))
        command = ("payments", "capture", payment_id, "--amount", "60.00", "--idempotency-key", "one")
        views = [read(capsys, *command) for _ in range(2)]
        assert views[0]["pending_operation"] == views[1]["pending_operation"]
        assert views[0]["pending_operation"]["amount"] == "60.00"
        assert "another command" in refused(capsys, *command[:4], "50.00", "--idempotency-key", "one")

    def test_a_payment_that_holds_nothing_is_refused(self, database: Database, capsys: Output) -> None:
        payment_id = new_payment(database, new_merchant(database))
        assert "payment_not_capturable" in refused(capsys, "payments", "capture", payment_id)


class TestCancel:
    def test_cancels_with_a_reason(self, database: Database, capsys: Output) -> None:
        payment_id = new_payment(database, new_merchant(database))
        view = read(capsys, "payments", "cancel", payment_id, "--reason", "ordered twice")
        assert view["status"] == "canceled"
        assert view["idempotency_key"].startswith("paybridge-")


class TestRefund:
    def test_refunds_an_amount_and_shows_the_refund(self, database: Database, capsys: Output) -> None:
        merchant_id = new_merchant(database)
        payment_id = captured_payment(database, merchant_id)
        refund = read(capsys, "payments", "refund", payment_id, "--amount", "0.50", "--metadata", "order=7")
        assert (refund["amount"], refund["metadata"]) == ("0.50", {"order": "7"})
        shown = read(capsys, "refunds", "show", refund["refund_id"])
        assert shown == {name: value for name, value in refund.items() if name != "idempotency_key"}
        (listed,) = read(capsys, "refunds", "list", "--payment", payment_id)["data"]
        assert listed == shown
        assert len([row for row in operation_rows(database, payment_id) if row["kind"] == "refund"]) == 1

    def test_more_than_is_left_is_refused(self, database: Database, capsys: Output) -> None:
        payment_id = captured_payment(database, new_merchant(database))
        assert "amount_exceeds_refundable" in refused(capsys, "payments", "refund", payment_id, "--amount", "1000.00")

    @pytest.mark.parametrize("amount", ["1.005", "abc", "-1.00", "1e2"])
    def test_an_amount_that_the_currency_does_not_have_is_refused(
        self, database: Database, capsys: Output, amount: str
    ) -> None:
        payment_id = captured_payment(database, new_merchant(database))
        assert refused(capsys, "payments", "refund", payment_id, f"--amount={amount}")

    @pytest.mark.parametrize("pair", ["order", "=7"])
    def test_metadata_without_a_name_or_value_is_explained(self, database: Database, capsys: Output, pair: str) -> None:
        payment_id = captured_payment(database, new_merchant(database))
        assert cli.main(["payments", "refund", str(payment_id), "--metadata", pair]) == cli.UNUSABLE
        assert "is not a name and a value" in capsys.readouterr().err
