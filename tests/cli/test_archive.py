"""`paybridge archive` as an operator types it, over a real database."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from local.testkit.archive import fill_month, payment_id, work
from local.testkit.payments import new_merchant
from paybridge.cli import UNUSABLE
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration

MONTH = date(2024, 3, 1)


@pytest.fixture
def archived(terminal: Terminal) -> UUID:
    """The id of a payment whose month is archived."""
    if terminal.read("archive", "list")["data"] == []:
        fill_month(terminal.database, new_merchant(terminal.database), MONTH, 3)
        assert work(terminal.database).archived == 1
    return payment_id(terminal.database, MONTH, 1)


def test_nothing_is_archived_at_first(terminal: Terminal) -> None:
    assert terminal.run("archive", "list") == "No month is archived.\n"


def test_list_and_show(terminal: Terminal, archived: UUID) -> None:
    header, line = terminal.run("archive", "list").splitlines()
    assert header.split()[:2] == ["MONTH", "STATE"]
    assert line.split()[:2] == ["2024-03", "archived"]
    shown = terminal.run("archive", "show", "2024-03")
    assert "detached            3 rows      1 files  s3://archive-of-tests/payments/2024-03/payments/" in shown
    assert terminal.read("archive", "show", "2024-03")["state"] == "archived"


def test_run_says_when_it_happens(terminal: Terminal, archived: UUID) -> None:
    assert "within a minute" in terminal.run("archive", "run")


@pytest.mark.parametrize("month", ["2025-1", "January", "2025-13"])
def test_a_month_has_one_form(terminal: Terminal, month: str) -> None:
    assert "is not a month, such as 2025-01" in terminal.refused("archive", "show", month, code=UNUSABLE)


def test_an_unknown_month_is_refused(terminal: Terminal, archived: UUID) -> None:
    for command in ("show", "restore"):
        assert terminal.refused("archive", command, "2020-01") == "The archive has not looked at 2020-01.\n"


def test_an_archived_payment_leads_to_the_restore(terminal: Terminal, archived: UUID) -> None:
    refused = terminal.refused("payment", archived)
    assert refused == "The payment is archived. To read it: paybridge archive restore 2024-03\n"


def test_restore(terminal: Terminal, archived: UUID) -> None:
    assert "is not a whole number" in terminal.refused("archive", "restore", "2024-03", "--days", "0", code=UNUSABLE)
    assert "2024-03 is restoring and kept until" in terminal.run("archive", "restore", "2024-03", "--days", "2")
    assert work(terminal.database).restored == 1
    assert terminal.read("archive", "restore", "2024-03")["state"] == "restored"
    assert "succeeded" in terminal.run("payment", archived)
