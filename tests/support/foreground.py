"""A command of the offline stack that runs as in a terminal."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from local.settings import PROJECT, LocalSettings

STOP_SECONDS_MAX = 60


class Foreground:
    """A command that runs as in a terminal, and what it has printed so far."""

    def __init__(self, settings: LocalSettings, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", name],
            cwd=PROJECT,
            env={**os.environ, **settings.environment()},
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
def foreground(settings: LocalSettings, name: str) -> Iterator[Foreground]:
    """A running command, which the block or, failing that, this brings to its end."""
    command = Foreground(settings, name)
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            command.process.terminate()
        command.wait()
