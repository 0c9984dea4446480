"""`paybridge reconcile` as an operator types it, over a real database."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from paybridge import wiring
from paybridge.payments.domain.statement import StatementPage
from paybridge.reconciliation import decide_breaks
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.wiring import reconciliation
from tests.cli.conftest import Terminal
from tests.support.breaks import new_break, new_reconciliation

pytestmark = pytest.mark.integration

HEADER = "id,operation_id,kind,amount,currency,created_at"
ROW = '{id},,charge,"1,234.50",EUR,2026-03-01T12:00:00Z'


class EmptyStatement:
    """A gateway that did nothing."""

    covers_holds = True

    async def read_statement(self, begin: datetime, end: datetime, after: str | None) -> StatementPage:
        return StatementPage([], None)


@pytest.fixture(autouse=True)
def services(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> ReconciliationServices:
    api = reconciliation.services_of_api(terminal.database, wiring.clock(), wiring.ids(), ())
    services = replace(api, sources={"default": EmptyStatement()}, asks_gateways=True)
    monkeypatch.setattr(reconciliation, "services", lambda: services)
    return services


def test_a_day_without_payments_agrees(terminal: Terminal) -> None:
    lines = terminal.run("reconcile", "run", "--date", "2026-02-01").splitlines()
    assert lines[0].startswith("2026-02-01  finished")
    assert lines[-2:] == ["difference none, unexplained none", "breaks 0"]
    shown = terminal.read("reconcile", "show", "2026-02-01")
    assert (shown["state"], shown["difference"], shown["unexplained"], shown["started_by"]) == (
        "finished",
        {},
        {},
        "a test",
    )
    assert terminal.read("reconcile", "list")["data"][0]["reconciliation_id"]


def test_a_file_takes_the_place_of_the_gateway(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    rows = [ROW.format(id="ch_1"), ROW.format(id="ch_2")]
    file.write_text("\ufeff" + "\r\n".join([HEADER, *rows]), encoding="utf-8")
    view = terminal.read("reconcile", "import", file, "--date", "2026-03-01")
    assert (view["state"], view["breaks"], view["difference"]) == ("finished", 2, {"EUR": "2469.00"})
    assert view["breaks_by_type"] == {"missing_here": 2}
    lines = terminal.run("reconcile", "breaks", "2026-03-01", "--csv").splitlines()
    found = list(csv.DictReader(io.StringIO("\n".join(lines))))
    by_line = {each["gateway_id"]: each for each in found}
    assert {id_: each["difference"] for id_, each in by_line.items()} == {
        "ch_1": "EUR 1234.50",
        "ch_2": "EUR 1234.50",
    }
    # Another file for the day: what is gone resolves, and what is still there is the same break.
    file.write_text("\n".join([HEADER, rows[0]]), encoding="utf-8")
    assert terminal.read("reconcile", "import", file, "--date", "2026-03-01")["breaks"] == 1
    (kept,) = terminal.read("reconcile", "breaks", "2026-03-01", "--state", "open")["data"]
    assert kept["break_id"] == by_line["ch_1"]["break_id"]


def test_a_file_that_cannot_be_read_names_its_lines(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    file.write_text("\n".join([HEADER, ROW.format(id="a").replace("EUR", "EU"), ROW.format(id="b")]), encoding="utf-8")
    refusal = terminal.refused("reconcile", "import", file, "--date", "2026-03-02")
    assert refusal.splitlines()[0] == "line 2: currency is not an ISO 4217 code with minor units"
    assert "There is no reconciliation 2026-03-02" in terminal.refused("reconcile", "show", "2026-03-02")


def test_a_break_is_decided_with_a_note(terminal: Terminal) -> None:
    run = new_reconciliation(terminal.database)
    id_ = new_break(terminal.database, run)
    assert str(id_) in terminal.run("reconcile", "breaks", run.id)
    assert terminal.read("reconcile", "explain", id_, "--note", "Tomorrow.")["state"] == "explained"
    resolved = terminal.read("reconcile", "resolve", id_, "--note", "Paid.", "--force")
    assert (resolved["state"], resolved["resolution"], resolved["actor"]) == ("resolved", "force", "a test")
    assert "is resolved (force)" in terminal.refused("reconcile", "void", id_, "--note", "None.")
    assert "There is no break" in terminal.refused("reconcile", "void", run.id, "--note", "None.")


def test_a_note_is_kept_without_the_white_space_around_it(terminal: Terminal) -> None:
    id_, note = new_break(terminal.database), "x" * 500
    assert terminal.read("reconcile", "explain", id_, "--note", f" {note} ")["note"] == note
    too_long = terminal.refused("reconcile", "explain", id_, "--note", f"{note}x", code=2)
    assert "1 to 500 characters" in too_long


def test_csv_has_every_break(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_breaks, "PAGE_BREAKS", 2)
    run = new_reconciliation(terminal.database)
    ids = [str(new_break(terminal.database, run)) for _ in range(5)]
    lines = terminal.run("reconcile", "breaks", run.id, "--csv", "--state", "open").splitlines()
    assert [row["break_id"] for row in csv.DictReader(lines)] == ids


def test_a_gateway_that_never_was(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    file.write_text(f"{HEADER}\n", encoding="utf-8")
    for name in ("defualt", "Default"):
        refusal = terminal.refused("reconcile", "import", file, "--date", "2026-03-03", "--gateway", name)
        assert f"There is no gateway '{name}'." in refusal


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("run", "--date", "soon"), "is not a day"),
        (("show", "x"), "is neither a day"),
        (("breaks", "2026-02-01", "--state", "odd"), "is not a state of a break"),
        (("breaks", "2026-02-01", "--type", "odd"), "is not a type of a break"),
    ],
)
def test_refuses_what_it_cannot_do(terminal: Terminal, arguments: tuple[str, ...], why: str) -> None:
    assert why in terminal.refused("reconcile", *arguments, code=2)


def test_a_day_in_the_future(terminal: Terminal) -> None:
    assert "in the future" in terminal.refused("reconcile", "run", "--date", "2999-01-01")


def test_a_day_before_any_payment(terminal: Terminal) -> None:
    assert "Send a day from 1970-01-01 on" in terminal.refused("reconcile", "run", "--date", "0001-01-01")
