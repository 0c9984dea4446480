"""`paybridge merchants`: the same merchants that the API has."""

from __future__ import annotations

import uuid

import pytest

from paybridge.cli import UNUSABLE
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration


class TestCreate:
    def test_creates_a_merchant_with_contacts_and_a_limit(self, terminal: Terminal) -> None:
        options = ("--email", "pay@acme.example", "--phone", "+4930123456", "--notify", "payment.failed")
        limit = ("--notify", "refund.*", "--rate-per-second", 50, "--rate-burst", 100)
        created = terminal.read("merchants", "create", "Acme", *options, *limit)
        assert created.pop("webhook_secret").startswith("whsec_")
        assert created["notify"] == ["payment.failed", "refund.*"]
        assert created["rate_limit"] == {"per_second": 50, "burst": 100}
        assert terminal.read("merchants", "show", created["merchant_id"]) == created

    def test_shows_people_the_secret_and_the_next_step(self, terminal: Terminal) -> None:
        printed = terminal.run("merchants", "create", "Acme")
        merchant_id = printed.split()[1]
        assert "whsec_" in printed
        assert f"paybridge keys create --merchant {merchant_id}" in printed

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--email", "Acme <pay@acme.example>"), "is not one address"),
            (("--email", "pay@acme.example\n"), "is not one address"),
            (("--phone", "030 123456"), "is not a number by E.164"),
            (("--notify", "invoice.*"), "chooses no event"),
            (("--notify", "payment.created"), "never sent"),
            (("--rate-per-second", "5"), "together"),
            (("--rate-per-second", "0", "--rate-burst", "5"), "greater than or equal to 1"),
            (("--notify", "*") * 21, "at most 20"),
        ],
    )
    def test_explains_what_it_refuses(self, terminal: Terminal, options: tuple[str, ...], reason: str) -> None:
        assert reason in terminal.refused("merchants", "create", "Acme", *options, code=UNUSABLE)


class TestList:
    def test_lists_them_newest_first(self, terminal: Terminal) -> None:
        first, second = (terminal.read("merchants", "create", name)["merchant_id"] for name in ("One", "Two"))
        page = terminal.read("merchants", "list", "--limit", 1)
        rest = terminal.read("merchants", "list", "--limit", 1, "--cursor", page["next_cursor"])
        assert [view["merchant_id"] for view in page["data"] + rest["data"]] == [second, first]
        assert terminal.run("merchants", "list", "--limit", 1).splitlines()[1].split()[:2] == [second, "Two"]


class TestShow:
    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("merchants", "show", uuid.uuid4()).startswith("There is no merchant")
