"""The operate function: what it runs, and what it keeps secret."""

from __future__ import annotations

import base64
import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from local.testkit.payments import new_merchant, new_payment
from operate.handler import handler
from paybridge import wiring
from paybridge.access.domain.api_keys import key_hash
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.wiring.settings import Settings
from tests.support.dead_letters import record_dead

pytestmark = pytest.mark.integration

CONTEXT: Any = SimpleNamespace(aws_request_id="one")
_KEY = Statement("SELECT role, merchant_id FROM api_keys WHERE key_hash = :digest::bytea")

_ACTORS = Statement("SELECT created_by, revoked_by FROM api_keys WHERE key_hash = :digest::bytea")


@pytest.fixture(autouse=True)
def _environment(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "database", lambda *_: database)


def run(*arguments: str) -> tuple[int, str]:
    result = handler({"arguments": list(arguments)}, CONTEXT)
    return result["exit_code"], result["output"]


def shown(output: str, label: str) -> str:
    """What the line of this label shows."""
    return next(line.removeprefix(label).strip() for line in output.splitlines() if line.startswith(label))


class TestPayment:
    def test_is_shown_as_in_a_terminal(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        exit_code, output = run("payment", str(payment_id))
        assert exit_code == 0
        assert f"{payment_id}  100.50 RUB  pending" in output

    def test_an_unknown_one_is_an_error(self) -> None:
        exit_code, output = run("payment", str(uuid.uuid4()))
        assert (exit_code, output[:19]) == (1, "There is no payment")

    def test_what_is_no_id_is_explained(self) -> None:
        exit_code, output = run("payment", "42")
        assert exit_code == 2
        assert output.startswith("Invalid value for 'ID': '42' is not the id of a payment, such as ")
        assert "usage:" not in output


class TestRegister:
    def test_creates_a_merchant_with_a_key_and_a_webhook_secret(self, database: Database) -> None:
        exit_code, output = run("register", "Acme")
        assert exit_code == 0
        [[role, merchant_id]] = database.run(_KEY, digest=key_hash(shown(output, "API key")))
        assert (role, str(merchant_id)) == ("merchant", shown(output, "merchant id"))
        assert shown(output, "webhook secret").startswith("whsec_")

    def test_creates_a_key_for_a_staff_member(self, database: Database) -> None:
        _, output = run("register", "Night shift", "--role", "operator")
        assert database.run(_KEY, digest=key_hash(shown(output, "API key"))) == [["operator", None]]
        assert "whsec_" not in output

    def test_prints_json_to_programs(self, database: Database) -> None:
        merchant, staff = (
            json.loads(run("register", "Acme", "--role", role, "--json")[1]) for role in ("merchant", "admin")
        )
        assert database.run(_KEY, digest=key_hash(merchant["api_key"])) == [
            ["merchant", uuid.UUID(merchant["merchant_id"])]
        ]
        assert merchant["webhook_secret"].startswith("whsec_")
        assert staff == {"role": "admin", "api_key": staff["api_key"]}

    def test_leaves_no_secret_in_the_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, output = run("register", "Discreet")
        logged = capsys.readouterr()
        assert shown(output, "API key") not in logged.out + logged.err

    @pytest.mark.parametrize("name", ["", "  "])
    def test_refuses_an_empty_name(self, name: str) -> None:
        exit_code, output = run("register", name)
        assert (exit_code, output.partition(", such as")[0]) == (
            2,
            "Invalid value for 'NAME': a merchant or staff member needs a name",
        )

    def test_refuses_an_unknown_role(self) -> None:
        exit_code, output = run("register", "Acme", "--role", "king")
        assert exit_code == 2
        assert "king" in output
        assert "auditor" in output
        assert "Role." not in output


class TestKeys:
    def test_are_created_and_revoked_in_the_name_of_the_request(self, database: Database) -> None:
        _, created = run("keys", "create", "--role", "operator", "--json")
        exit_code, _ = run("keys", "revoke", json.loads(created)["key_id"])
        assert exit_code == 0
        digest = key_hash(json.loads(created)["api_key"])
        assert database.run(_ACTORS, digest=digest) == [["operate request one", "operate request one"]]


class TestDeadLetters:
    def test_are_discarded_in_the_name_of_the_request(self, database: Database) -> None:
        letter = record_dead(DeadLetterServices(database, SystemClock(), Uuid7Ids()))
        exit_code, output = run("dead-letters", "discard", str(letter.id), "--note", "sent by hand", "--json")
        assert (exit_code, json.loads(output)["discarded_by"]) == (0, "operate request one")


class TestRebuilds:
    def test_a_rebuild_works_for_a_while_and_answers_in_json(self, database: Database) -> None:
        exit_code, output = run("ledger", "rebuild", "--json")
        assert (exit_code, json.loads(output)["equal"]) == (0, True)

    def test_invariants_are_checked(self, database: Database) -> None:
        exit_code, output = run("verify", "--check", "balances")
        assert (exit_code, output) == (0, "holds        balances  (0 checked)\n")


class TestDays:
    def test_a_day_is_compared_with_a_statement_that_is_sent(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"GATEWAY_URL": "http://127.0.0.1:1"}))
        statement = base64.b64encode(b"id,operation_id,kind,amount,currency,status,created_at\n").decode()
        exit_code, output = run("reconcile", "import", "--date", "2026-11-01", f"--body={statement}", "--json")
        assert (exit_code, json.loads(output)["state"]) == (0, "finished")
        assert run("reconcile", "breaks", "2026-11-01") == (0, "There are no such breaks.\n")

    def test_figures_are_shown(self) -> None:
        assert run("analytics", "daily") == (0, "There are no figures yet.\n")

    def test_a_payout_beyond_the_balance_is_refused(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        exit_code, output = run("payouts", "create", "1.00", "EUR", "--merchant", str(merchant_id))
        assert (exit_code, "balance" in output) == (1, True)


class TestRefusals:
    @pytest.mark.parametrize("event", [{}, {"arguments": "payment"}, {"arguments": [1]}, None, [], "payment"])
    def test_an_event_without_arguments_is_explained(self, event: Any) -> None:
        assert handler(event, CONTEXT) == {
            "exit_code": 2,
            "output": 'An event is {"arguments": ["payment", "<id>"]}.\n',
        }

    @pytest.mark.parametrize(
        "arguments",
        [
            ["dead-letters", "list", "--queue", "a\ud800"],
            ["dead-letters", "groups", "--queue", "a\0"],
            ["dead-letters", "redrive", "--queue", "\udcff", "--dry-run"],
            ["register", "A\0"],
        ],
    )
    def test_an_argument_that_is_no_text_is_explained(self, arguments: list[str]) -> None:
        assert run(*arguments) == (2, "An argument is not valid text. Use UTF-8 without NUL.\n")

    @pytest.mark.parametrize("arguments", [[], ["worker", "relay"], ["--help"]])
    def test_a_command_that_does_not_end_is_refused(self, arguments: list[str]) -> None:
        exit_code, output = run(*arguments)
        assert (exit_code, output) == (
            2,
            "The operate function runs only the commands analytics, archive, dead-letters, events, keys, ledger, "
            "merchants, outbox, payment, payments, payouts, publish, reconcile, refunds, register, replay, verify and "
            "webhooks.\n",
        )

    def test_following_events_is_refused(self) -> None:
        exit_code, output = run("events", "follow", "--json")
        assert (exit_code, output) == (
            2,
            "The operate function cannot follow events. Use `paybridge events follow --environment NAME`.\n",
        )

    def test_one_look_at_the_events_ends(self) -> None:
        exit_code, output = run("events", "follow", "--look=")
        assert exit_code == 0
        assert json.loads(output)["has_more"] is False
