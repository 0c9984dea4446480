"""Parts of a stack that end are started again, with growing pauses, and on request stay away for a while.

What happens is said in the log `stack`. `parts.json` holds it for `make status`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from local.errors import LocalError, ServerDiedError
from local.servers.processes import Child, Processes, died_sentence, end_reason

# The first restart comes soon. What ends again soon waits longer each time.
DELAY_SECONDS_MIN = 0.5
DELAY_SECONDS_MAX = 30.0
# A part that has been up this long is well again.
WELL_AFTER_SECONDS = 60.0
# As many ends in a row are a crash loop, which a person has to look at.
CRASH_LOOP_ENDS = 5
LOG = "stack"


class PartState(StrEnum):
    """What a part of the stack is doing."""

    UP = "up"
    RESTARTING = "restarting"
    CRASH_LOOP = "crash loop"
    OUTAGE = "outage"


@dataclass(slots=True)
class PartRecord:
    """What has happened to a part since the stack started. Times are seconds since 1970."""

    state: PartState = PartState.UP
    restarts: int = 0
    last_error: str = ""
    ended_at: float | None = None
    # When an outage ends.
    until: float | None = None


@dataclass(slots=True)
class _Waiting:
    """A part that is down, and when its next start is due on the monotonic clock."""

    child: Child
    due: float


def delay_seconds(ends: int) -> float:
    """Return the pause before a restart, after so many ends in a row."""
    doublings = min(ends, CRASH_LOOP_ENDS + 2) - 1
    return float(min(DELAY_SECONDS_MIN * 2**doublings, DELAY_SECONDS_MAX))


@dataclass(slots=True)
class Restarts:
    """Keeps the processes of a stack up. Call `look` often: it returns at once, and restarts go on in threads.

    `make_ready` waits until a part that was started again works, and prepares it. Parts in `irreplaceable` lose with
    their process what the stack needs.
    """

    processes: Processes
    make_ready: Callable[[Child], None]
    irreplaceable: frozenset[str] = frozenset()
    records: dict[str, PartRecord] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    # The parts that threads are starting or stopping.
    _busy: dict[str, tuple[Child, Future[None]]] = field(default_factory=dict)
    _ends: dict[str, int] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "restarts"))

    def look(self) -> None:
        """Note what has ended and restart what is due. Raises ServerDiedError for an irreplaceable part."""
        for name, (child, work) in list(self._busy.items()):
            if work.done():
                del self._busy[name]
                self._finish(child, work)
        for child in self.processes.dead():
            if child.name not in self._busy:
                self._note_end(child, end_reason(child))
        self._begin_outages()
        self._restart_what_is_due()

    def close(self) -> None:
        """Wait for the threads, once the processes are being stopped."""
        self._threads.shutdown()

    def _note_end(self, child: Child, reason: str) -> None:
        if child.name in self.irreplaceable:
            raise ServerDiedError(died_sentence(child))
        up_seconds = time.time() - child.process.create_time()
        self.processes.stop_child(child.name)
        ends = self._ends[child.name] = 1 if up_seconds >= WELL_AFTER_SECONDS else self._ends.get(child.name, 0) + 1
        pause_seconds = delay_seconds(ends)
        record = self._record(child.name)
        record.state = PartState.CRASH_LOOP if ends >= CRASH_LOOP_ENDS else PartState.RESTARTING
        record.restarts += 1
        record.last_error, record.ended_at = reason, time.time()
        self._waiting[child.name] = _Waiting(child, time.monotonic() + pause_seconds)
        self._save()
        if ends < CRASH_LOOP_ENDS:
            self._say(f"{child.name} ended ({reason}). Restarting it in {pause_seconds:g} s", "WARNING")
        if ends == CRASH_LOOP_ENDS:
            self._say(
                f"{child.name} has ended {ends} times in a row ({reason}). The other parts go on. It is tried again "
                f"after {pause_seconds:g} s, and then every {DELAY_SECONDS_MAX:.0f} s. See {child.log}",
                "ERROR",
            )

    def _restart_what_is_due(self) -> None:
        now = time.monotonic()
        for name, waiting in list(self._waiting.items()):
            if waiting.due <= now and name not in self._busy:
                del self._waiting[name]
                self._busy[name] = waiting.child, self._threads.submit(self._restart, waiting.child)

    def _restart(self, child: Child) -> None:
        self.make_ready(self.processes.start_again(child))

    def _finish(self, child: Child, work: Future[None]) -> None:
        error, record = work.exception(), self._record(child.name)
        if record.state == PartState.OUTAGE:
            return
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is not None:
            started = next((one for one in self.processes.children if one.name == child.name), child)
            self._note_end(started, _reason(error, started))
            return
        record.state, record.until = PartState.UP, None
        self._say(f"{child.name} is up again")
        self._save()

    def _begin_outages(self) -> None:
        """Stop the parts that `outage` names, and start those again whose outage is over."""
        wanted = dict(outages(self.processes.state_dir))
        for child in list(self.processes.children):
            if child.name in wanted and child.name not in self._busy and child.name not in self.irreplaceable:
                record = self._record(child.name)
                record.state, record.until = PartState.OUTAGE, wanted[child.name]
                self._say(f"{child.name} is stopped for an outage", "WARNING")
                self._waiting[child.name] = _Waiting(child, float("inf"))
                self._busy[child.name] = child, self._threads.submit(self.processes.stop_child, child.name)
                self._save()
        for name, record in self.records.items():
            if record.state == PartState.OUTAGE and wanted.get(name, record.until) != record.until:
                record.until = wanted[name]
                self._save()
            if record.state == PartState.OUTAGE and name not in wanted and name not in self._busy:
                record.state = PartState.RESTARTING
                self._waiting[name].due = time.monotonic()
                self._save()

    def _record(self, name: str) -> PartRecord:
        return self.records.setdefault(name, PartRecord())

    def _save(self) -> None:
        write_records(self.processes.state_dir, self.records)

    def _say(self, sentence: str, level: str = "INFO") -> None:
        with self.processes.log_of(LOG).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S,%f}"[:-3] + f" {level} {sentence}\n")


def _reason(error: Exception, child: Child) -> str:
    if isinstance(error, ServerDiedError):
        return end_reason(child)
    return str(error).rstrip(".") if isinstance(error, LocalError) else f"{type(error).__name__}: {error}"


def read_records(state_dir: Path) -> Mapping[str, PartRecord]:
    """Return what has happened to the parts of the stack in this folder; nothing if none ever ended."""
    try:
        found: dict[str, dict[str, Any]] = dict(json.loads(_records_file(state_dir).read_text()))
        return {name: PartRecord(**{**one, "state": PartState(one["state"])}) for name, one in found.items()}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_records(state_dir: Path, records: Mapping[str, PartRecord]) -> None:
    """Save the records. A reader sees the old ones or the new ones."""
    path = _records_file(state_dir)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({name: asdict(record) for name, record in records.items()}))
    partial.rename(path)


def forget(state_dir: Path) -> None:
    """Remove what an earlier stack in this folder has left: records, and outages that were asked for."""
    _records_file(state_dir).unlink(missing_ok=True)
    for name, _ in outages(state_dir):
        end_outage(state_dir, name)


def begin_outage(state_dir: Path, name: str, seconds: float) -> None:
    """Ask the process that watches the stack to stop a part for this long."""
    folder = _outages_folder(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}"
    partial.write_text(str(time.time() + seconds))
    partial.rename(folder / name)


def end_outage(state_dir: Path, name: str) -> None:
    """Have a part started again before its time is over."""
    (_outages_folder(state_dir) / name).unlink(missing_ok=True)


def outages(state_dir: Path) -> Iterator[tuple[str, float]]:
    """Yield the parts that are to be away now, and until when in seconds since 1970."""
    for path in _outages_folder(state_dir).glob("[!.]*"):
        until = _until(path)
        if time.time() < until:
            yield path.name, until
        else:
            end_outage(state_dir, path.name)


def _until(outage: Path) -> float:
    try:
        return float(outage.read_text())
    except FileNotFoundError:
        # It has been ended a moment ago.
        return 0.0


def _records_file(state_dir: Path) -> Path:
    return state_dir / "parts.json"


def _outages_folder(state_dir: Path) -> Path:
    return state_dir / "outages"
