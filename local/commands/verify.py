"""`paybridge verify` on the local stack, where the record of the simulated gateway is checked as well."""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import typer

from local.gateway.books import as_of
from local.settings import LocalSettings
from paybridge import wiring
from paybridge.cli.output import AsJson
from paybridge.cli.verify import Full, Only, Seconds, run
from paybridge.core.clock import ahead
from paybridge.core.findings import Finding
from paybridge.payments.verify_gateway import CarriedOut, verify_gateway


def verify(
    context: typer.Context, full: Full = False, check: Only = None, seconds: Seconds = None, json: AsJson = False
) -> None:
    """Check every invariant of the books, the outbox, the payments and the gateway's record, one line each."""
    others = {"gateway_record": _check_gateway}
    run(context, full=full, only=check, seconds=seconds, as_json=json, others=others)


def _check_gateway(full: bool) -> Finding:
    """Check the log of the simulated gateway, which has everything that it ever did."""
    del full
    log = LocalSettings.load().as_running().state_dir / "gateway" / "charges.jsonl"
    return verify_gateway(wiring.database(), lambda: carried_out(log))


def carried_out(log: Path) -> Iterator[CarriedOut]:
    """Yield what the simulated gateway has carried out by now."""
    now = time.time() + ahead().total_seconds()
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        record = as_of(json_text.loads(line), now)
        if record["status"] == "succeeded" and record["kind"] != "refund_reversal":
            yield CarriedOut(UUID(record["operation_id"]), record["kind"], record["amount_minor"])
