"""Follow the log files of a stack."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from local.commands.log_filter import LineFilter, Wanted
from local.commands.log_lines import LogLine, PersonsReader, RawReader
from local.settings import JSON_LOGS
from local.stack.stack import SUPERVISOR

POLL_SECONDS = 0.2
# Requests to the AWS fake, port mapper probes, and the progress lines that `up` has shown: no events of the stack.
UNINTERESTING = {"moto", "epmd", SUPERVISOR}
# Lines of a file to look at for each one wanted: metrics take most of some files.
LOOK_BACK_FACTOR = 10


class LineReader(Protocol):
    """What makes lines to print of the lines of one log."""

    def read(self, line: str) -> list[LogLine]:
        """Return the lines to print for one line of the log."""
        ...


# Makes the reader of a log from the name of its file.
MakeReader = Callable[[str], LineReader]


class LogFollower:
    """Prints what is appended to `<logs>/*.log`, also to files that appear later, in the order of the events."""

    def __init__(
        self, logs_dir: Path, make_reader: MakeReader, *, lines_before: int = 0, wanted: Wanted | None = None
    ) -> None:
        """Begin with the last `lines_before` wanted lines that are there already.

        Raises LocalError if there is no log of the wanted function.
        """
        self._logs_dir = logs_dir
        self._make_reader = make_reader
        self._wanted = wanted or Wanted()
        self._wanted.require([path.stem for path in self._all_files()])
        self._readers: dict[Path, LineReader] = {}
        self._filters: dict[Path, LineFilter] = {}
        self._lines_before = lines_before
        look_back = LOOK_BACK_FACTOR * lines_before
        self._offsets = {path: _offset_before_end(path, look_back) for path in self._files()}
        if self._wanted.payment_id:
            # The function that knows the payment's correlation id may write it after the others.
            for path in self._all_files():
                self._wanted.learn(path.read_text(encoding="utf-8", errors="replace").splitlines())

    def print_old(self) -> None:
        """Print the last `lines_before` lines."""
        self._print(self._new_lines()[-self._lines_before :] if self._lines_before else [])

    def print_new(self) -> None:
        """Print every whole line that has come since the last call."""
        self._print(self._new_lines())

    def follow(self, watch: Callable[[float], None] = time.sleep) -> None:
        """Print forever. `watch` waits the seconds it is given and may end this by an exception."""
        self.print_old()
        while True:
            self.print_new()
            watch(POLL_SECONDS)

    def _new_lines(self) -> list[LogLine]:
        lines = [line for path in self._files() for line in self._new_lines_of(path)]
        return sorted(lines, key=lambda line: line.at)

    def _new_lines_of(self, path: Path) -> list[LogLine]:
        with path.open("rb") as file:
            file.seek(self._start_of_new(path))
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offsets[path] += len(whole)
        if path not in self._readers:
            self._readers[path] = self._make_reader(path.stem)
            self._filters[path] = LineFilter(self._wanted)
        reader = self._readers[path]
        passed = map(self._filters[path].read, whole.decode(errors="replace").splitlines())
        return [line for read in passed if read is not None for line in reader.read(read)]

    def _start_of_new(self, path: Path) -> int:
        """Return where to continue: at the beginning of a file that is new or has become shorter."""
        offset = self._offsets.setdefault(path, 0)
        if path.stat().st_size < offset:
            offset = self._offsets[path] = 0
        return offset

    def _files(self) -> list[Path]:
        return [path for path in self._all_files() if self._wanted.takes(path.stem)]

    def _all_files(self) -> list[Path]:
        return sorted(path for path in self._logs_dir.glob("*.log") if path.stem not in UNINTERESTING)

    def _print(self, lines: list[LogLine]) -> None:
        for line in lines:
            print(line.text, flush=True)


def reader_for(log_format: str) -> MakeReader:
    """Return the reader for LOG_FORMAT. A person's is in colour on a terminal, unless NO_COLOR is set."""
    if log_format == JSON_LOGS:
        return RawReader
    return partial(PersonsReader, in_colour=_is_colourful())


def _is_colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _offset_before_end(path: Path, lines: int) -> int:
    content = path.read_bytes()
    kept = content.splitlines(keepends=True)[-lines:] if lines else []
    return len(content) - sum(map(len, kept))
