"""Measure how long the offline stack takes from `make up` to ready, and the memory of its processes."""

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
from bench.siblings import part_of
from local.errors import LocalError
from local.servers.processes import running
from local.settings import PROJECT, LocalSettings
from local.testkit.servers import private_settings

# The processes that start last are still starting when the API answers.
SETTLE_SECONDS = 3.0
GOAL_UP_SECONDS = 6.0
GOAL_MIB = 800.0


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a process: resident (RSS), and proportional, where shared pages count by share (PSS)."""

    name: str
    resident: float
    proportional: float


def measure(servers: Servers) -> Measure:
    """Start a private stack several times. Do not count the first start, which creates the data."""
    settings = private_settings(servers.folder / "footprint")
    seconds = []
    try:
        _local(settings, "up")
        servers.say("first start done: it has created the data")
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
    servers.say(f"{len(memory)} processes hold {number_text(sum(process.proportional for process in memory))} MiB")
    return Measure(
        "footprint",
        [
            Figure("make up, second time", "s", tuple(seconds), Goal(GOAL_UP_SECONDS, at_most=True)),
            *_memory_figures(memory),
        ],
        [
            '"In all" counts pages shared by processes once (PSS), "resident" for each process (RSS).',
            f"In MiB, with the number of processes: {', '.join(f'{name} {mib:.0f}' for name, mib in by_name.items())}.",
        ],
    )


def _memory_figures(memory: list[Memory]) -> Iterator[Figure]:
    goal = Goal(GOAL_MIB, at_most=True)
    yield Figure("memory in all", "MiB", (sum(process.proportional for process in memory),), goal, panel="all")
    yield Figure("resident, shared pages for each", "MiB", (sum(process.resident for process in memory),), panel="all")
    for name, mib in _by_name(memory).items():
        yield Figure(name, "MiB", (mib,), panel="processes", is_detail=True)


def _by_name(memory: list[Memory]) -> dict[str, float]:
    """Return the proportional MiB of all processes of a name, the largest first."""
    parts: dict[str, list[float]] = {}
    for process in memory:
        parts.setdefault(process.name, []).append(process.proportional)
    ordered = sorted(parts.items(), key=lambda part: -sum(part[1]))
    return {f"{name} ({len(mib)})" if len(mib) > 1 else name: sum(mib) for name, mib in ordered}


def _local(settings: LocalSettings, command: str) -> None:
    """Run a command of the offline stack as `make` does. Raises LocalError with its errors if it fails."""
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
        # The supervisor's children are recorded separately.
        if name != "supervisor":
            for child in process.children(recursive=True):
                yield _memory_of(child, part_of(child, name))


def _memory_of(process: psutil.Process, name: str) -> Memory:
    found = process.memory_full_info()
    return Memory(name, found.rss / 2**20, getattr(found, "pss", found.rss) / 2**20)
