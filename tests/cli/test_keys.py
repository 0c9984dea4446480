"""`paybridge keys`: keys that the API takes, and no longer takes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from local.testkit.payments import new_merchant
from paybridge.access.domain.api_keys import key_hash
from paybridge.cli import UNUSABLE
from paybridge.database.database import Statement
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration

_STORED = Statement("SELECT id::text, created_by, revoked_by, expires_at FROM api_keys WHERE key_hash = :hash::bytea")


def stored(terminal: Terminal, api_key: str) -> list[object]:
    [row] = terminal.database.run(_STORED, hash=key_hash(api_key))
    return row


class TestCreate:
    def test_creates_a_merchants_key(self, terminal: Terminal) -> None:
        merchant_id = new_merchant(terminal.database)
        created = terminal.read("keys", "create", "--merchant", merchant_id, "--name", "Shop")
        api_key = created.pop("api_key")
        assert stored(terminal, api_key)[:2] == [created["key_id"], "a test"]
        assert terminal.read("keys", "list", "--merchant", merchant_id)["data"][0] == created
        assert (created["role"], created["merchant_id"]) == ("merchant", str(merchant_id))

    def test_creates_a_key_of_the_staff_with_an_end_and_a_limit(self, terminal: Terminal) -> None:
        ends_at = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
        limit = ("--rate-per-second", 5, "--rate-burst", 10)
        created = terminal.read("keys", "create", "--role", "operator", "--expires-at", ends_at, *limit)
        assert (created["role"], created["merchant_id"]) == ("operator", None)
        assert created["rate_limit"] == {"per_second": 5, "burst": 10}
        assert stored(terminal, created["api_key"])[3] == datetime.fromisoformat(ends_at)

    def test_says_that_a_key_is_shown_once(self, terminal: Terminal) -> None:
        printed = terminal.run("keys", "create", "--role", "auditor")
        assert "pbk_" in printed
        assert printed.endswith("this is the only time it is shown.\n")

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ((), "Name the merchant"),
            (("--merchant", str(uuid.UUID(int=1))), "There is no such merchant"),
            (("--role", "admin", "--merchant", str(uuid.UUID(int=1))), "Leave merchant_id out"),
            (("--role", "admin", "--expires-at", "2020-01-01"), "in the future"),
        ],
    )
    def test_explains_what_it_refuses(self, terminal: Terminal, options: tuple[str, ...], reason: str) -> None:
        assert reason in terminal.refused("keys", "create", *options)


class TestList:
    def test_goes_on_and_prints_a_table(self, terminal: Terminal) -> None:
        merchant_id = new_merchant(terminal.database)
        ids = [terminal.read("keys", "create", "--merchant", merchant_id)["key_id"] for _ in range(2)]
        page = terminal.read("keys", "list", "--merchant", merchant_id, "--limit", 1)
        assert page["data"][0]["key_id"] == ids[1]
        rest = terminal.run("keys", "list", "--merchant", merchant_id, "--cursor", page["next_cursor"])
        assert rest.splitlines()[1].split()[0] == ids[0]


class TestRotate:
    def test_makes_a_successor_and_ends_the_old_key_after_the_overlap(self, terminal: Terminal) -> None:
        old = terminal.read("keys", "create", "--role", "operator", "--name", "Night shift")
        before = datetime.now(UTC)
        new = terminal.read("keys", "rotate", old["key_id"], "--overlap", "2h")
        assert (new["role"], new["name"], new["expires_at"]) == ("operator", "Night shift", None)
        assert stored(terminal, new["api_key"])[0] == new["key_id"]
        ends_at = stored(terminal, old["api_key"])[3]
        assert isinstance(ends_at, datetime)
        assert timedelta(hours=2) <= ends_at - before < timedelta(hours=2, minutes=1)
        assert f"its successor {new['key_id']}" in terminal.refused("keys", "rotate", old["key_id"])

    def test_without_an_overlap_the_old_key_ends_at_once(self, terminal: Terminal) -> None:
        old = terminal.read("keys", "create", "--role", "operator")
        terminal.read("keys", "rotate", old["key_id"], "--overlap", "0")
        ends_at = stored(terminal, old["api_key"])[3]
        assert isinstance(ends_at, datetime)
        assert ends_at <= datetime.now(UTC)

    def test_a_revoked_key_has_no_successor(self, terminal: Terminal) -> None:
        old = terminal.read("keys", "create", "--role", "operator")
        terminal.run("keys", "revoke", old["key_id"])
        assert "The key is revoked" in terminal.refused("keys", "rotate", old["key_id"])

    @pytest.mark.parametrize("overlap", ["8d", "0.5", "soon"])
    def test_refuses_an_overlap_that_the_api_would_refuse(self, terminal: Terminal, overlap: str) -> None:
        assert "duration" in terminal.refused("keys", "rotate", uuid.uuid4(), "--overlap", overlap, code=UNUSABLE)

    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("keys", "rotate", uuid.uuid4()).startswith("There is no key")


class TestRevoke:
    def test_revokes_in_the_name_of_the_actor_once(self, terminal: Terminal) -> None:
        created = terminal.read("keys", "create", "--role", "operator")
        for _ in range(2):
            assert terminal.read("keys", "revoke", created["key_id"])["status"] == "revoked"
        assert stored(terminal, created["api_key"])[2] == "a test"

    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("keys", "revoke", uuid.uuid4()).startswith("There is no key")
