"""The process that supervises a stack: recorded while it runs, one at a time, and sure to stop what it started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil

from local.errors import LocalError
from local.servers.processes import is_alive, pid_file, read_pid_file, stop_recorded, write_pid_file
from local.settings import LocalSettings, variable_of
from local.stack.stack import ERRORS, SUPERVISOR, Stack


@contextmanager
def supervising(settings: LocalSettings) -> Iterator[None]:
    """Record this process as the stack's supervisor. Raises LocalError when there is another one."""
    if supervisor(settings) is not None:
        raise LocalError("Paybridge is up already: stop it with `make down`.")
    make_state_dir(settings)
    stop_recorded(settings.state_dir)
    # `running` and `down` look at the children. The supervisor's file is in another folder.
    write_pid_file(_folder(settings), SUPERVISOR, psutil.Process())
    try:
        yield
    finally:
        pid_file(_folder(settings), SUPERVISOR).unlink(missing_ok=True)
        ready_file(settings).unlink(missing_ok=True)


@contextmanager
def recording_error(settings: LocalSettings) -> Iterator[None]:
    """Write the error that ends the block to the log ERRORS, in which `nothing_runs` looks why the stack stopped."""
    log = log_of(settings, ERRORS)
    log.unlink(missing_ok=True)
    try:
        yield
    except LocalError as error:
        log.write_text(f"{error}\n", encoding="utf-8")
        raise


@contextmanager
def stopping(stack: Stack) -> Iterator[Stack]:
    """Stop the stack at the end of the block, despite further signals and even if the terminal is gone."""
    try:
        yield stack
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if stack.processes.children:
            with suppress(OSError):
                print("Stopping", flush=True)
        stack.stop()
        record_stop(stack.settings)


def supervisor(settings: LocalSettings) -> psutil.Process | None:
    """Return the process that supervises the stack, if one does."""
    recorded = read_pid_file(pid_file(_folder(settings), SUPERVISOR))
    return recorded[0] if recorded is not None and is_alive(recorded[0]) else None


def make_state_dir(settings: LocalSettings) -> None:
    """Make the folders for data and logs. Raises LocalError, naming the variable, where that is not possible."""
    try:
        settings.logs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        name = variable_of("state_dir")
        reason = error.strerror or str(error)
        raise LocalError(f"{settings.state_dir} cannot be used ({reason}): set {name} to another folder.") from None


def ready_file(settings: LocalSettings) -> Path:
    """Return the file that exists while a stack in the background is ready."""
    return settings.state_dir / "ready"


def log_of(settings: LocalSettings, name: str) -> Path:
    """Return the log file of SUPERVISOR or ERRORS."""
    return settings.logs_dir / f"{name}.log"


def nothing_runs(settings: LocalSettings) -> str:
    """Say that nothing is running, and when and why the last stack stopped."""
    errors, stopped = log_of(settings, ERRORS), _stopped_file(settings)
    lines = errors.read_text(encoding="utf-8", errors="replace").split("\n") if errors.exists() else []
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        return f"Nothing is running.{_last_stop(stopped)}"
    # A traceback ends with the error.
    sentence = texts[-1] if texts[0].startswith("Traceback") else texts[0].partition(". ")[0]
    reason = sentence.rstrip(".")
    return f"Nothing is running. The last stack stopped {_when(errors)}: {reason}. See {errors}."


def _last_stop(stopped: Path) -> str:
    return f" The last stack was stopped {_when(stopped)}." if stopped.exists() else ""


def _when(file: Path) -> str:
    """Say when a file was written: `at 15:51`, or `on 28 Nov at 15:51` if that is not today."""
    written = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    is_today = written.date() == datetime.now().astimezone().date()
    return f"at {written:%H:%M}" if is_today else f"on {written:%d %b at %H:%M}"


def record_stop(settings: LocalSettings) -> None:
    """Record that the stack was stopped on purpose, now."""
    _stopped_file(settings).touch()


def _stopped_file(settings: LocalSettings) -> Path:
    """Return the file whose time is that of the last orderly stop."""
    return settings.state_dir / "stopped"


def _folder(settings: LocalSettings) -> Path:
    return settings.state_dir / "supervisor"
