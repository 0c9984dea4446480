"""Measure the time from POST to the verified webhook on an idle stack, and the cost of the idle stack."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

import httpx

from bench.client import API_KEY, order
from bench.end_to_end import cpu_seconds_of, place_of, without_functions
from bench.results import ROUNDS, Figure, Goal, Measure, number_text, percentile
from bench.rivals.stacks import CELERY, FAST_STREAM, RivalStack, running
from bench.servers import Servers, open_database
from local.stack import workers
from local.stack.stack import Stack
from paybridge.database.database import Database, Statement

WARM_UP_SAMPLES = 5
ARRIVE_SECONDS_MAX = 15.0
IDLE_SECONDS = 8.0

_TRANSACTIONS = Statement("""
    SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()
""")


@dataclass(frozen=True, slots=True)
class Way:
    """How messages reach their consumers, with goals in milliseconds, if any.

    A round has `samples` payments. Random pauses of up to `pause_seconds_max` spread them over all polls and windows.
    The client starts to look for the webhook after `quiet_seconds` and polls every `poll_seconds`.
    """

    name: str
    samples: int
    pause_seconds_max: float
    quiet_seconds: float
    poll_seconds: float
    p50_ms: float | None = None
    p99_ms: float | None = None


# Each payment passes the half-second windows of two mappings, as on AWS. That leaves 150 ms for everything else.
MAPPINGS = Way("mappings", 6, 0.5, 0.8, 0.02, p50_ms=1150.0, p99_ms=1150.0)
WORKERS = Way("workers", 50, 0.06, 0.01, 0.003, p50_ms=30.0, p99_ms=100.0)
RIVALS: dict[RivalStack, Way] = {rival: Way(rival.name, 15, 0.06, 0.01, 0.003) for rival in (FAST_STREAM, CELERY)}


@dataclass(frozen=True, slots=True)
class Idle:
    """The cost of an idle stack per minute."""

    transactions: float
    cpu_seconds: float


def measure(servers: Servers) -> Measure:
    """Measure one way after the other on the same servers, so that each stack is idle and alone."""
    stack = servers.stack
    figures = list(_figures_of_ours(servers, MAPPINGS))
    with without_functions(stack):
        with _workers(stack):
            figures += _figures_of_ours(servers, WORKERS)
        for rival, way in RIVALS.items():
            database_url, amqp_url = place_of(stack, rival, "latency")
            folder = servers.folder / f"{rival.key}-latency"
            with running(rival, folder, database_url, amqp_url, stack.urls.gateway) as (_, api_url):
                figures += _figures(servers, way, api_url)
    # Latencies first, because the measure is about them.
    figures.sort(key=lambda figure: figure.unit != "ms")
    return Measure(
        "latency",
        figures,
        [
            f"p99 is over all samples: {ROUNDS * MAPPINGS.samples} with mappings, {ROUNDS * WORKERS.samples} with "
            f"{WORKERS.name}.",
            f"Idle cost: {IDLE_SECONDS:.0f} s scaled to a minute, without the schedules that run each minute.",
        ],
    )


@contextmanager
def _workers(stack: Stack) -> Iterator[None]:
    """Start the functions and the workers for this block. The stack must have none running."""
    settings = stack.settings
    stack.settings = replace(settings, workers=1)
    try:
        stack.start_functions()
        stack.start_workers()
        yield
    finally:
        for name in [*workers.process_names(stack.settings), "bridge"]:
            stack.processes.stop_child(name)
        stack.settings = settings


def _figures_of_ours(servers: Servers, way: Way) -> list[Figure]:
    idle = _idle(servers.stack)
    servers.say(
        f"{way.name}: idle {idle.transactions:,.0f} transactions, {number_text(idle.cpu_seconds)} CPU s a minute"
    )
    return [
        *_figures(servers, way, servers.stack.urls.api),
        Figure(f"{way.name}, idle", "transactions/min", (idle.transactions,)),
        Figure(f"{way.name}, idle CPU", "s/min", (idle.cpu_seconds,)),
    ]


def _figures(servers: Servers, way: Way, api_url: str) -> list[Figure]:
    rounds = _rounds(servers, way, api_url)
    together = tuple(value for values in rounds for value in values)
    middle = tuple(median(values) for values in rounds)
    is_rival = way.p50_ms is None
    return [
        Figure(
            f"{way.name}, p50",
            "ms",
            middle,
            _at_most(way.p50_ms),
            is_rival=is_rival,
            compared_with=f"{WORKERS.name}, p50",
        ),
        Figure(
            f"{way.name}, p99",
            "ms",
            (percentile(together, 99),),
            _at_most(way.p99_ms),
            is_rival=is_rival,
            compared_with=f"{WORKERS.name}, p99",
        ),
    ]


def _at_most(value: float | None) -> Goal | None:
    return None if value is None else Goal(value, at_most=True)


def _rounds(servers: Servers, way: Way, api_url: str) -> list[tuple[float, ...]]:
    rounds = []
    sink_url = servers.stack.urls.sink
    with httpx.Client(timeout=10, trust_env=False) as client:
        client.delete(f"{sink_url}/received").raise_for_status()
        for _ in range(WARM_UP_SAMPLES):
            _sample_ms(client, way, api_url, sink_url)
        for number in range(1, ROUNDS + 1):
            rounds.append(tuple(_sample_ms(client, way, api_url, sink_url) for _ in range(way.samples)))
            middle = number_text(median(rounds[-1]))
            servers.say(f"round {number} of {ROUNDS}: {way.name}, {way.samples} payments, median {middle} ms")
    return rounds


def _sample_ms(client: httpx.Client, way: Way, api_url: str, sink_url: str) -> float:
    path = f"/ok/{uuid.uuid4()}"
    headers = {"X-API-Key": API_KEY, "Idempotency-Key": path}
    time.sleep(random.uniform(0, way.pause_seconds_max))  # noqa: S311 -- not a secret.
    started_at = time.time()
    answer = client.post(f"{api_url}/api/v1/payments", json=order(sink_url + path), headers=headers)
    assert answer.status_code == 202, answer.text
    time.sleep(max(0.0, started_at + way.quiet_seconds - time.time()))
    while not (received := client.get(f"{sink_url}/received", params={"path": path}).json()):
        if time.time() > started_at + ARRIVE_SECONDS_MAX:
            raise RuntimeError(f"no webhook arrived within {ARRIVE_SECONDS_MAX:.0f} s")
        time.sleep(way.poll_seconds)
    assert received[0]["verified"], "the webhook's signature is wrong"
    return (datetime.fromisoformat(received[0]["received_at"]).timestamp() - started_at) * 1000


def _idle(stack: Stack) -> Idle:
    with open_database(stack.urls.postgres) as database:
        transactions, cpu, started = _transactions(database), cpu_seconds_of(stack.processes), time.monotonic()
        time.sleep(IDLE_SECONDS)
        minutes = (time.monotonic() - started) / 60
        cpu = cpu_seconds_of(stack.processes) - cpu
        # One of them is this query itself.
        transactions = _transactions(database) - transactions - 1
    return Idle(transactions / minutes, cpu / minutes)


def _transactions(database: Database) -> int:
    return int(database.run(_TRANSACTIONS)[0][0])
