"""Watch the memory of a stack's processes under load."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

_FUNCTION = re.compile(r"(\w+)\.handler\.handler$")


# Often enough to see the peak of one slice of work.
SAMPLE_SECONDS = 0.05


@contextmanager
def memory_added() -> Iterator[list[float]]:
    """Note in the list how many MiB this process grew at most within the block."""
    process, ended, added = psutil.Process(), threading.Event(), [0.0]
    before = process.memory_info().rss

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            added[0] = max(added[0], (process.memory_info().rss - before) / 2**20)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield added
    finally:
        ended.set()
        thread.join()


@dataclass(slots=True)
class Memory:
    """Memory of all processes of a name in bytes, at the start and at the peak, and their highest number.

    Shared pages count by share (PSS) if the system reports it, so that sums are correct.
    """

    processes: int = 0
    at_start: int = 0
    peak: int = 0


class MemoryWatch:
    """Measure the processes and their descendants every `interval_seconds`. Use as a context manager."""

    def __init__(self, processes: Mapping[str, psutil.Process], interval_seconds: float = 1.0) -> None:
        self.peaks: dict[str, Memory] = defaultdict(Memory)
        self.total = Memory()
        self._processes = processes
        self._interval_seconds = interval_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        for name, (_, held) in self._look().items():
            self.peaks[name].at_start = held
            self.total.at_start += held
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval_seconds):
            self._look()

    def _look(self) -> dict[str, tuple[int, int]]:
        """Return the current number of processes and bytes of each name, and remember the peaks."""
        found: dict[str, tuple[int, int]] = {}
        for name, process in _all_processes(self._processes):
            count, held = found.get(name, (0, 0))
            found[name] = count + 1, held + _bytes_of(process)
        for name, (count, held) in found.items():
            memory = self.peaks[name]
            memory.processes, memory.peak = max(memory.processes, count), max(memory.peak, held)
        self.total.processes = max(self.total.processes, sum(count for count, _ in found.values()))
        self.total.peak = max(self.total.peak, sum(held for _, held in found.values()))
        return found


def _all_processes(roots: Mapping[str, psutil.Process]) -> Iterator[tuple[str, psutil.Process]]:
    """Yield every process with its name: the function of an environment, else the name of its root."""
    for name, root in roots.items():
        try:
            yield name, root
            for process in root.children(recursive=True):
                function = _FUNCTION.search(" ".join(process.cmdline()[:4]))
                yield (f"function {function[1]}" if function else name), process
        except psutil.NoSuchProcess:
            continue


def _bytes_of(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", 0) or memory.rss)
