"""Compare the relay with 1,000,000 published rows in the outbox and with an almost empty one, and its idle poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median

from bench import kept
from bench.relay import BATCH_ROWS, empty_queue, refuse, relay_ours
from bench.results import ROUNDS, Figure, Goal, Measure, interleaved, number_text
from bench.servers import Servers, open_database
from local.testkit.payments import new_merchant
from paybridge import wiring
from paybridge.database.database import Database
from paybridge.outbox.relay import relay_once
from paybridge.rabbitmq.publisher import open_publisher

KEPT_ROWS = 1_000_000
RELAYED_ROWS = 10_000
POLLS = 300
GOAL_SHARE = 0.9
GOAL_POLL_MS = 0.5
FULL, EMPTY = "1,000,000 rows kept", "almost none kept"


def measure(servers: Servers) -> Measure:
    """Relay both outboxes to the same queue in turn, then poll both with nothing due."""
    amqp_url = servers.broker.fresh_vhost().amqp_url
    urls = {name: servers.postgres.fresh_database() for name in (EMPTY, FULL)}
    with ExitStack() as stack:
        databases = {name: stack.enter_context(open_database(url)) for name, url in urls.items()}
        _keep(servers, urls[FULL], databases[FULL])
        kept.settle(urls[EMPTY])
        rates = interleaved(servers.say, _relays(urls, databases, amqp_url), "rows/s")
        polls = _poll_in_turns(servers, databases, amqp_url)
    for url in urls.values():
        servers.postgres.drop_database(url)
    shares = tuple(full / empty for full, empty in zip(rates[FULL], rates[EMPTY], strict=True))
    return Measure(
        "relay_kept",
        [
            Figure(FULL, "rows/s", rates[FULL]),
            Figure(EMPTY, "rows/s", rates[EMPTY]),
            Figure("share of the empty one's rate", "times", shares, Goal(GOAL_SHARE)),
            Figure("poll of an empty outbox", "ms", polls[FULL], Goal(GOAL_POLL_MS, at_most=True)),
            Figure("poll, almost none kept", "ms", polls[EMPTY]),
        ],
        [f"A poll is the median of {POLLS}, each with its transaction."],
    )


def _keep(servers: Servers, url: str, database: Database) -> None:
    started = time.monotonic()
    merchant_id = new_merchant(database)
    kept.fill_outbox(url, merchant_id, KEPT_ROWS, kept.sample_body(database, merchant_id))
    servers.say(f"{KEPT_ROWS:,} published rows written in {time.monotonic() - started:.0f} s")


def _relays(urls: dict[str, str], databases: dict[str, Database], amqp_url: str) -> dict[str, Callable[[], float]]:
    def relay(name: str) -> float:
        kept.add_due(urls[name], RELAYED_ROWS)
        started = time.perf_counter()
        wiring.run(relay_ours(databases[name], amqp_url))
        seconds = time.perf_counter() - started
        arrived = wiring.run(empty_queue(amqp_url))
        assert arrived == RELAYED_ROWS, f"{arrived} of {RELAYED_ROWS} messages arrived"
        return RELAYED_ROWS / seconds

    return {name: partial(relay, name) for name in (EMPTY, FULL)}


def _poll_in_turns(servers: Servers, databases: dict[str, Database], amqp_url: str) -> dict[str, tuple[float, ...]]:
    values: dict[str, list[float]] = {name: [] for name in databases}
    for number in range(1, ROUNDS + 1):
        for name, database in databases.items():
            values[name].append(wiring.run(_poll_ms(database, amqp_url)))
            servers.say(f"round {number} of {ROUNDS}: {name}, {number_text(values[name][-1])} ms a poll")
    return {name: tuple(found) for name, found in values.items()}


async def _poll_ms(database: Database, amqp_url: str) -> float:
    """Return the median milliseconds of POLLS polls of an outbox with nothing due."""
    seconds = []
    async with open_publisher(amqp_url) as publisher:
        for _ in range(POLLS):
            started = time.perf_counter()
            relayed = await relay_once(database, publisher, BATCH_ROWS, refuse)
            seconds.append(time.perf_counter() - started)
            assert relayed.claimed == 0, "the outbox was not empty"
    return median(seconds) * 1000
