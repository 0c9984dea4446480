"""Measure the offline stack and its rivals from the first POST to the last verified webhook, and their CPU time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from urllib.parse import quote

import httpx

from bench.results import ROUNDS, Figure, Goal, Measure, number_text, ratio
from bench.rivals import pgbench
from bench.rivals.stacks import CELERY, FAST_STREAM, NAIVE, RivalStack, running
from bench.servers import Servers, open_database
from bench.siblings import cpu_by_part, long_jobs_in_the_middle, shares_text, siblings, without_siblings
from local.servers import postgres
from local.servers.processes import Processes
from local.settings import PROJECT
from local.stack import topology
from local.stack.stack import Stack
from local.testkit.payments import new_merchant, new_payment
from paybridge.database.migrations import migrate

# Enough that the batching windows of the mappings, one second in all, hardly count. `latency` measures those.
PAYMENTS = 6_000
# Enough for the host to start every environment that CONNECTIONS keep busy.
WARM_UP_PAYMENTS = 2_000
# Fewer payments for slower rivals, so that each round takes a few seconds.
RIVALS: dict[RivalStack, int] = {NAIVE: 400, FAST_STREAM: 2_000, CELERY: 1_000}
WARM_UP_PAYMENTS_RIVAL = 100
CONNECTIONS = 16
PGBENCH_SECONDS = 3
POLL_SECONDS = 0.2
SETTLE_SECONDS_MAX = 90.0
OURS, ACCEPTED, CPU = "POST to verified webhook", "POST to 202", "CPU time, whole stack"
ALONE, CPU_ALONE, TO_ALONE = "without the siblings", "CPU time, without the siblings", "ratio to without the siblings"
PGBENCH = "pgbench, three inserts"
GOAL_TIMES_PGBENCH = 0.4
GOALS_TIMES_RIVAL = {FAST_STREAM: 2.7, NAIVE: 7.0}
GOAL_CPU_SECONDS = 2.3
GOAL_TIMES_ALONE = 0.75

# The webhook URL identifies the payments of one round.
_DELIVERED = """
    SELECT count(*) FROM webhook_deliveries d JOIN payments p ON p.id = d.payment_id
    WHERE d.url = :url::text AND d.status = 'delivered' AND p.status = 'succeeded'
"""
_DELIVERED_RIVAL = """
    SELECT count(*) FROM deliveries d JOIN payments p ON p.id = d.payment_id
    WHERE d.url = :url::text AND p.status = 'succeeded'
"""


@dataclass(frozen=True, slots=True)
class Round:
    """A round: payments per second end to end and accepted, CPU seconds per 1,000 payments, in all and by part."""

    settled_per_second: float
    accepted_per_second: float
    cpu_seconds: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """A running stack: the URLs of its API and sink, the query that counts its deliveries, and its processes."""

    api_url: str
    sink_url: str
    database_url: str
    delivered: str
    processes: tuple[Processes, ...]


def measure(servers: Servers) -> Measure:
    """Run each stack alone on the same PostgreSQL, RabbitMQ, gateway and sink. Start and warm-up do not count.

    Ours runs twice in each round: whole, and without the functions that a payment does not wait for.
    """
    stack = servers.stack
    ours: list[Round] = []
    alone: list[Round] = []
    theirs: dict[RivalStack, list[Round]] = {rival: [] for rival in RIVALS}
    transactions: list[float] = []
    places = {rival: place_of(stack, rival, "load") for rival in RIVALS}
    three_inserts = _three_inserts(servers)
    for number in range(1, ROUNDS + 1):
        ours.append(_round_of_ours(stack, number))
        _say(servers, number, OURS, ours[-1])
        with without_functions(stack):
            with without_siblings(stack):
                alone.append(_round_of_ours(stack, number, has_siblings=False))
            _say(servers, number, ALONE, alone[-1])
            if three_inserts is not None:
                transactions.append(three_inserts())
                servers.say(f"round {number} of {ROUNDS}: {PGBENCH} {number_text(transactions[-1])} transactions/s")
            for rival, rounds in theirs.items():
                rounds.append(_round_of_rival(servers, rival, places[rival], number))
                _say(servers, number, rival.name, rounds[-1])
    names = [function.logical_id.removesuffix("Function") for function in siblings(stack)]
    figures = [*_figures(ours, theirs, tuple(transactions)), *_figures_alone(ours, alone)]
    return Measure("end_to_end", figures, [*_notes(three_inserts is not None), *_shares(names, ours, alone)])


def cpu_seconds_of(*groups: Processes) -> float:
    """Return the CPU seconds of all processes of these groups. Parents account for children that have ended."""
    return sum(cpu_by_part(*groups).values())


def _figures(ours: list[Round], theirs: dict[RivalStack, list[Round]], transactions: tuple[float, ...]) -> list[Figure]:
    settled = _settled(ours)
    figures = [Figure(OURS, "payments/s", settled)]
    figures += [Figure(rival.name, "payments/s", _settled(done), is_rival=True) for rival, done in theirs.items()]
    if transactions:
        figures.append(Figure(PGBENCH, "transactions/s", transactions, is_rival=True))
        figures.append(ratio("ratio to pgbench", settled, transactions, Goal(GOAL_TIMES_PGBENCH)))
    for rival, times in GOALS_TIMES_RIVAL.items():
        figures.append(ratio(f"ratio to {rival.name}", settled, _settled(theirs[rival]), Goal(times)))
    figures.append(Figure(CPU, "s per 1,000", _cpu(ours), Goal(GOAL_CPU_SECONDS, at_most=True)))
    for rival, done in theirs.items():
        figures.append(Figure(f"CPU time, {rival.name}", "s per 1,000", _cpu(done), is_rival=True, compared_with=CPU))
    return [*figures, Figure(ACCEPTED, "payments/s", tuple(done.accepted_per_second for done in ours))]


def _figures_alone(ours: list[Round], alone: list[Round]) -> Iterator[Figure]:
    yield Figure(ALONE, "payments/s", _settled(alone))
    yield ratio(TO_ALONE, _settled(ours), _settled(alone), Goal(GOAL_TIMES_ALONE))
    yield Figure(CPU_ALONE, "s per 1,000", _cpu(alone))
    for name in sorted({name for done in ours for name in done.parts}):
        values = tuple(done.parts.get(name, 0.0) for done in ours)
        yield Figure(name, "s per 1,000", values, panel="CPU time by part", is_detail=True)


def _shares(names: list[str], ours: list[Round], alone: list[Round]) -> list[str]:
    """Return the notes about the CPU time of each part: medians of the rounds."""
    return [
        f"The siblings are {', '.join(names)}. LongJobs, which runs every minute, runs once in each round.",
        f"CPU time of 1,000 payments by part: {shares_text(_medians(ours))}.",
        f"The same without the siblings: {shares_text(_medians(alone))}.",
    ]


def _medians(rounds: list[Round]) -> dict[str, float]:
    names = {name for done in rounds for name in done.parts}
    return {name: median(done.parts.get(name, 0.0) for done in rounds) for name in names}


def _settled(rounds: list[Round]) -> tuple[float, ...]:
    return tuple(done.settled_per_second for done in rounds)


def _cpu(rounds: list[Round]) -> tuple[float, ...]:
    return tuple(done.cpu_seconds for done in rounds)


def _notes(has_pgbench: bool) -> list[str]:
    return [] if has_pgbench else ["pgbench was not found and was left out."]


def _say(servers: Servers, number: int, name: str, done: Round) -> None:
    servers.say(
        f"round {number} of {ROUNDS}: {name} {number_text(done.settled_per_second)} payments/s, accepted "
        f"{number_text(done.accepted_per_second)}/s, {number_text(done.cpu_seconds)} CPU s per 1,000"
    )


def _round_of_ours(stack: Stack, number: int, *, has_siblings: bool = True) -> Round:
    urls = stack.urls
    contender = Contender(urls.api, urls.sink, urls.postgres, _DELIVERED, (stack.processes,))
    name = "ours" if has_siblings else "alone"
    warm_up = _run(contender, f"{name}-warm-up-{number}", WARM_UP_PAYMENTS)
    middle_seconds = PAYMENTS / warm_up.settled_per_second / 2
    with long_jobs_in_the_middle(stack, middle_seconds) if has_siblings else nullcontext():
        return _run(contender, f"{name}-{number}", PAYMENTS)


def _round_of_rival(servers: Servers, rival: RivalStack, place: tuple[str, str], number: int) -> Round:
    stack = servers.stack
    database_url, amqp_url = place
    folder = servers.folder / f"{rival.key}-{number}"
    with running(rival, folder, database_url, amqp_url, stack.urls.gateway) as (started, api_url):
        processes = (stack.processes, started.processes)
        contender = Contender(api_url, stack.urls.sink, database_url, _DELIVERED_RIVAL, processes)
        _run(contender, f"{rival.key}-warm-up-{number}", WARM_UP_PAYMENTS_RIVAL)
        return _run(contender, f"{rival.key}-{number}", RIVALS[rival])


def place_of(stack: Stack, rival: RivalStack, purpose: str) -> tuple[str, str]:
    """Create a database and a virtual host with our queues for a rival, on the stack's servers. Return their URLs."""
    name = f"rival_{rival.key}_{purpose}"
    topology.create_vhost(stack.urls.management, name)
    topology.declare(stack.urls.management, name)
    return _database(stack, name), f"{stack.urls.amqp.rstrip('/')}/{quote(name, safe='')}"


def _database(stack: Stack, name: str) -> str:
    with closing(postgres.connect(stack.urls.postgres)) as connection:
        connection.run(f"CREATE DATABASE {name} TEMPLATE template0")
    return postgres.url_of(stack.settings.postgres_port, name)


def _three_inserts(servers: Servers) -> Callable[[], float] | None:
    """Return a pgbench run over our tables in a separate, unrelayed database, or None without pgbench."""
    program = pgbench.find()
    if program is None:
        return None
    url = _database(servers.stack, "pgbench")
    with open_database(url) as database:
        migrate(database)
        new_payment(database, new_merchant(database))
        transaction = pgbench.ThreeInserts(program, url, database, servers.folder)
    return lambda: transaction.run(PGBENCH_SECONDS)


@contextmanager
def without_functions(stack: Stack) -> Iterator[None]:
    """Stop our functions for this block: even idle they would take CPU time from the rivals."""
    stack.processes.stop_child("bridge")
    with ExitStack() as again:
        again.callback(stack.start_functions)
        yield


def _run(contender: Contender, name: str, payments: int) -> Round:
    webhook_url = f"{contender.sink_url}/ok/{name}"
    before = cpu_by_part(*contender.processes)
    posted = _post(contender.api_url, webhook_url, payments)
    _wait_until_settled(contender, webhook_url, payments)
    # A process that has ended meanwhile counts as its parent.
    parts = {name: spent - before.get(name, 0.0) for name, spent in cpu_by_part(*contender.processes).items()}
    ended_at = _last_received_at(contender.sink_url, f"/ok/{name}", payments)
    return Round(
        settled_per_second=payments / (ended_at - posted["started_at"]),
        accepted_per_second=payments / (posted["ended_at"] - posted["started_at"]),
        cpu_seconds=sum(parts.values()) * 1000 / payments,
        parts={name: spent * 1000 / payments for name, spent in parts.items()},
    )


def _post(api_url: str, webhook_url: str, payments: int) -> dict[str, float]:
    """Post from a separate process, whose CPU time is not counted as the stack's."""
    command = [sys.executable, "-m", "bench.client", api_url, webhook_url, str(payments), str(CONNECTIONS)]
    output = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
    posted: dict[str, float] = json.loads(output)
    return posted


def _wait_until_settled(contender: Contender, webhook_url: str, payments: int) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    with closing(postgres.connect(contender.database_url)) as connection:
        while (delivered := connection.run(contender.delivered, url=webhook_url)[0][0]) < payments:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {delivered} of {payments} payments were settled and delivered")
            time.sleep(POLL_SECONDS)


def _last_received_at(sink_url: str, path: str, payments: int) -> float:
    """Return when the sink received the last webhook, by the sink's clock: our polling must not count."""
    with httpx.Client(base_url=sink_url, timeout=30, trust_env=False) as sink:
        received = sink.get("/received", params={"path": path}).raise_for_status().json()
        sink.delete("/received").raise_for_status()
    verified = {webhook["headers"]["webhook-id"] for webhook in received if webhook["verified"]}
    assert len(verified) == payments, f"{len(verified)} of {payments} webhooks were verified"
    return max(datetime.fromisoformat(webhook["received_at"]).timestamp() for webhook in received)
