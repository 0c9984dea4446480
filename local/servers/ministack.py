"""MiniStack, an AWS emulator that needs no Docker: it deploys a SAM template and runs its functions on this machine."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from local.errors import MissingToolError
from local.servers.processes import Processes, answers, ensure_port_free
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, LocalSettings, variable_of

START_SECONDS_MAX = 60
# The functions run under the Python that MiniStack runs under.
PYTHON = PROJECT / ".venv-localstack" / "bin" / "python"
HEALTH_PATH = "/_ministack/health"


def start(settings: LocalSettings, processes: Processes) -> None:
    """Start MiniStack on `settings.aws_port`. It forgets everything when it stops. Raises LocalError."""
    if not PYTHON.exists():
        raise MissingToolError(f"MiniStack is not installed in {PYTHON.parents[1]}: `make localstack` installs it.")
    ensure_port_free(settings.aws_port, "MiniStack", variable_of("aws_port"))
    home = settings.state_dir / "ministack"
    # A killed run leaves the unpacked code of its functions behind.
    shutil.rmtree(home, ignore_errors=True)
    (home / "tmp").mkdir(parents=True)
    command: list[str | Path] = [PYTHON, "-m", "ministack"]
    # It has nothing to save, and on SIGTERM would wait until the relay's minute is over.
    child = processes.start("ministack", command, _environment(settings, home), cwd=home, stop_signal=signal.SIGKILL)
    processes.wait_until_ready(child, lambda: is_here(settings), START_SECONDS_MAX)


def is_here(settings: LocalSettings) -> bool:
    """Return whether the stack's endpoint is a MiniStack."""
    return answers(f"{settings.aws_url}{HEALTH_PATH}")


def _environment(settings: LocalSettings, home: Path) -> dict[str, str]:
    """Return its environment, without the user's AWS configuration: the functions inherit it."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **inherited,
        **AWS_KEYS,
        "AWS_DEFAULT_REGION": AWS_REGION,
        "MINISTACK_REGION": AWS_REGION,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "STATE_DIR": str(home / "state"),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(settings.aws_port),
        # It would listen on port 8883 of every interface.
        "IOT_MTLS_ENABLED": "0",
        # There is no X-Ray daemon on this machine.
        "POWERTOOLS_TRACE_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
    }
