"""The figures of the whole stack: ratios round by round, and the figures left out without pgbench."""

from __future__ import annotations

import pytest

from bench import end_to_end
from bench.end_to_end import Round
from bench.results import Figure
from bench.rivals.stacks import CELERY, FAST_STREAM, NAIVE

OURS = [Round(800.0, 900.0, 2.0), Round(600.0, 700.0, 2.6), Round(700.0, 800.0, 2.2)]
THEIRS = {
    NAIVE: [Round(100.0, 200.0, 16.0)] * 3,
    FAST_STREAM: [Round(300.0, 500.0, 5.6), Round(200.0, 500.0, 5.8), Round(280.0, 500.0, 5.7)],
    CELERY: [Round(220.0, 500.0, 8.0)] * 3,
}


def _by_name(transactions: tuple[float, ...]) -> dict[str, Figure]:
    return {figure.name: figure for figure in end_to_end._figures(OURS, THEIRS, transactions)}


def test_a_ratio_compares_the_rounds_with_each_other() -> None:
    figure = _by_name((2000.0, 2000.0, 2000.0))[f"ratio to {FAST_STREAM.name}"]
    assert figure.values == (800 / 300, 3.0, 2.5)
    assert figure.goal is not None
    assert not figure.goal.met(figure.median)


def test_our_processor_time_has_a_goal_and_the_rivals_stand_beside_it() -> None:
    figures = _by_name((2000.0, 2000.0, 2000.0))
    assert figures[end_to_end.CPU].median == 2.2
    assert figures[f"CPU time, {NAIVE.name}"].compared_with == end_to_end.CPU


def test_without_pgbench_nothing_is_compared_with_it() -> None:
    assert "ratio to pgbench" in _by_name((2000.0, 2000.0, 2000.0))
    assert not [name for name in _by_name(()) if "pgbench" in name]


@pytest.mark.parametrize("has_pgbench", [True, False])
def test_a_note_says_that_pgbench_was_left_out(has_pgbench: bool) -> None:
    assert bool(end_to_end._notes(has_pgbench)) is not has_pgbench
