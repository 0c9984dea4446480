"""`paybridge events follow` on an environment: looks that follow one another, through failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from infra import follow as follow_module
from infra.errors import InputMissingError
from infra.follow import follow, is_endless

Look = tuple[int, str] | Exception


def look(position: str, *events: str, has_more: bool = False) -> Look:
    """What the function answers to a look: events, and the position of the next one."""
    return 0, "".join(f"{line}\n" for line in [*events, json.dumps({"look": position, "has_more": has_more})])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which take no time here."""
    taken: list[float] = []
    monkeypatch.setattr(follow_module.time, "sleep", taken.append)
    return taken


def answering(looks: Sequence[Look]) -> tuple[Callable[[list[str]], tuple[int, str]], list[list[str]]]:
    """A function that gives these answers and is then interrupted, and what it was asked."""
    asked: list[list[str]] = []

    def run(more: list[str]) -> tuple[int, str]:
        asked.append(more)
        if len(asked) > len(looks):
            raise KeyboardInterrupt
        answer = looks[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return run, asked


class TestFollow:
    def test_prints_each_event_once_until_ctrl_c(self, pauses: list[float], capsys: pytest.CaptureFixture[str]) -> None:
        run, asked = answering([look("1:a", "one", "two", has_more=True), look("2:b", "three"), look("2:b")])
        assert follow(run) == 0
        assert capsys.readouterr().out.splitlines() == ["one", "two", "three"]
        assert asked == [["--look="], ["--look=1:a"], ["--look=2:b"], ["--look=2:b"]]
        assert len(pauses) == 2

    def test_says_once_that_a_look_failed_and_repeats_it(
        self, pauses: list[float], capsys: pytest.CaptureFixture[str]
    ) -> None:
        away, lost = (1, "The database is away.\n"), InputMissingError("The function does not answer.")
        run, asked = answering([look("1:a", "one"), away, lost, look("2:b", "two")])
        assert follow(run) == 0
        said = capsys.readouterr()
        assert said.out.splitlines() == ["one", "two"]
        assert said.err.splitlines() == ["The database is away. Trying again."]
        assert asked[1:4] == [["--look=1:a"]] * 3
        assert len(pauses) == 4

    def test_a_first_look_that_is_refused_ends_it(
        self, pauses: list[float], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run, _ = answering([(2, "There is no such event.\n")])
        assert follow(run) == 2
        assert capsys.readouterr().err == "There is no such event.\n"
        run, _ = answering([InputMissingError("Deploy dev first.")])
        with pytest.raises(InputMissingError, match="Deploy dev first"):
            follow(run)
        assert pauses == []


class TestIsEndless:
    def test_only_following_is_and_not_its_help(self) -> None:
        assert is_endless(["events", "follow", "--json"])
        assert not is_endless(["events", "follow", "--help"])
        assert not is_endless(["events", "list"])
