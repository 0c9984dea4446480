"""The whole offline stack, from the first POST to the last verified webhook, and what it costs in CPU time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import httpx
import psutil

from bench.results import ROUNDS, Figure, Goal, Measure, number_text
from bench.servers import Servers, open_database
from local.settings import PROJECT
from local.stack import Stack
from paybridge.store.database import Database, Statement

PAYMENTS = 2_000
# Enough for the host to have started every environment that this many connections keep busy.
WARM_UP_PAYMENTS = 2_000
CONNECTIONS = 16
POLL_SECONDS = 0.2
SETTLE_SECONDS_MAX = 90.0
GOAL_PAYMENTS_PER_SECOND = 500.0

# Counts one round's payments alone, which are told apart by their webhook URL.
_DELIVERED = Statement("""
    SELECT count(*) FROM webhook_deliveries d JOIN payments p ON p.id = d.payment_id
    WHERE d.url = :url::text AND d.status = 'delivered' AND p.status = 'succeeded'
""")


@dataclass(frozen=True, slots=True)
class Round:
    """One round: payments per second from end to end, accepted per second, CPU seconds per 1,000 payments."""

    settled_per_second: float
    accepted_per_second: float
    cpu_seconds: float


def measure(servers: Servers) -> Measure:
    """A client in a process of its own posts; its CPU time is not the stack's."""
    stack = servers.stack
    rounds = []
    with open_database(stack.urls.postgres) as database:
        _run(stack, database, "warm-up", WARM_UP_PAYMENTS)
        for number in range(1, ROUNDS + 1):
            done = _run(stack, database, f"round-{number}", PAYMENTS)
            rounds.append(done)
            servers.say(
                f"round {number} of {ROUNDS}: {number_text(done.settled_per_second)} payments/s end to end, accepted "
                f"{number_text(done.accepted_per_second)}/s, {number_text(done.cpu_seconds)} CPU s per 1,000"
            )
    settled = tuple(one.settled_per_second for one in rounds)
    return Measure(
        "end_to_end",
        [
            Figure("POST to verified webhook", "payments/s", settled, Goal(GOAL_PAYMENTS_PER_SECOND)),
            Figure("POST to 202", "payments/s", tuple(one.accepted_per_second for one in rounds)),
            Figure("CPU time, whole stack", "s per 1,000", tuple(one.cpu_seconds for one in rounds)),
        ],
    )


def _run(stack: Stack, database: Database, name: str, payments: int) -> Round:
    webhook_url = f"{stack.urls.sink}/ok/{name}"
    cpu_before = _cpu_seconds(stack)
    posted = _post(stack, webhook_url, payments)
    _wait_until_settled(database, webhook_url, payments)
    cpu_seconds = _cpu_seconds(stack) - cpu_before
    ended_at = _last_received_at(stack, f"/ok/{name}", payments)
    return Round(
        settled_per_second=payments / (ended_at - posted["started_at"]),
        accepted_per_second=payments / (posted["ended_at"] - posted["started_at"]),
        cpu_seconds=cpu_seconds * 1000 / payments,
    )


def _post(stack: Stack, webhook_url: str, payments: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.client", stack.urls.api, webhook_url, str(payments), str(CONNECTIONS)]
    output = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
    posted: dict[str, float] = json.loads(output)
    return posted


def _wait_until_settled(database: Database, webhook_url: str, payments: int) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while (delivered := int(database.run(_DELIVERED, url=webhook_url)[0][0])) < payments:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {delivered} of {payments} payments were settled and delivered")
        time.sleep(POLL_SECONDS)


def _last_received_at(stack: Stack, path: str, payments: int) -> float:
    """When the sink received the last webhook; by its own clock, so that our polling adds nothing."""
    with httpx.Client(base_url=stack.urls.sink, timeout=30, trust_env=False) as sink:
        received = sink.get("/received", params={"path": path}).raise_for_status().json()
        sink.delete("/received").raise_for_status()
    verified = {one["headers"]["webhook-id"] for one in received if one["verified"]}
    assert len(verified) == payments, f"{len(verified)} of {payments} webhooks were verified"
    return max(datetime.fromisoformat(one["received_at"]).timestamp() for one in received)


def _cpu_seconds(stack: Stack) -> float:
    """CPU time of every process of the stack; that of ended ones is in their parents' account."""
    total = 0.0
    for child in stack.processes.children:
        for process in [child.process, *child.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total
