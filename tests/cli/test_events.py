"""`paybridge events`: lists that end, and one that goes on."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from uuid import UUID

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge.cli import UNUSABLE
from paybridge.cli import events as events_command
from paybridge.core.errors import DatabaseUnavailable
from paybridge.feed import read_events
from tests.cli.conftest import Terminal
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

LOOKS_MAX = 500


def created(terminal: Terminal, count: int = 1) -> tuple[UUID, list[str]]:
    """A merchant with payments, whose events the feed shows."""
    merchant_id = new_merchant(terminal.database)
    ids = [str(new_payment(terminal.database, merchant_id)) for _ in range(count)]
    await_horizon(terminal.database)
    return merchant_id, ids


@pytest.fixture
def each_look(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Let a function take the place of the pauses between looks. It gets their number from 0 on."""

    def install(pause: Callable[[int], None]) -> None:
        numbers = iter(range(LOOKS_MAX))

        def sleep(_: float) -> None:
            pause(next(numbers))
            # A transaction of another test may hold up the feed.
            threading_pause(0.02)

        threading_pause = time.sleep
        monkeypatch.setattr(events_command.time, "sleep", sleep)

    return install


class TestList:
    def test_lists_the_oldest_first_and_goes_on(self, terminal: Terminal) -> None:
        merchant_id, ids = created(terminal, 3)
        page = terminal.read("events", "list", "--merchant", merchant_id, "--limit", 2)
        rest = terminal.read("events", "list", "--merchant", merchant_id, "--after", page["next_cursor"])
        assert [event["subject"]["id"] for event in page["data"] + rest["data"]] == ids
        assert (page["has_more"], rest["has_more"]) == (True, False)

    def test_filters_and_prints_a_table(self, terminal: Terminal) -> None:
        merchant_id, ids = created(terminal, 2)
        command = ("events", "list", "--merchant", merchant_id)
        _, row = terminal.run(*command, "--payment", ids[1], "--type", "payment.*,refund.failed").splitlines()
        assert row.split()[2:] == ["payment.created", "payment", ids[1], "1"]
        assert terminal.run(*command, "--type", "refund.*") == "There are no such events.\n"
        assert terminal.run(*command, "--created-to", "2020-01-01") == "There are no such events.\n"
        assert terminal.run(*command, "--limit", 1).splitlines()[2].startswith("There are more: --after ")

    def test_looks_on_until_a_page_is_full(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_events, "WINDOW_EVENTS", 1)
        monkeypatch.setattr(read_events, "WINDOWS_MAX", 1)
        merchant_id, ids = created(terminal, 4)
        wanted = ("--type", "payment.created", "--limit", 1)
        found = [
            event["subject"]["id"]
            for event in terminal.read("events", "list", "--merchant", merchant_id, *wanted)["data"]
        ]
        assert found == ids[:1]
        assert terminal.read("events", "list", "--merchant", merchant_id, "--type", "refund.*")["data"] == []

    def test_an_unknown_cursor_or_type_is_explained(self, terminal: Terminal) -> None:
        assert "no such event" in terminal.refused("events", "list", "--after", uuid.uuid4())
        assert "chooses no event" in terminal.refused("events", "list", "--type", "invoice.*", code=UNUSABLE)


class TestShow:
    def test_shows_an_event(self, terminal: Terminal) -> None:
        merchant_id, ids = created(terminal)
        [event] = terminal.read("events", "list", "--merchant", merchant_id)["data"]
        assert terminal.read("events", "show", event["event_id"]) == event
        assert event["subject"] == {"type": "payment", "id": ids[0]}

    def test_an_unknown_one_is_an_error(self, terminal: Terminal) -> None:
        assert terminal.refused("events", "show", uuid.uuid4()).startswith("There is no event")


class TestFollow:
    def test_prints_what_happens_from_now_on_and_ends_with_ctrl_c(
        self, terminal: Terminal, each_look: Callable[[Callable[[int], None]], None]
    ) -> None:
        merchant_id, _ = created(terminal)
        later: list[str] = []
        printed: list[str] = []

        def pause(number: int) -> None:
            if number < 2:
                later.append(str(new_payment(terminal.database, merchant_id)))
            printed.extend(terminal.output.readouterr().out.splitlines())
            if len(printed) >= 2:
                raise KeyboardInterrupt

        each_look(pause)
        assert terminal.run("events", "follow", "--merchant", merchant_id, "--json") == ""
        assert [json.loads(line)["subject"]["id"] for line in printed] == later

    def test_goes_on_after_an_event_and_prints_lines_for_people(
        self, terminal: Terminal, each_look: Callable[[Callable[[int], None]], None]
    ) -> None:
        merchant_id, ids = created(terminal, 3)
        [first, *_] = terminal.read("events", "list", "--merchant", merchant_id)["data"]

        def pause(number: int) -> None:
            raise KeyboardInterrupt

        each_look(pause)
        lines = terminal.run("events", "follow", "--merchant", merchant_id, "--after", first["event_id"]).splitlines()
        assert [line.split()[2:] for line in lines] == [["payment.created", "payment", id_, "1"] for id_ in ids[1:]]

    def test_looks_begin_where_the_last_one_ended(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events_command, "FOLLOWED_EVENTS_MAX", 2)
        merchant_id, ids = created(terminal, 6)
        [first, *_] = terminal.read("events", "list", "--merchant", merchant_id)["data"]
        command = ("events", "follow", "--merchant", merchant_id, "--json")
        arguments: list[object] = ["--after", first["event_id"], "--look="]
        seen, has_more = [], True
        while has_more:
            *events, end = terminal.run(*command, *arguments).splitlines()
            seen += [json.loads(event)["subject"]["id"] for event in events]
            has_more, arguments = json.loads(end)["has_more"], [f"--look={json.loads(end)['look']}"]
        assert seen == ids[1:]

    def test_a_look_from_nowhere_is_explained(self, terminal: Terminal) -> None:
        said = terminal.refused("events", "follow", "--look=x:y", code=UNUSABLE)
        assert "is no position that an earlier look printed" in said

    def test_says_once_that_the_database_is_away_and_misses_nothing(
        self,
        terminal: Terminal,
        each_look: Callable[[Callable[[int], None]], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        merchant_id, _ = created(terminal)
        read_page, looks = read_events.read_page, iter(range(LOOKS_MAX))
        meanwhile: list[str] = []
        printed: list[str] = []
        told: list[str] = []

        def read(*arguments: object) -> object:
            if next(looks) in {1, 2, 3}:
                raise DatabaseUnavailable
            return read_page(*arguments)  # type: ignore[arg-type]

        def pause(number: int) -> None:
            if number == 2:
                meanwhile.append(str(new_payment(terminal.database, merchant_id)))
            seen = terminal.output.readouterr()
            printed.extend(seen.out.splitlines())
            told.extend(seen.err.splitlines())
            if printed:
                raise KeyboardInterrupt

        monkeypatch.setattr(read_events, "read_page", read)
        each_look(pause)
        terminal.run("events", "follow", "--merchant", merchant_id)
        assert [line.split()[4] for line in printed] == meanwhile
        assert told == ["The database does not answer. Trying again."]
