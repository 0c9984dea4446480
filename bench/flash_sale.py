"""`python -m bench.flash_sale [PAYMENTS]`: post many payments at once. Usually run as `make flash-sale`.

All payments are posted at the same moment, each on its own connection. A refused client waits for the seconds in
`Retry-After` and posts again. In the end every payment must be accepted, charged once by the gateway's own log, and
delivered once. The exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.buyers import Tally, UnexpectedAnswer, buy_all, connections_max
from bench.memory import Memory, MemoryWatch
from bench.results import number_text, percentile
from bench.settled import Onlooker, Verdict
from bench.target import Target, running_or_private
from local.errors import LocalError
from local.servers.progress import use_utf8
from local.settings import PROJECT
from local.stack.seed import DEMO_API_KEY

PAYMENTS = 10_000
RESULTS_FILE = PROJECT / "bench" / "results" / "flash_sale.json"
SETTLE_SECONDS_MAX = 300.0
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sale:
    """A finished sale: seconds until the last payment was accepted and until the last webhook arrived."""

    tally: Tally
    verdict: Verdict
    accept_seconds: float
    drain_seconds: float
    memory: MemoryWatch
    onlooker: Onlooker


def main(arguments: list[str] | None = None) -> int:
    """Hold a sale and print its report."""
    use_utf8()
    parser = argparse.ArgumentParser(prog="python -m bench.flash_sale", description="Many payments at once.")
    parser.add_argument("payments", nargs="?", type=int, default=PAYMENTS, help=f"how many (default {PAYMENTS:,})")
    payments = parser.parse_args(arguments).payments
    try:
        _ensure_connections(payments)
        with running_or_private() as target:
            sale = hold(target, payments, _progress)
            sale.onlooker.close()
    except (LocalError, UnexpectedAnswer) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{report(sale, payments)}")
    _write(sale, payments)
    return 1 if sale.verdict.faults() or sale.tally.silent_refusals else 0


def hold(target: Target, payments: int, say: Callable[[str], None]) -> Sale:
    """Post the payments and wait until all are final and delivered. Raises UnexpectedAnswer."""
    path = f"/ok/sale-{uuid.uuid4()}"
    order: dict[str, object] = {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": f"{target.sink_url}{path}",
        # The gateway answers at once and always charges, whatever its settings: this tests the stack.
        "payment_method": "tok_success",
    }
    tally = Tally()
    started_at, began = datetime.now(UTC), time.time()
    onlooker = Onlooker(
        target.api_url,
        DEMO_API_KEY,
        started_at,
        gateway_url=target.gateway_url,
        sink_url=target.sink_url,
        path=path,
    )
    with MemoryWatch(target.processes) as memory:
        keys = [str(uuid.uuid4()) for _ in range(payments)]
        _run(_sell(target.api_url, keys, order, tally, say))
        accept_seconds = time.time() - began
        ids = [accepted.payment_id for accepted in tally.accepted]
        verdict = onlooker.wait(ids, SETTLE_SECONDS_MAX, lambda arrived: say(f"{arrived:,} of {payments:,} webhooks"))
    drain_seconds = max(verdict.last_webhook_at - began, accept_seconds)
    return Sale(tally, verdict, accept_seconds, drain_seconds, memory, onlooker)


def report(sale: Sale, payments: int) -> str:
    """Return the report as text."""
    since_start = tuple(accepted.since_start_seconds for accepted in sale.tally.accepted)
    last_request = tuple(accepted.last_request_seconds for accepted in sale.tally.accepted)
    statuses = sale.tally.statuses
    faults = {kind: len(ids) for kind, ids in sale.verdict.faults().items()}
    lines = [
        f"accepted                        {len(since_start):,} of {payments:,}",
        f"all accepted after              {number_text(sale.accept_seconds)} s,"
        f" {number_text(payments / sale.accept_seconds)} a second",
        f"all settled and delivered after {number_text(sale.drain_seconds)} s",
        f"accepted since the start        p50 {_seconds(since_start, 50)}, p99 {_seconds(since_start, 99)}",
        f"its last request alone          p50 {_seconds(last_request, 50)}, p99 {_seconds(last_request, 99)}",
        f"refusals                        503: {statuses[503]:,}, 429: {statuses[429]:,}, 409: {statuses[409]:,}",
        f"  without Retry-After           {sale.tally.silent_refusals:,}",
        f"broken connections              {sale.tally.broken_connections:,}",
        f"statuses of the payments        {_counts(sale.verdict.statuses)}",
        f"lost, doubled or undelivered    {faults or 'none'}",
        "",
        "memory, MB             at start     peak  processes",
    ]
    lines += [_memory_line(name, memory) for name, memory in sorted(sale.memory.peaks.items())]
    return "\n".join([*lines, _memory_line("all together", sale.memory.total)])


def _counts(statuses: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in statuses.items())


def _ensure_connections(payments: int) -> None:
    most = connections_max()
    if payments > most:
        raise LocalError(
            f"The system allows a process {most:,} connections, not {payments:,}: raise its limit of open files"
            f" (ulimit -Hn), or send fewer payments with PAYMENTS={most}."
        )


async def _sell(url: str, keys: list[str], order: dict[str, object], tally: Tally, say: Callable[[str], None]) -> None:
    reporting = asyncio.create_task(_report_progress(tally, len(keys), say))
    try:
        await buy_all(url, keys, order, tally)
    except* UnexpectedAnswer as group:
        raise UnexpectedAnswer(str(group.exceptions[0])) from None
    finally:
        reporting.cancel()


async def _report_progress(tally: Tally, payments: int, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(1)
        refusals = tally.statuses[503] + tally.statuses[429]
        say(f"{len(tally.accepted):,} of {payments:,} accepted, {refusals:,} refusals")


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def _progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def _seconds(values: tuple[float, ...], percent: float) -> str:
    return f"{number_text(percentile(values, percent))} s"


def _memory_line(name: str, memory: Memory) -> str:
    return f"{name:<22} {memory.at_start / MEGABYTE:>8,.0f} {memory.peak / MEGABYTE:>8,.0f} {memory.processes:>10}"


def _write(sale: Sale, payments: int) -> None:
    since_start = tuple(accepted.since_start_seconds for accepted in sale.tally.accepted)
    content = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "payments": payments,
        "accept_seconds": sale.accept_seconds,
        "drain_seconds": sale.drain_seconds,
        "accepted_since_start_seconds": {str(p): percentile(since_start, p) for p in (50, 90, 99, 99.9)},
        "answers": dict(sale.tally.statuses),
        "refusals_without_retry_after": sale.tally.silent_refusals,
        "broken_connections": sale.tally.broken_connections,
        "faults": sale.verdict.faults(),
        "memory_peak_bytes": {name: memory.peak for name, memory in sale.memory.peaks.items()},
    }
    RESULTS_FILE.parent.mkdir(parents=True, exist_ok=True)
    RESULTS_FILE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"\nWritten to {RESULTS_FILE.relative_to(PROJECT)}")


if __name__ == "__main__":
    raise SystemExit(main())
