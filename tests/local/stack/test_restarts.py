"""Parts of a stack that end: real processes, which are started again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from local.errors import NotReadyError, ServerDiedError
from local.servers.processes import Child, Processes, running
from local.stack import restarts
from local.stack.restarts import CRASH_LOOP_ENDS, DELAY_SECONDS_MAX, PartState, Restarts, delay_seconds, read_records
from local.testkit.live import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FAIL = [sys.executable, "-c", "import sys; sys.exit('no disk')"]


class World:
    """Processes, what keeps them up, and what was made ready again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(folder)
        self.made_ready: list[str] = []
        self.restarts = Restarts(self.processes, self.make_ready)
        # Children that are not ready the next so many times.
        self.refusals = 0

    def make_ready(self, child: Child) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotReadyError(f"{child.name} was not ready after 1 s: see {child.log}.")
        self.made_ready.append(child.name)

    def until(self, name: str, state: PartState, restarts: int) -> None:
        def look() -> bool:
            self.restarts.look()
            record = read_records(self.folder).get(name)
            return record is not None and (record.state, record.restarts) == (state, restarts)

        eventually(look, f"{name} {state} after {restarts} restarts", 20)

    def said(self) -> list[str]:
        lines = (self.folder / "logs" / "stack.log").read_text().splitlines()
        return [line.split(" ", 2)[2] for line in lines]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.processes.stop(seconds_max=0.1)
    made.restarts.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "DELAY_SECONDS_MIN", 0.01)
    monkeypatch.setattr(restarts, "DELAY_SECONDS_MAX", 0.05)


class TestDelaySeconds:
    def test_begins_short_and_grows_to_a_bound(self) -> None:
        delays = [delay_seconds(ends) for ends in range(1, 2_000)]
        assert delays[0] == 0.5
        assert all(before <= after for before, after in pairwise(delays))
        assert max(delays) == DELAY_SECONDS_MAX


class TestLook:
    def test_starts_a_killed_part_again_with_its_program_and_leaves_the_others(self, world: World) -> None:
        world.processes.start("other", SLEEP, {})
        other = running(world.folder)["other"][0]
        killed = world.processes.start("one", SLEEP, {})
        killed.process.kill()
        world.until("one", PartState.UP, 1)
        found = running(world.folder)
        assert found["one"][0].pid != killed.process.pid
        assert found["one"][0].cmdline() == SLEEP
        assert found["other"][0].pid == other.pid
        assert world.made_ready == ["one"]
        assert world.said() == [
            "WARNING one ended (signal SIGKILL). Restarting it in 0.5 s",
            "INFO one is up again",
        ]

    def test_says_with_its_last_words_why_a_part_ended(self, world: World) -> None:
        world.processes.start("one", FAIL, {})
        world.until("one", PartState.RESTARTING, 1)
        assert read_records(world.folder)["one"].last_error == "exit status 1: no disk"

    @pytest.mark.usefixtures("impatient")
    def test_says_once_that_a_part_is_in_a_crash_loop_and_goes_on_trying(self, world: World) -> None:
        world.processes.start("other", SLEEP, {})
        child = world.processes.start("one", FAIL, {})
        world.until("one", PartState.CRASH_LOOP, CRASH_LOOP_ENDS)
        world.until("one", PartState.CRASH_LOOP, CRASH_LOOP_ENDS + 2)
        loops = [line for line in world.said() if line.startswith("ERROR")]
        assert [f"one has ended {CRASH_LOOP_ENDS} times in a row" in line for line in loops] == [True]
        assert str(child.log) in loops[0]
        assert "other" in running(world.folder)

    @pytest.mark.usefixtures("impatient")
    def test_tries_again_when_a_part_came_up_and_did_not_work(self, world: World) -> None:
        world.refusals = 2
        world.processes.start("one", SLEEP, {}).process.kill()
        world.until("one", PartState.UP, 3)
        assert world.made_ready == ["one"]
        assert read_records(world.folder)["one"].last_error.startswith("one was not ready after 1 s")

    def test_ends_the_stack_with_a_part_that_nothing_replaces(self, world: World) -> None:
        world.restarts.irreplaceable = frozenset({"emulator"})
        child = world.processes.start("emulator", SLEEP, {})
        child.process.kill()
        with pytest.raises(ServerDiedError, match="emulator ended unexpectedly"):
            eventually(world.restarts.look, "the end")

    def test_a_stop_meanwhile_starts_nothing(self, world: World) -> None:
        world.processes.start("one", SLEEP, {}).process.kill()
        world.until("one", PartState.RESTARTING, 1)
        world.processes.stop(seconds_max=0.1)
        time.sleep(0.6)
        world.restarts.look()
        world.restarts.close()
        assert running(world.folder) == {}


class TestOutage:
    def test_keeps_a_part_away_until_it_is_over(self, world: World) -> None:
        world.processes.start("one", SLEEP, {})
        restarts.begin_outage(world.folder, "one", 1)
        world.until("one", PartState.OUTAGE, 0)
        eventually(lambda: "one" not in running(world.folder), "the outage")
        world.until("one", PartState.UP, 0)
        assert "one" in running(world.folder)
        assert world.said()[-1] == "INFO one is up again"

    def test_ends_at_once_on_request(self, world: World) -> None:
        world.processes.start("one", SLEEP, {})
        restarts.begin_outage(world.folder, "one", 600)
        world.until("one", PartState.OUTAGE, 0)
        restarts.end_outage(world.folder, "one")
        world.until("one", PartState.UP, 0)

    def test_a_new_end_replaces_the_first(self, world: World) -> None:
        world.processes.start("one", SLEEP, {})
        restarts.begin_outage(world.folder, "one", 600)
        world.until("one", PartState.OUTAGE, 0)
        restarts.begin_outage(world.folder, "one", 60)
        world.restarts.look()
        until = read_records(world.folder)["one"].until
        assert until is not None
        assert 50 < until - time.time() <= 60

    def test_of_an_earlier_stack_is_forgotten(self, world: World) -> None:
        restarts.begin_outage(world.folder, "one", 600)
        restarts.forget(world.folder)
        world.processes.start("one", SLEEP, {})
        world.restarts.look()
        assert "one" in running(world.folder)
        assert read_records(world.folder) == {}


class TestReadRecords:
    @pytest.mark.parametrize("text", ["", "[]", '{"one": {}}', '{"one": {"state": "tired"}}', '{"one": 1}'])
    def test_takes_an_unreadable_file_for_none(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "parts.json").write_text(text)
        assert read_records(tmp_path) == {}
