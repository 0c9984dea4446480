"""`make payment ID=…`: the operator's command, pointed at the running stack."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

from local.commands.supervision import nothing_runs
from local.errors import LocalError
from local.servers import postgres
from local.servers.processes import running
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, PYTHON_PATH, LocalSettings


def show(settings: LocalSettings, payment_id: str) -> None:
    """Print the payment's status and history. Raises LocalError when nothing runs or no payment is named."""
    if not running(settings.state_dir):
        raise LocalError(f"{nothing_runs(settings)} Start the stack with `make up`.")
    if not payment_id:
        raise LocalError("Which payment? Name it, as in `make payment ID=01a1fd50-1a0a-70e7-9753-804a71418b4e`.")
    command = [sys.executable, "-m", "paybridge.cli", "payment", payment_id]
    ended = subprocess.run(command, cwd=PROJECT, env=_environment(settings), check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode)


def _environment(settings: LocalSettings) -> dict[str, str]:
    database = urlsplit(settings.postgres_url or postgres.url_of(settings.postgres_port))
    return {
        **os.environ,
        **AWS_KEYS,
        "AWS_ENDPOINT_URL": settings.aws_url,
        "AWS_DEFAULT_REGION": AWS_REGION,
        "PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)),
        "DATABASE_HOST": database.hostname or "127.0.0.1",
        "DATABASE_PORT": str(database.port or 5432),
        "DATABASE_NAME": database.path.lstrip("/"),
        "DATABASE_SECRET_ID": "paybridge/local/database",
        "DATABASE_TLS": "disable",
    }
