"""`paybridge analytics` as an operator types it, over a real database."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest

from local.testkit.payments import new_merchant
from paybridge.cli import UNUSABLE
from paybridge.cli import analytics as command
from tests.cli.conftest import Terminal
from tests.support.analytics import World

pytestmark = pytest.mark.integration

RANGE = ("--from", "2026-03-01", "--to", "2026-03-31")


@pytest.fixture
def world(terminal: Terminal) -> World:
    """A merchant with a day in two currencies."""
    world = World(terminal.database, new_merchant(terminal.database))
    world.write(
        *world.payment(("succeeded", 2)),
        *world.payment(("failed", 4)),
        *world.payment(("succeeded", 1), currency="USD"),
    )
    world.update()
    return world


class TestDaily:
    def test_prints_a_table(self, terminal: Terminal, world: World) -> None:
        head, *rows = terminal.run("analytics", "daily", "--merchant", world.merchant_id, *RANGE).splitlines()
        assert head.split()[:3] == ["DAY", "CURRENCY", "PAYMENTS"]
        assert [row.split()[:7] for row in rows] == [
            ["2026-03-14", "EUR", "2", "1", "1", "0.500000", "100.50"],
            ["2026-03-14", "USD", "1", "1", "0", "0.000000", "100.50"],
        ]

    def test_prints_what_the_api_answers(self, terminal: Terminal, world: World) -> None:
        chosen = ("--merchant", world.merchant_id, "--currency", "EUR", *RANGE)
        (day,) = terminal.read("analytics", "daily", *chosen)["data"]
        (row,) = csv.DictReader(io.StringIO(terminal.run("analytics", "daily", *chosen, "--csv")))
        assert day["processing_mean_seconds"] == 3.0
        assert list(day) == list(row)
        assert (row["volume"], row["failure_rate"], row["webhook_success_rate"]) == ("100.50", "0.500000", "")

    def test_reads_all_pages(self, terminal: Terminal, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command, "PAGE", 1)
        wanted = ("--merchant", world.merchant_id, *RANGE)
        assert len(terminal.read("analytics", "daily", *wanted)["data"]) == 2
        monkeypatch.setattr(command, "ROWS_MAX", 1)
        assert "more than 1 rows" in terminal.refused("analytics", "daily", *wanted)

    def test_wrong_arguments_are_explained(self, terminal: Terminal) -> None:
        def refused(*arguments: str) -> str:
            return terminal.refused("analytics", "daily", *arguments, code=UNUSABLE)

        assert "'March' is not a day" in refused("--from", "March")
        assert "'eur' is not a currency" in refused("--currency", "eur")
        assert "at most 367 days" in refused("--from", "2020-01-01", "--to", "2026-01-01")
        assert "--to is before --from" in refused("--from", "2026-01-02", "--to", "2026-01-01")
        assert "not both" in refused("--csv", "--json")

    def test_nothing_is_said_in_words(self, terminal: Terminal) -> None:
        merchant_id = new_merchant(terminal.database)
        assert terminal.run("analytics", "daily", "--merchant", merchant_id) == "There are no figures yet.\n"


class TestMonthly:
    def test_prints_the_sums_of_months(self, terminal: Terminal, world: World) -> None:
        months = terminal.read("analytics", "monthly", "--merchant", world.merchant_id, *RANGE)["data"]
        assert [(month["month"], month["currency"], month["payments"]) for month in months] == [
            ("2026-03", "EUR", 2),
            ("2026-03", "USD", 1),
        ]


class TestPlot:
    def test_draws_bars_in_the_terminal(self, terminal: Terminal, world: World) -> None:
        wanted = ("analytics", "plot", "--merchant", world.merchant_id, "--currency", "EUR", *RANGE)
        title, bar = terminal.run(*wanted).splitlines()
        assert title == "Captured each day, EUR"
        assert (bar.split()[0], bar.split()[-1]) == ("2026-03-14", "100.50")
        assert "█" in bar
        assert terminal.read(*wanted, "--measure", "p95")["data"] == [{"day": "2026-03-14", "value": 4.0}]

    def test_writes_an_svg(self, terminal: Terminal, world: World, tmp_path: Path) -> None:
        wanted = ("analytics", "plot", "--merchant", world.merchant_id, "--currency", "EUR", *RANGE)
        assert terminal.run(*wanted, "--svg", tmp_path / "days.svg") == f"Wrote {tmp_path / 'days.svg'}.\n"
        written = (tmp_path / "days.svg").read_text(encoding="utf-8")
        assert ElementTree.fromstring(written).tag.endswith("svg")  # noqa: S314 -- it is ours.
        assert terminal.run(*wanted, "--svg", "-") == written
        assert "cannot be written" in terminal.refused(*wanted, "--svg", tmp_path / "none" / "days.svg")
