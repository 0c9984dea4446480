"""Child processes of the offline stack: each in a session, recorded in a pid file, stopped by id.

A pid file holds the time of birth beside the id, so that another program which has since got the same id is never
signalled.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from local.errors import LocalError, NotReadyError, PortTakenError, ServerDiedError
from local.servers.open_files import raise_limit

POLL_SECONDS = 0.02
LOG_TAIL_LINES = 12
LAST_LINE_LENGTH_MAX = 200
ERROR_LINE = re.compile(r"\b(FATAL|ERROR|PANIC)\b")
# Systems lend ports to clients from 32768 on (macOS from 49152), so no connection can take one of these. A tool may
# derive further ports from them.
FREE_PORTS = range(20_000, 29_000)


class StoppingError(LocalError):
    """The stack is being stopped and starts nothing more."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a process is started, the first time and whenever it has ended."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    uid: int | None
    cwd: Path | None
    stop_signal: int


@dataclass(frozen=True, slots=True)
class Child:
    """One running process of the stack. `log_offset` is the length in bytes that its log had when it started."""

    name: str
    process: psutil.Process
    popen: subprocess.Popen[bytes]
    log: Path
    log_offset: int
    start: Start

    def output(self) -> bytes:
        """Return what the process has written to its log."""
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read()


@dataclass(slots=True)
class Processes:
    """The processes of one stack, with their pid files and logs below `state_dir`."""

    state_dir: Path
    children: list[Child] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tools: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        uid: int | None = None,
        cwd: Path | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> Child:
        """Start `command` with its output in `<state>/logs/<name>.log`, as user `uid` if given.

        `stop_signal` asks the program to end.
        """
        parts = tuple(str(part) for part in command)
        return self._start(name, Start(parts, dict(environment), uid, cwd, stop_signal))

    def start_again(self, child: Child) -> Child:
        """Start the program of a child that has ended, exactly as before."""
        return self._start(child.name, child.start)

    def _start(self, name: str, start: Start) -> Child:
        log = self.log_of(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        raise_limit()
        with self._lock, log.open("ab") as output:
            self._refuse_when_stopping()
            log_offset = output.tell()
            popen = subprocess.Popen(
                start.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=start.environment,
                cwd=start.cwd,
                start_new_session=True,
                **_as_user(start.uid),
            )
            child = Child(name, psutil.Process(popen.pid), popen, log, log_offset, start)
            self.children.append(child)
            write_pid_file(self.state_dir, name, child.process, start.stop_signal)
        return child

    def run_tool(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        *,
        uid: int | None = None,
        name: str = "",
    ) -> str:
        """Run a program to its end and return its output. It is killed if the stack stops meanwhile.

        `name` is what the user knows it by. Raises LocalError with the last lines of the output when the program fails.
        """
        with self._lock:
            self._refuse_when_stopping()
            popen = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(os.environ if environment is None else environment),
                start_new_session=True,
                **_as_user(uid),
            )
            self._tools.add(popen)
        output = str(popen.communicate()[0], errors="replace")
        self._tools.discard(popen)
        self._refuse_when_stopping()
        if popen.returncode != 0:
            raise LocalError(f"`{name or Path(command[0]).name}` failed: {_tail(output)}")
        return output

    def wait_until_ready(self, child: Child, is_ready: Callable[[], bool], seconds_max: float) -> None:
        """Wait until `is_ready`. Raises ServerDiedError or NotReadyError if that does not happen."""
        deadline = time.monotonic() + seconds_max
        while not is_ready():
            self._refuse_when_stopping()
            if not is_alive(child.process):
                raise ServerDiedError(died_sentence(child))
            if time.monotonic() > deadline:
                raise NotReadyError(f"{child.name} was not ready after {seconds_max:.0f} s: see {child.log}.")
            time.sleep(POLL_SECONDS)

    def wait_while_starting(self, is_done: Callable[[], bool]) -> None:
        """Wait until another part of the start makes `is_done` true. Raises StoppingError when the start fails."""
        while not is_done():
            self._refuse_when_stopping()
            time.sleep(POLL_SECONDS)

    def dead(self) -> list[Child]:
        """Return the children that have ended unexpectedly."""
        return [child for child in list(self.children) if not is_alive(child.process)]

    def stop_child(self, name: str, seconds_max: float = 20) -> None:
        """Stop one child by its signal, or after `seconds_max` by SIGKILL, and forget it."""
        for child in [child for child in self.children if child.name == name]:
            stop_process(child.process, seconds_max, child.start.stop_signal)
            child.popen.wait()
            # Another thread may stop the same child.
            with suppress(ValueError):
                self.children.remove(child)
            pid_file(self.state_dir, name).unlink(missing_ok=True)

    def stop(self, seconds_max: float = 20) -> None:
        """Stop every child in the reverse order of their start. Nothing can be started afterwards."""
        self._stopping.set()
        with self._lock:
            for tool in list(self._tools):
                kill_session(tool.pid)
        for child in reversed(list(self.children)):
            self.stop_child(child.name, seconds_max)

    def log_of(self, name: str) -> Path:
        return self.state_dir / "logs" / f"{name}.log"

    def _refuse_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise StoppingError("The stack is being stopped.")


def pid_file(state_dir: Path, name: str) -> Path:
    return state_dir / "pids" / f"{name}.json"


def write_pid_file(state_dir: Path, name: str, process: psutil.Process, stop_signal: int = signal.SIGTERM) -> None:
    path = pid_file(state_dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"pid": process.pid, "birth": birth_of(process), "stop_signal": int(stop_signal)}
    path.write_text(json.dumps(record))


def read_pid_file(path: Path) -> tuple[psutil.Process, int] | None:
    """Return the process recorded in `path` and its stop signal, if that very process still runs."""
    try:
        recorded = json.loads(path.read_text())
        stop_signal = int(recorded["stop_signal"])
        process = psutil.Process(recorded["pid"])
        same = abs(birth_of(process) - recorded["birth"]) < 0.01
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return (process, stop_signal) if same and is_alive(process) else None


def birth_of(process: psutil.Process) -> float:
    """Return when the process began, in seconds that stay the same when the machine's clock is set.

    Linux counts them from its boot. psutil adds the time of the boot, which moves with the clock.
    """
    created = process.create_time()
    return created - psutil.boot_time() if sys.platform.startswith("linux") else created


def running(state_dir: Path) -> dict[str, tuple[psutil.Process, int]]:
    """Return the running processes of the stack in `state_dir`, with their stop signals, by name."""
    found = {path.stem: read_pid_file(path) for path in sorted((state_dir / "pids").glob("*.json"))}
    return {name: recorded for name, recorded in found.items() if recorded is not None}


def stop_recorded(state_dir: Path, seconds_max: float = 20) -> list[str]:
    """Stop the processes in the pid files of `state_dir`, remove the files, and return the processes' names."""
    found = running(state_dir)
    # The last one started ends first, as in `Processes.stop`: RabbitMQ takes long to end without its port mapper.
    for process, stop_signal in sorted(found.values(), key=lambda recorded: recorded[0].create_time(), reverse=True):
        stop_process(process, seconds_max, stop_signal)
    for path in (state_dir / "pids").glob("*.json"):
        path.unlink(missing_ok=True)
    return sorted(found)


def is_alive(process: psutil.Process) -> bool:
    """Return whether `process` runs. A zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop_process(process: psutil.Process, seconds_max: float, stop_signal: int = signal.SIGTERM) -> None:
    """End `process` and its descendants, by its signal and then by SIGKILL."""
    try:
        family = process.children(recursive=True)
        process.send_signal(stop_signal)
    except psutil.NoSuchProcess:
        family = []
    stubborn = [*left_alive([process], seconds_max), *left_alive(family, 1)]
    for left in stubborn:
        _kill(left)
    left_alive(stubborn, 5)


def kill_session(leader_pid: int) -> None:
    """Kill the process group of a child that leads a session."""
    try:
        os.killpg(leader_pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def ensure_port_free(port: int, user: str, variable: str) -> None:
    """Check that nothing listens on `port`. Raises PortTakenError, which names `variable`, if something does.

    It also raises for a port of a client's connection, which the system holds for a minute after its end.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortTakenError(port, user, variable, is_lent=not accepts_connections(port)) from None


def free_port() -> int:
    """Lease a port of 127.0.0.1 that nothing uses. No other process is given it while this one runs.

    The lease is a UDP socket on the same number. It does not hinder a TCP server, and the system ends it with the
    process. Raises LocalError when no port is left.
    """
    for _ in range(10 * len(FREE_PORTS)):
        port = random.SystemRandom().choice(FREE_PORTS)
        lease = socket.socket(type=socket.SOCK_DGRAM)
        try:
            lease.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lease.close()
        else:
            # Only the end of the process closes it.
            lease.detach()
            return port
    raise LocalError(f"No port from {FREE_PORTS[0]} to {FREE_PORTS[-1]} is free: stop what uses them.")


def accepts_connections(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether something listens on `port` of `host`."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def answers(url: str, authorization: str = "", seconds_max: float = 10) -> bool:
    """Return whether a GET of `url` on this machine succeeds. Loading an HTTP library would take longer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=seconds_max)
    try:
        target = urlunsplit(parts._replace(scheme="", netloc=""))
        connection.request("GET", target, headers={"Authorization": authorization} if authorization else {})
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def died_sentence(child: Child) -> str:
    """Return the sentence for the user about a child that ended unexpectedly."""
    log = child.log.read_text(errors="replace") if child.log.is_file() else ""
    return f"{child.name} ended unexpectedly. The end of {child.log}: {_tail(log)}"


def end_reason(child: Child) -> str:
    """Say how a child ended, with its last error or its last words: `signal SIGKILL` or `exit status 1: …`."""
    code = child.popen.wait()
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    lines = child.output().decode(errors="replace").strip().splitlines()
    if code <= 0 or not lines:
        return how
    # PostgreSQL ends with hints, for instance.
    errors = [line for line in lines if ERROR_LINE.search(line)]
    return f"{how}: {(errors or lines)[-1].strip()[:LAST_LINE_LENGTH_MAX].rstrip('.')}"


def left_alive(processes: Sequence[psutil.Process], seconds_max: float) -> list[psutil.Process]:
    """Wait up to `seconds_max` for the processes to end, and return those that have not.

    psutil's own wait also waits for the parent to reap an ended process. The first process of a container does that
    late or never for the orphans of a killed supervisor.
    """
    deadline = time.monotonic() + seconds_max
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return alive


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _tail(text: str) -> str:
    lines = text.strip().splitlines()[-LOG_TAIL_LINES:]
    return "\n  ".join(["", *lines]) if lines else "(no output)"


def _as_user(uid: int | None) -> dict[str, Any]:
    """Return the arguments of Popen that change the user and drop the groups of the current one."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
