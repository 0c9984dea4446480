"""The results that the bench prints and writes: verdicts, the table, the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.cli import MEASURES, ON_REQUEST, chosen
from bench.report import Run
from bench.results import Figure, Goal, Measure, interleaved, percentile
from local.errors import LocalError

MEASURE = Measure(
    "relay",
    [
        Figure("relay", "rows/s", (900.0, 1200.0, 1000.0), Goal(950.0)),
        Figure("gather", "rows/s", (400.0, 500.0, 600.0), is_rival=True),
        Figure("CPU time", "s per 1,000", (3.0,), Goal(2.3, at_most=True)),
        Figure("CPU time of gather", "s per 1,000", (6.0,), is_rival=True, compared_with="CPU time"),
    ],
    ["one note"],
)
RUN = Run("2026-01-02T03:04:05Z", "abc1234", {"cores": 2}, {"python": "3.11"}, [MEASURE])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


class TestGoal:
    @pytest.mark.parametrize(("figure", "met"), [(9.9, False), (10.0, True), (11.0, True)])
    def test_at_least_is_met_from_the_value_upwards(self, figure: float, met: bool) -> None:
        assert Goal(10).met(figure) is met

    @pytest.mark.parametrize(("figure", "met"), [(9.9, True), (10.0, True), (11.0, False)])
    def test_at_most_is_met_up_to_the_value(self, figure: float, met: bool) -> None:
        assert Goal(10, at_most=True).met(figure) is met

    def test_the_share_is_above_one_when_met_whichever_way_the_goal_points(self) -> None:
        assert (Goal(10).reached(20), Goal(10, at_most=True).reached(5)) == (2, 2)


class TestTable:
    def test_a_row_has_median_spread_goal_and_verdict(self) -> None:
        rows = report.table([MEASURE]).splitlines()
        assert cells(rows[2]) == ["relay", "relay", "1,000 rows/s", "900 to 1,200", "≥ 950", "met", ""]

    def test_a_rival_is_held_against_the_first_figure_or_the_one_it_names(self) -> None:
        rows = report.table([MEASURE]).splitlines()
        assert cells(rows[3])[-1] == "2.00 x"
        assert cells(rows[5])[-1] == "0.50 x"

    def test_a_missed_goal_is_marked_and_a_single_value_has_no_spread(self) -> None:
        row = cells(report.table([MEASURE]).splitlines()[4])
        assert row[3:6] == ["", "≤ 2.30", "not met"]

    def test_notes_name_their_measure(self) -> None:
        assert report.table([MEASURE]).splitlines()[-1] == "- relay: one note"


class TestWrite:
    def test_a_written_run_is_read_again(self, tmp_path: Path) -> None:
        assert report.read(report.write(RUN, tmp_path / "results" / "latest.json")) == RUN

    def test_the_medians_of_goals_stand_by_their_names(self, tmp_path: Path) -> None:
        written = json.loads(report.write(RUN, tmp_path / "latest.json").read_text())
        assert written["measures"]["relay"].items() >= {"relay": 1000.0, "cpu_time": 3.0}.items()


class TestWithEarlier:
    ORDER = ("ledger", "relay", "archive")

    @staticmethod
    def run(*keys: str, **changes: Any) -> Run:
        return replace(RUN, measures=[replace(MEASURE, key=key) for key in keys], **changes)

    def keys(self, earlier: Run, later: Run, path: Path) -> list[str]:
        """The measures that are there after both runs."""
        report.write(earlier, path)
        return [measure.key for measure in report.with_earlier(later, self.ORDER, path).measures]

    def test_measures_of_the_same_commit_are_kept_in_the_usual_order(self, tmp_path: Path) -> None:
        path = tmp_path / "latest.json"
        busy = {**RUN.machine, "load_average": 9.5}
        assert self.keys(self.run("archive", "relay"), self.run("ledger", machine=busy), path) == list(self.ORDER)

    def test_the_newer_figures_of_a_measure_count(self, tmp_path: Path) -> None:
        path = report.write(RUN, tmp_path / "latest.json")
        newer = replace(MEASURE, notes=["newer"])
        (measure,) = report.with_earlier(replace(RUN, measures=[newer]), ["relay"], path).measures
        assert measure.notes == ["newer"]

    def test_another_commit_or_machine_begins_again(self, tmp_path: Path) -> None:
        path = tmp_path / "latest.json"
        for later in (self.run("ledger", commit="def5678"), self.run("ledger", machine={"cores": 4})):
            assert self.keys(self.run("relay"), later, path) == ["ledger"]

    def test_a_first_run_stands_alone(self, tmp_path: Path) -> None:
        assert report.with_earlier(RUN, self.ORDER, tmp_path / "none.json") == RUN


class TestThisRun:
    def test_names_the_versions_of_rivals_servers_and_our_own(self) -> None:
        versions = report.this_run([], {"postgresql": "16.1"}).versions
        assert {"postgresql", "python", "pg8000", "celery", "faststream", "asyncpg"} <= versions.keys()


class TestChosen:
    def test_without_a_name_all_but_those_that_run_on_request(self) -> None:
        assert chosen([]) == [key for key in MEASURES if key not in ON_REQUEST]
        assert chosen(["shards"]) == ["shards"]
        assert chosen(["reconcile audit"]) == ["audit", "reconcile"]

    def test_names_are_parted_by_blanks_and_commas_and_run_in_the_usual_order(self) -> None:
        assert chosen(["consume,relay", "create"]) == ["create", "relay", "consume"]

    def test_a_name_that_is_none_is_refused(self) -> None:
        with pytest.raises(LocalError, match=r"'speed'.*relay"):
            chosen(["speed"])


class TestInterleaved:
    def test_the_contenders_take_turns(self) -> None:
        order: list[str] = []

        def run(name: str) -> float:
            order.append(name)
            return float(len(order))

        values = interleaved(lambda _: None, {"a": lambda: run("a"), "b": lambda: run("b")}, "x", rounds=2)
        assert order == ["a", "b", "a", "b"]
        assert values == {"a": (1.0, 3.0), "b": (2.0, 4.0)}


class TestPercentile:
    def test_is_a_value_that_occurred(self) -> None:
        values = tuple(float(number) for number in range(1, 101))
        assert (percentile(values, 50), percentile(values, 99), percentile((7.0,), 99)) == (50.0, 99.0, 7.0)
