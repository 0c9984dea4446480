"""Runs the messaging tests on the versions that are asked for, or on all that can be started."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from local.errors import LocalError
from local.servers.processes import Processes
from local.settings import PROJECT
from local.testkit.servers import private_settings
from tests.support.brokers.ways import CannotStart, Given, Installed, Way, ways

# Debian's of the last years, and what Amazon MQ offers.
VERSIONS = ("3.10", "3.13", "4.0", "4.2", "4.3")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one version; `tests` is 0 when they were not run."""

    version: str
    told: str
    passed: bool = False
    tests: int = 0


def main() -> int:
    """The exit code: 0 when all versions passed that could be started, and all that were asked for could be."""
    parser = argparse.ArgumentParser(prog="make test-brokers", description=__doc__)
    parser.add_argument("versions", nargs="*", help='such as VERSIONS="4.0 4.3"; without any, all that can be started')
    parser.add_argument("--pytest", default="", metavar="ARGS", help="arguments for pytest beside `-m broker`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder)
        found, closed = ways(private_settings(state_dir), Processes(state_dir))
        versions = arguments.versions or _all_versions(found)
        runner = Runner(found, closed, shlex.split(arguments.pytest), state_dir)
        outcomes = [runner.outcome_of(version) for version in versions]
    return report(outcomes, asked_for=bool(arguments.versions))


def _with_sentences() -> int:
    """`main`, whose errors are one sentence; Ctrl-C ends it with the usual code once the broker has been stopped."""
    try:
        return main()
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs pytest over the ways to brokers; `folder` keeps what it reports."""

    ways: Sequence[Way]
    closed: Sequence[str]
    pytest_arguments: Sequence[str]
    folder: Path

    def outcome_of(self, version: str) -> Outcome:
        """Runs the tests on this version by the first way that leads to it."""
        reasons = []
        _say(f"RabbitMQ {version}: starting")
        for way in self.ways:
            with ExitStack() as broker:
                try:
                    variables = broker.enter_context(way.running(version))
                except CannotStart as reason:
                    reasons.append(str(reason))
                    continue
                _say(f"RabbitMQ {version}: ready, {way.name}; running the messaging tests")
                return self._tested(version, way, variables)
        return Outcome(version, f"not run: {'; '.join([*reasons, *self.closed])}")

    def _tested(self, version: str, way: Way, variables: dict[str, str]) -> Outcome:
        began, results = time.monotonic(), self.folder / f"{version}.xml"
        command = [sys.executable, "-m", "pytest", "-m", "broker", "-q", f"--junit-xml={results}"]
        environment = {**os.environ, **variables}
        ended = subprocess.run([*command, *self.pytest_arguments], cwd=PROJECT, env=environment, check=False).returncode
        took = f"{time.monotonic() - began:.0f} s, {way.name}"
        if not results.exists():
            return Outcome(version, f"FAILED: pytest ended with {ended} ({took})", tests=1)
        counts = next(ElementTree.parse(results).iter("testsuite")).attrib
        tests, skipped = int(counts["tests"]), int(counts["skipped"])
        bad = int(counts["failures"]) + int(counts["errors"])
        told = f"{tests - bad - skipped} passed, {bad} failed, {skipped} skipped ({took})"
        passed = ended == 0 and tests > skipped
        return Outcome(version, told if passed else f"FAILED: {told}", passed, max(tests, 1))


def report(outcomes: Sequence[Outcome], *, asked_for: bool) -> int:
    """Print the result of each version and return the exit code."""
    _say("")
    for one in outcomes:
        _say(f"RabbitMQ {one.version:<5} {one.told}")
    ran = [one for one in outcomes if one.tests]
    failed = [one for one in ran if not one.passed]
    missed = len(outcomes) - len(ran) if asked_for else 0
    _say(f"{len(ran)} of {len(outcomes)} versions ran, {len(failed)} failed.")
    return 1 if failed or missed or not ran else 0


def _all_versions(found: Sequence[Way]) -> list[str]:
    given = [way.version for way in found if isinstance(way, Given)]
    if given:
        return given
    installed = {way.version for way in found if isinstance(way, Installed)}
    return sorted({*VERSIONS, *installed}, key=lambda version: [int(part) for part in version.split(".")])


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(_with_sentences())
