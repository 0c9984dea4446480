"""The file by which every process of the stack knows its time."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.clock.offset import VARIABLE, Offset, keep_stack_time, stack_time
from paybridge.core import clock
from paybridge.core.clock import FollowingClock, SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database import session_settings
from tests.support.template import ROOT

AHEAD = timedelta(hours=75)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "clock"


def test_begins_with_the_machines_time(file: Path) -> None:
    assert Offset(file).read() == timedelta()


@pytest.mark.parametrize("ahead", [AHEAD, timedelta(microseconds=1), timedelta(days=366 * 100)], ids=str)
def test_is_seen_by_all_who_have_the_file(file: Path, ahead: timedelta) -> None:
    before, writer = Offset(file), Offset(file)
    writer.write(ahead)
    assert before.read() == Offset(file).read() == ahead
    assert abs(before.now() - time.time() - ahead.total_seconds()) < 1


def test_tells_the_machines_time_where_no_file_is_named() -> None:
    assert stack_time({}) is time.time


class TestKeepStackTime:
    @pytest.fixture(autouse=True)
    def restored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "_ahead", timedelta)
        monkeypatch.setitem(session_settings._SETTINGS, "search_path", session_settings._SETTINGS["search_path"])

    def test_moves_clocks_and_ids(self, file: Path) -> None:
        keep_stack_time({VARIABLE: str(file)})
        offset, following = Offset(file), FollowingClock()
        following.follow(SystemClock().now())
        before = Uuid7Ids().new()
        offset.write(AHEAD)
        after = Uuid7Ids().new()
        for moment in (SystemClock().now(), following.now(), time_of(after.int)):
            assert abs(moment - datetime.now(UTC) - AHEAD) < timedelta(seconds=1)
        assert after > before
        assert after.version == 7

    def test_ids_increase_while_the_offset_stands_still(self, file: Path) -> None:
        keep_stack_time({VARIABLE: str(file)})
        Offset(file).write(AHEAD)
        ids = [Uuid7Ids().new() for _ in range(10_000)]
        assert ids == sorted(set(ids))

    def test_lets_sessions_find_the_stacks_now_first(self, file: Path) -> None:
        assert "SET search_path = public, pg_temp" in session_settings.set_commands(5)
        keep_stack_time({VARIABLE: str(file)})
        assert "SET search_path = public, pg_catalog, pg_temp" in session_settings.set_commands(5)

    def test_changes_nothing_where_no_file_is_named(self) -> None:
        keep_stack_time({})
        assert clock.ahead() == timedelta()
        assert "SET search_path = public, pg_temp" in session_settings.set_commands(5)


def test_nothing_that_is_deployed_names_the_clock() -> None:
    """No setting and no code of the functions can switch it on outside the local stack."""
    deployed = [*ROOT.glob("functions/**/*.py"), *ROOT.glob("layers/**/*.py"), ROOT / "template.yaml"]
    assert len(deployed) > 100
    for path in deployed:
        text = path.read_text(encoding="utf-8")
        assert VARIABLE not in text
        assert "/test/clock" not in text
        if path.name not in ("clock.py", "session_settings.py"):
            assert "run_ahead(" not in text
            assert "set_search_path(" not in text


def test_the_launcher_can_load_it_alone() -> None:
    """An environment of a function has no `local` on its path."""
    code = f"import runpy; print(runpy.run_path({str(ROOT / 'local/clock/offset.py')!r})['VARIABLE'])"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == VARIABLE


def time_of(uuid7: int) -> datetime:
    return datetime.fromtimestamp((uuid7 >> 80) / 1000, UTC)
