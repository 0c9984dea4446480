"""Ctrl-C, SIGTERM and `-x` leave no server behind, in this process and in the processes of pytest-xdist."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psutil

from local.servers.processes import stop_recorded

STOP_SECONDS_MAX = 60
POLL_SECONDS = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def raise_on_first_signal() -> None:
    """Raise KeyboardInterrupt at the first SIGINT or SIGTERM. Later ones do not disturb the clean-up.

    Otherwise background jobs of a shell and the workers of pytest-xdist would ignore SIGINT.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(*_: Any) -> None:
    for number in _SIGNALS:
        # A function and not SIG_IGN, which everything that is started from now on would inherit.
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def stop_servers_of_workers() -> None:
    """Interrupt the workers of pytest-xdist that still have servers, and return when they have stopped them.

    pytest-xdist itself kills its workers after ten seconds.
    """
    workers = [worker for worker in psutil.Process().children() if _has_children(worker)]
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while any(map(_has_children, workers)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def stop_servers_of_lost_workers(folder: Path) -> None:
    """Stop what the pid files say is still running, below the temporary folder of all workers."""
    for pids in [*folder.glob("popen-gw*/*/pids"), *folder.glob("popen-gw*/*/*/pids")]:
        stop_recorded(pids.parent)


def _has_children(process: psutil.Process) -> bool:
    try:
        return bool(process.children())
    except psutil.NoSuchProcess:
        return False
