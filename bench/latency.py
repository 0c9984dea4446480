"""From POST to the verified webhook on an idle stack, one payment at a time; and what the stack costs while idle."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import httpx

from bench.client import API_KEY, order
from bench.end_to_end import cpu_seconds_of
from bench.results import ROUNDS, Figure, Goal, Measure, number_text, percentile
from bench.servers import Servers, open_database
from local.stack import Stack
from paybridge.store.database import Statement

WARM_UP_SAMPLES = 3
ARRIVE_SECONDS_MAX = 15.0
IDLE_SECONDS = 12.0

# Transactions of everybody but the one who asks.
_TRANSACTIONS = Statement("""
    SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
""")


@dataclass(frozen=True, slots=True)
class Way:
    """A way for messages to reach the handlers, with the goals for it in milliseconds.

    Samples are taken after random pauses of up to `pause_seconds_max`, so that they meet every poll and window at any
    moment; nobody looks for the webhook before `quiet_seconds`, nor more often than every `poll_seconds`.
    """

    name: str
    samples: int
    pause_seconds_max: float
    quiet_seconds: float
    poll_seconds: float
    p50_ms: float
    p99_ms: float


# The half-second windows of the two mappings that each payment passes, as on AWS, and 150 ms for everything else.
MAPPINGS = Way("mappings", 7, 0.5, 0.8, 0.02, p50_ms=1150.0, p99_ms=1150.0)


@dataclass(frozen=True, slots=True)
class Idle:
    """What a stack costs that nobody asks for anything, each minute."""

    transactions: float
    cpu_seconds: float


def measure(servers: Servers) -> Measure:
    """Each way in turn, because a stack has but one at a time; its rounds are apart by nothing but random pauses."""
    figures = list(_figures(servers, servers.stack, MAPPINGS))
    return Measure(
        "latency",
        [*(one for one in figures if one.unit == "ms"), *(one for one in figures if one.unit != "ms")],
        [f"p99 is that of all samples. Idle cost is that of {IDLE_SECONDS:.0f} s, put to the minute."],
    )


def _figures(servers: Servers, stack: Stack, way: Way) -> Iterator[Figure]:
    idle = _idle(stack)
    servers.say(
        f"{way.name}: idle {idle.transactions:,.0f} transactions, {number_text(idle.cpu_seconds)} CPU s a minute"
    )
    rounds = _rounds(servers, stack, way)
    together = tuple(value for values in rounds for value in values)
    p50_goal, p99_goal = Goal(way.p50_ms, at_most=True), Goal(way.p99_ms, at_most=True)
    yield Figure(f"{way.name}, p50", "ms", tuple(median(values) for values in rounds), p50_goal, panel=way.name)
    yield Figure(f"{way.name}, p99", "ms", (percentile(together, 99),), p99_goal, panel=way.name)
    yield Figure(f"{way.name}, idle", "transactions/min", (idle.transactions,), panel="transactions")
    yield Figure(f"{way.name}, idle CPU", "s/min", (idle.cpu_seconds,), panel="CPU")


def _rounds(servers: Servers, stack: Stack, way: Way) -> list[tuple[float, ...]]:
    rounds = []
    with httpx.Client(timeout=10, trust_env=False) as client:
        client.delete(f"{stack.urls.sink}/received").raise_for_status()
        for _ in range(WARM_UP_SAMPLES):
            _sample_ms(client, stack, way)
        for number in range(1, ROUNDS + 1):
            rounds.append(tuple(_sample_ms(client, stack, way) for _ in range(way.samples)))
            middle = number_text(median(rounds[-1]))
            servers.say(f"round {number} of {ROUNDS}: {way.name}, {way.samples} payments, median {middle} ms")
    return rounds


def _sample_ms(client: httpx.Client, stack: Stack, way: Way) -> float:
    path = f"/ok/{uuid.uuid4()}"
    headers = {"X-API-Key": API_KEY, "Idempotency-Key": path}
    time.sleep(random.uniform(0, way.pause_seconds_max))  # noqa: S311 -- no secret.
    started_at = time.time()
    answer = client.post(
        f"{stack.urls.api}/api/v1/payments", json=order(stack.urls.sink + path), headers=headers
    ).raise_for_status()
    assert answer.status_code == 202, answer.text
    time.sleep(max(0.0, started_at + way.quiet_seconds - time.time()))
    while not (received := client.get(f"{stack.urls.sink}/received", params={"path": path}).json()):
        if time.time() > started_at + ARRIVE_SECONDS_MAX:
            raise RuntimeError(f"no webhook came within {ARRIVE_SECONDS_MAX:.0f} s")
        time.sleep(way.poll_seconds)
    assert received[0]["verified"], "the webhook's signature is wrong"
    return (datetime.fromisoformat(received[0]["received_at"]).timestamp() - started_at) * 1000


def _idle(stack: Stack) -> Idle:
    with open_database(stack.urls.postgres) as database:
        before, cpu_before, started = (
            database.run(_TRANSACTIONS)[0][0],
            cpu_seconds_of(stack.processes),
            time.monotonic(),
        )
        time.sleep(IDLE_SECONDS)
        minutes = (time.monotonic() - started) / 60
        cpu_seconds = cpu_seconds_of(stack.processes) - cpu_before
        # Of which one is this look itself.
        transactions = int(database.run(_TRANSACTIONS)[0][0]) - int(before) - 1
    return Idle(transactions / minutes, cpu_seconds / minutes)
