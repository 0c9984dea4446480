"""`paybridge clock advance` as a person sees it. tests/e2e/test_clock.py advances a whole stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.clock import client
from local.commands import operator
from paybridge import cli

Output = pytest.CaptureFixture[str]
ANSWER: dict[str, Any] = {
    "now": "2026-12-02T09:13:11.890Z",
    "ahead_seconds": 270000.2,
    "advanced_seconds": 270000,
    "settled": True,
    "stops_total": 12,
    "stops": [],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the stack was asked to advance by. It shows where it is once meanwhile."""
    seconds_asked: list[float] = []

    def advance(_: str, seconds: float, show_progress: client.ShowsProgress) -> dict[str, Any]:
        seconds_asked.append(seconds)
        show_progress("2026-11-30T00:00:00Z", "2026-12-02T09:13:11Z", 1)
        return ANSWER

    monkeypatch.setattr(client, "advance", advance)
    return seconds_asked


def run(*arguments: str) -> int:
    return cli.main(["clock", "advance", *arguments], add_commands=operator.add_local_commands)


def test_says_where_the_stack_is_and_on_the_way(asked: list[float], capsys: Output) -> None:
    assert run("75h") == 0
    shown = capsys.readouterr()
    assert shown.out == "The stack is at 2026-12-02T09:13:11.890Z, 3 days, 3:00:00 ahead, after 12 stops.\n"
    assert shown.err == "at 2026-11-30T00:00:00Z of 2026-12-02T09:13:11Z, after 1 stop\n"
    assert asked == [270_000]


def test_says_that_the_stack_did_not_come_to_rest(
    asked: list[float], capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWER, "settled", False)
    assert run("75h") == 0
    assert "still at work" in capsys.readouterr().out


def test_prints_the_stacks_answer_to_programs(asked: list[float], capsys: Output) -> None:
    assert run("1d", "--json") == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


def test_asks_for_nothing_if_the_duration_is_wrong(asked: list[float], capsys: Output) -> None:
    assert run("tomorrow") == cli.UNUSABLE
    assert "'tomorrow' is not a duration" in capsys.readouterr().err
    assert asked == []
