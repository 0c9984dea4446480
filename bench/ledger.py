"""Post payments to the books in batches, beside pgledger and a transfer at a time under FOR UPDATE.

A payment is one event with two transfers: its amount, and the fee. The accounts of the house are hot in either case. In
the second one so is the merchant's.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.rivals import ledgers, pgbench
from bench.rivals.ledgers import MERCHANTS
from bench.servers import Servers, open_database
from local.errors import LocalError
from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge import wiring
from paybridge.core.events import Event
from paybridge.database.database import Database, Statement
from paybridge.ledger.post import post_events
from paybridge.runners.ledger import BATCH_MESSAGES

# How many payments the books hold before anything is measured.
KEPT = int(os.environ.get("PAYBRIDGE_BENCH_LEDGER_PAYMENTS", "20000"))
BATCH_EVENTS = BATCH_MESSAGES
BATCHES = 10
PGLEDGER_BATCHES = 2
PGBENCH_SECONDS = 3
GOAL_EVENTS, GOAL_RATIO, GOAL_BYTES = 5000.0, 2.0, 400.0

_FEES = Statement("""
    INSERT INTO merchant_fees (merchant_id, valid_from, fees)
    VALUES (:id::uuid, :at::timestamptz, '{"percent": "2.9", "fixed": {"EUR": "0.30"}}')
""")
_BYTES = Statement("""
    SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE nspname = 'ledger' AND relkind = 'r')::float8 / count(*)
    FROM ledger.transfers
""")


def measure(servers: Servers) -> Measure:
    """Measure events per second of each, spread over many merchants and all of one, and the bytes of a transfer."""
    # Python looks for garbage as seldom as in the function.
    wiring.run(asyncio.sleep(0))
    program = pgbench.find()
    if program is None:
        raise LocalError("The rivals of `ledger` need pgbench, which comes with PostgreSQL's server packages.")
    urls = {name: servers.postgres.fresh_database(migrated=name == "ours") for name in ("ours", "pgledger", "locks")}
    with ExitStack() as stack:
        ours, pgledger, locks = (stack.enter_context(open_database(url)) for url in urls.values())
        merchants = _merchants(ours)
        _fill(servers, ours, merchants)
        ledgers.set_up_pgledger(pgledger)
        ledgers.run_script(locks, ledgers.FOR_UPDATE_TABLES)
        scripts = {name: servers.folder / f"{name}.sql" for name in ("pgledger", "locks")}
        scripts["pgledger"].write_text(ledgers.ONE_EVENT)
        scripts["locks"].write_text(ledgers.FOR_UPDATE)
        run = partial(ledgers.run_pgbench, program)
        figures = []
        for case, count in (("spread", MERCHANTS), ("one merchant", 1)):
            batches = partial(ledgers.pgledger_batches, pgledger, PGLEDGER_BATCHES, BATCH_EVENTS, count)
            contenders: dict[str, Callable[[], float]] = {
                case: partial(_post, ours, merchants[:count]),
                f"pgledger, {case}": partial(run, urls["pgledger"], scripts["pgledger"], PGBENCH_SECONDS, count),
                f"pgledger in batches, {case}": batches,
                f"FOR UPDATE, {case}": partial(run, urls["locks"], scripts["locks"], PGBENCH_SECONDS, count),
            }
            figures += _figures(case, interleaved(servers.say, contenders, "events/s"))
        size, pgledger_size = ours.run(_BYTES)[0][0], ledgers.pgledger_bytes(pgledger)
    for url in urls.values():
        servers.postgres.drop_database(url)
    figures += [
        Figure("a transfer", "bytes", (size,), Goal(GOAL_BYTES, at_most=True)),
        Figure("a transfer of pgledger", "bytes", (pgledger_size,), is_rival=True, compared_with="a transfer"),
    ]
    note = (
        f"With {KEPT:,} payments kept; PAYBRIDGE_BENCH_LEDGER_PAYMENTS=1000000 keeps more. An event is two transfers."
    )
    return Measure("ledger", figures, [note])


def _figures(case: str, values: dict[str, tuple[float, ...]]) -> list[Figure]:
    ours, *rivals = [Figure(name, "events/s", rates, is_rival=name != case) for name, rates in values.items()]
    best = max((rival for rival in rivals if "pgledger" in rival.name), key=lambda rival: rival.median)
    goal = Goal(GOAL_RATIO)
    return [
        Figure(case, "events/s", ours.values, Goal(GOAL_EVENTS)),
        *(Figure(each.name, each.unit, each.values, is_rival=True, compared_with=case) for each in rivals),
        ratio(f"ratio to pgledger at its best, {case}", ours.values, best.values, goal),
    ]


def _merchants(database: Database) -> list[MoneyEvents]:
    since = datetime.now(UTC) - timedelta(days=1)
    merchants = [MoneyEvents(new_merchant(database)) for _ in range(MERCHANTS)]
    for each in merchants:
        database.run(_FEES, id=each.merchant_id, at=since)
    return merchants


def _fill(servers: Servers, database: Database, merchants: Sequence[MoneyEvents]) -> None:
    started = time.monotonic()
    for _ in range(KEPT // BATCH_EVENTS):
        post_events(database, _batch(merchants))
    servers.say(f"{KEPT:,} payments posted in {time.monotonic() - started:.0f} s")


def _batch(merchants: Sequence[MoneyEvents]) -> list[Event]:
    return [random.choice(merchants).succeeded(ledgers.GROSS) for _ in range(BATCH_EVENTS)]  # noqa: S311


def _post(database: Database, merchants: Sequence[MoneyEvents]) -> float:
    batches = [_batch(merchants) for _ in range(BATCHES)]
    started = time.perf_counter()
    for batch in batches:
        report = post_events(database, batch)
        assert report.posted == BATCH_EVENTS, f"{report.posted} of {BATCH_EVENTS} events were posted"
    return BATCHES * BATCH_EVENTS / (time.perf_counter() - started)
