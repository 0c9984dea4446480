"""How long the offline stack takes from `make up` to ready, and what it then holds in memory, process by process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from bench.results import ROUNDS, Figure, Goal, Measure, number_text
from bench.servers import Servers
from local.errors import LocalError
from local.servers.processes import running
from local.settings import PROJECT, LocalSettings
from local.testkit.servers import private_settings

# The processes that start last are still busy with themselves when the API answers.
SETTLE_SECONDS = 3.0
GOAL_UP_SECONDS = 6.0
GOAL_MIB = 800.0


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of one process: all that is resident, and its fair part of it where pages are shared with others."""

    name: str
    resident: float
    proportional: float


def measure(servers: Servers) -> Measure:
    """A stack of its own; the first start makes its data, the next ones find it."""
    settings = private_settings(servers.folder / "footprint")
    seconds = []
    try:
        _local(settings, "up")
        servers.say("first start done, which makes the data")
        for number in range(1, ROUNDS + 1):
            _local(settings, "down")
            started = time.perf_counter()
            _local(settings, "up")
            seconds.append(time.perf_counter() - started)
            servers.say(f"round {number} of {ROUNDS}: ready after {number_text(seconds[-1])} s")
        time.sleep(SETTLE_SECONDS)
        memory = list(_memory(settings))
    finally:
        _local(settings, "clean")
    by_name = _by_name(memory)
    servers.say(f"{len(memory)} processes hold {number_text(sum(one.proportional for one in memory))} MiB")
    return Measure(
        "footprint",
        [
            Figure("make up, second time", "s", tuple(seconds), Goal(GOAL_UP_SECONDS, at_most=True)),
            *_memory_figures(memory),
        ],
        [
            "In all, pages that processes share count once (PSS); resident counts them for each (RSS).",
            f"In MiB, with the number of processes: {', '.join(f'{name} {mib:.0f}' for name, mib in by_name.items())}.",
        ],
    )


def _memory_figures(memory: list[Memory]) -> Iterator[Figure]:
    goal = Goal(GOAL_MIB, at_most=True)
    yield Figure("memory in all", "MiB", (sum(one.proportional for one in memory),), goal, panel="all")
    yield Figure("resident, shared pages for each", "MiB", (sum(one.resident for one in memory),), panel="all")
    for name, mib in _by_name(memory).items():
        yield Figure(name, "MiB", (mib,), panel="processes", is_detail=True)


def _by_name(memory: list[Memory]) -> dict[str, float]:
    """The proportional MiB of all processes of one name, the largest first."""
    parts: dict[str, list[float]] = {}
    for one in memory:
        parts.setdefault(one.name, []).append(one.proportional)
    ordered = sorted(parts.items(), key=lambda part: -sum(part[1]))
    return {f"{name} ({len(mib)})" if len(mib) > 1 else name: sum(mib) for name, mib in ordered}


def _local(settings: LocalSettings, command: str) -> None:
    """Runs a command of the offline stack as `make` does; raises LocalError with what it said when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "local", command],
        cwd=PROJECT,
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalError(f"`make {command}` failed: {done.stderr.strip()}")


def _memory(settings: LocalSettings) -> Iterator[Memory]:
    recorded = running(settings.state_dir) | running(settings.state_dir / "supervisor")
    for name, (process, _) in recorded.items():
        yield _memory_of(process, name)
        # Those that the supervisor has started have files of their own.
        if name != "supervisor":
            for child in process.children(recursive=True):
                yield _memory_of(child, _name_of(child, name))


def _memory_of(process: psutil.Process, name: str) -> Memory:
    found = process.memory_full_info()
    return Memory(name, found.rss / 2**20, getattr(found, "pss", found.rss) / 2**20)


def _name_of(process: psutil.Process, parent: str) -> str:
    """The function that an environment of the Lambda host runs; other helpers count as what started them."""
    command = process.cmdline()
    launcher = next((place for place, part in enumerate(command) if part.endswith("launcher.py")), None)
    return parent if launcher is None else f"function {command[launcher + 1].partition('.')[0]}"
