"""A command of the offline stack that runs as in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from local.settings import PROJECT, LocalSettings
from local.testkit import live

STOP_SECONDS_MAX = 60
# The way of the sample payment, as a command shows it.
TIMELINE = [
    "accepted",
    "relayed to the broker",
    "consumed",
    "charged by the gateway",
    "event relayed",
    "webhook delivered, signature verified",
]


class Foreground:
    """A command that runs as in a terminal, and what it has printed so far."""

    def __init__(self, settings: LocalSettings, name: str, variables: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", name],
            cwd=PROJECT,
            env={**os.environ, **settings.environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,))
            for lines, stream in ((self.lines, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def prints(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def until_it_may_be_stopped(self, seconds_max: float) -> None:
        """Returns when the sample payment has been sent and everything runs; fails when the command ends instead."""
        live.eventually(
            lambda: self.prints("Ctrl-C stops everything") or self.process.poll() is not None,
            "the invitation to stop",
            seconds_max,
        )
        assert self.process.poll() is None, self.errors

    def timeline(self) -> list[str]:
        """The steps of the sample payment that were shown as done."""
        return [line.split("ms", 1)[1].strip() for line in self.lines if " ms " in line and "✓" in line]

    def wait(self) -> int:
        """The exit code, once everything that was printed has been read."""
        code = self.process.wait(STOP_SECONDS_MAX)
        for reader in self._readers:
            reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def foreground(settings: LocalSettings, name: str, **variables: str) -> Iterator[Foreground]:
    """A running command, which the block or, failing that, this brings to its end."""
    command = Foreground(settings, name, variables)
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            command.process.terminate()
        command.wait()
