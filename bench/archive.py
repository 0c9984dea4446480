"""Archive a month of payments with all of their rows, by the function's own code in a process apart, and watch it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from pathlib import Path

from bench.results import Figure, Goal, Measure
from bench.servers import Servers
from local.servers.moto import MotoServer
from local.servers.moto import start as start_moto
from local.servers.processes import Processes
from local.testkit.archive import AWS_LOGIN, fill_month
from local.testkit.payments import new_merchant
from local.testkit.servers import address_of, private_settings
from paybridge.database.database import Database

# A month of 1,000,000 takes minutes to fill. The figures are rates, so a tenth says nearly as much.
PAYMENTS_VARIABLE = "PAYBRIDGE_BENCH_ARCHIVE_PAYMENTS"
PAYMENTS = 100_000
MONTH = date(2024, 3, 1)
FILL_SECONDS_MAX = 600.0
# A month of 1,000,000 payments, with all tables, in under 60 s and in under 512 MB.
GOAL_PAYMENTS = 1_000_000 / 60
GOAL_MB = 512
_MB = 1_000_000


def measure(servers: Servers) -> Measure:
    """Fill a month, archive it until every table is detached, and report rates and the highest memory."""
    payments = int(os.environ.get(PAYMENTS_VARIABLE) or PAYMENTS)
    url = servers.postgres.fresh_database()
    _fill(servers, url, payments)
    settings = private_settings(servers.folder / "archive")
    moto = start_moto(settings, Processes(settings.state_dir))
    try:
        done = _archive(url, moto)
    finally:
        moto.stop()
    servers.postgres.drop_database(url)
    assert done["payments"] == payments, f"{done['payments']} of {payments} payments were archived"
    return Measure(
        "archive",
        [
            Figure("month with all tables", "payments/s", (payments / done["seconds"],), Goal(GOAL_PAYMENTS)),
            Figure("table of payments alone", "payments/s", (payments / done["table_seconds"],)),
            Figure("rows of all tables", "rows/s", (done["rows"] / done["seconds"],), panel="all"),
            Figure("highest memory", "MB", (done["peak_bytes"] / _MB,), Goal(GOAL_MB, at_most=True)),
            Figure("database, a payment", "bytes", (done["database_bytes"] / payments,), panel="size"),
            Figure("archive, a payment", "bytes", (done["archive_bytes"] / payments,), panel="size"),
        ],
        [
            f"A month of {payments:,} payments, {done['rows']:,} rows, to moto's S3 on this machine. "
            "The table of payments is read, written, read back and compared; the month is detached too."
        ],
    )


def _fill(servers: Servers, url: str, payments: int) -> None:
    started = time.monotonic()
    with closing(Database(address_of(url), "bench", FILL_SECONDS_MAX)) as database:
        fill_month(database, new_merchant(database), MONTH, payments)
    servers.say(f"{payments:,} payments written in {time.monotonic() - started:.0f} s")


def _archive(url: str, moto: MotoServer) -> dict[str, float]:
    """Archive the month in a process that does nothing else, whose memory is then that of the function."""
    environment = {**os.environ, **AWS_LOGIN, "AWS_ENDPOINT_URL": moto.url, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(__file__).with_name("archive_run.py")), url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found
