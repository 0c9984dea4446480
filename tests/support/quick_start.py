"""The programs of examples/quick_start, each started as its page says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.servers.processes import free_port
from tests.support.missing_tools import missing_tool
from tests.support.template import ROOT

PROGRAMS = ROOT / "examples/quick_start"
PROGRAM_SECONDS_MAX = 90
BUILD_SECONDS_MAX = 110
START_SECONDS_MAX = 60
# What each language needs on the machine.
TOOLS = {"python": (), "node": ("node",), "go": ("go",), "curl": ("curl", "jq")}
RECEIVING = ("python", "node", "go")


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one language. `built` is the folder of those that have to be compiled."""

    language: str
    built: Path

    def command(self, name: str) -> list[str]:
        """Return the command that runs the program `pay` or `receive`."""
        commands = {
            "python": [sys.executable, f"python/{name}.py"],
            "node": ["node", f"node/{name}.mjs"],
            "go": [str(self.built / name)],
            "curl": ["sh", f"curl/{name}.sh"],
        }
        return commands[self.language]

    def pay(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `pay` to its end."""
        return subprocess.run(
            self.command("pay"),
            cwd=PROGRAMS,
            env=_environment(environment),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PROGRAM_SECONDS_MAX,
            check=False,
        )

    @contextmanager
    def receiving(self, output: Path, **environment: str) -> Iterator[str]:
        """Run `receive`, which writes to `output`, and yield its URL."""
        port = free_port()
        started = {**_environment(environment), "PORT": str(port)}
        with (
            output.open("wb") as stdout,
            subprocess.Popen(self.command("receive"), cwd=PROGRAMS, env=started, stdout=stdout) as process,
        ):
            try:
                _await_port(port)
                yield f"http://127.0.0.1:{port}/"
            finally:
                process.kill()


def prepare(language: str, folder: Path) -> Programs:
    """Return the programs of a language. A missing language skips the test, as `missing_tool` says."""
    for tool in TOOLS[language]:
        if shutil.which(tool) is None:
            missing_tool(f"{tool} is not installed")
    if language == "go":
        _build(folder)
    return Programs(language, folder)


def _build(folder: Path) -> None:
    # Only the standard library is used, so nothing may be downloaded.
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    built = subprocess.run(
        ["go", "build", "-o", f"{folder}{os.sep}", "./..."],
        cwd=PROGRAMS / "go",
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS_MAX,
        check=False,
    )
    assert built.returncode == 0, built.stderr


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    # A proxy of the machine must not see what goes to 127.0.0.1.
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, **changes}


def _await_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, "the receiver has not started"
        time.sleep(0.05)
