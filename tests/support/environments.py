"""The virtual environments beside the one that runs the tests. A test run installs one when a test needs it."""

from __future__ import annotations

import fcntl
import subprocess

from local.settings import PROJECT

INSTALL_SECONDS_MAX = 900


def install(name: str) -> None:
    """Install requirements/<name>.lock into .venv-<name> unless that is done; wait for another process that does it.

    Fails the test with the output of `make` when that cannot be done.
    """
    lock = PROJECT / "requirements" / f"{name}.lock"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", f".venv-{name}/.installed"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS_MAX,
            check=False,
        )
    assert done.returncode == 0, done.stdout
