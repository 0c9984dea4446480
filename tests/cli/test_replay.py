"""`paybridge replay` as an operator types it, over a real database."""

from __future__ import annotations

import pytest

from paybridge import cli
from paybridge.database.database import Statement
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.integration

RANGE = ("--from", "2026-04-17", "--to", "2026-04-18T12:00:00Z")
START = ("replay", "start", "--consumer", "webhooks", *RANGE)


@pytest.fixture(autouse=True)
def _no_replays(terminal: Terminal) -> None:
    terminal.database.run(Statement("TRUNCATE replays"))


class TestStart:
    def test_prints_the_replay_and_how_to_go_on(self, terminal: Terminal) -> None:
        lines = terminal.run(*START, "--type", "refund.*", "--rate", 5).splitlines()
        assert lines[0].startswith("Replay ")
        assert lines[0].endswith(" to webhooks: running, 0.0%")
        assert lines[1:4] == [
            "  from 2026-04-17T00:00:00.000000+00:00",
            "  to   2026-04-18T12:00:00.000000+00:00",
            "  sent 0, at 5 a second",
        ]
        (replay,) = terminal.read("replay", "list")["data"]
        assert lines[-1] == f"  paybridge replay show {replay['replay_id']} --wait 25"
        assert (replay["types"], replay["created_by"]) == (["refund.*"], "a test")

    def test_a_dry_run_says_what_would_happen(self, terminal: Terminal) -> None:
        lines = terminal.run(*START, "--dry-run", "--wait", 20).splitlines()
        assert lines[0].endswith(" to webhooks: finished, 100.0%")
        assert lines[3:] == ["  would send 0 in 0 s: 0 new, 0 already processed"]
        assert terminal.read(*START, "--dry-run")["would"]["send"] == 0

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("--consumer", "payments.new", *RANGE), "is no consumer of events"),
            (("--consumer", "webhooks", *RANGE, "--type", "payment"), "is no type of events"),
            (("--consumer", "webhooks", *RANGE, "--type", "payment.created"), "gets no events of payment.created"),
            (("--consumer", "webhooks", *RANGE, "--rate", "0"), "is not a number from 0.1 to 2000"),
            (("--consumer", "webhooks", "--from", "2026-04-18", "--to", "2026-04-17"), "--to must be after --from"),
            (("--consumer", "webhooks", "--from", "soon"), "is not a time"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, terminal: Terminal, arguments: tuple[str, ...], why: str) -> None:
        assert why in terminal.refused("replay", "start", *arguments, code=2)

    def test_a_range_in_the_future_has_no_facts(self, terminal: Terminal) -> None:
        arguments = ("--consumer", "webhooks", "--from", "2999-01-01", "--to", "2999-01-02")
        assert "The range has no facts" in terminal.refused("replay", "start", *arguments)


class TestChange:
    def test_pauses_resumes_and_cancels(self, terminal: Terminal) -> None:
        replay_id = terminal.read(*START)["replay_id"]
        for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "canceled")):
            assert terminal.read("replay", action, replay_id)["state"] == state
        assert terminal.read("replay", "show", replay_id)["changed_by"] == "a test"
        assert "finished or canceled" in terminal.refused("replay", "pause", replay_id)

    def test_an_unknown_one_is_refused(self, terminal: Terminal) -> None:
        unknown = "01a1fd50-1a0a-70e7-9753-804a71418b4e"
        for action in ("show", "pause", "resume", "cancel"):
            assert f"There is no replay {unknown}." in terminal.refused("replay", action, unknown)

    def test_waiting_tells_the_progress(self, terminal: Terminal) -> None:
        replay_id = terminal.read(*START)["replay_id"]
        assert cli.main(["replay", "show", replay_id, "--wait", "1"]) == 0
        assert terminal.output.readouterr().err.startswith("  0.0%  0 events")

    def test_without_any_the_list_says_so(self, terminal: Terminal) -> None:
        assert terminal.run("replay", "list") == "There are no replays.\n"
