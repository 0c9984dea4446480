"""Build the books again from the log, and prove that both are equal.

A payment is three events in the log, one of which is posted: its amount and the fee, two transfers. The first rebuild
fills an empty book, and becomes the live one. Those after it are proved equal to it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from bench import kept
from bench.results import ROUNDS, Figure, Goal, Measure
from bench.rivals.ledgers import GROSS, MERCHANTS
from bench.servers import Servers, open_database
from local.errors import LocalError
from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from local.testkit.servers import address_of
from paybridge import wiring
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.ledger.domain.rebuild import Rebuild, RebuildPhase, RebuildState
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.rebuild import start_rebuild, work_on
from paybridge.ledger.switch import switch_books
from paybridge.wiring.rebuilds import services_over

VARIABLE = "PAYBRIDGE_BENCH_REBUILD_PAYMENTS"
PAYMENTS = 1_000_000
GOAL_EVENTS = 10_000.0
# An invocation of long_jobs works for so long, and the next one goes on.
TURN_SECONDS = 30.0
LOOK_SECONDS = 0.02
FILL_SECONDS_MAX = 1200.0

_FEES = Statement("""
    INSERT INTO merchant_fees (merchant_id, valid_from, fees)
    VALUES (:id::uuid, :at::timestamptz, '{"percent": "2.9", "fixed": {"EUR": "0.30"}}')
""")
# Ids have the shape of UUIDv7 and are spread evenly over the last three months.
_LOG = Statement(f"""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
        created_at, available_at, published_at)
    SELECT event_id, payment_id, merchant_id, sequence, type, exchange, type,
           replace(replace(replace(replace(body, :event_id::text, event_id::text),
                                   :payment_id::text, payment_id::text),
                           :merchant_id::text, merchant_id::text),
                   :operation_id::text, gen_random_uuid()::text),
           'bench', at, at, CASE WHEN exchange IS NOT NULL THEN at + interval '1 second' END
    FROM (
        SELECT (head || '70008' || tail)::uuid AS payment_id, to_timestamp(moment / 1000.0) AS at,
               (head || '7' || lpad(sequence::text, 3, '0') || '9' || tail)::uuid AS event_id, sequence, type, exchange,
               (:merchants::uuid[])[1 + n % cardinality(:merchants::uuid[])] AS merchant_id,
               CASE sequence WHEN 3 THEN :body::text ELSE '{{}}' END AS body
        FROM (
            SELECT n, moment, lpad(to_hex(moment), 12, '0') AS head, lpad(to_hex(n), 15, '0') AS tail
            FROM (
                SELECT n, :newest_ms::bigint - (:count::bigint - n) * ({kept.SPAN_MS}::bigint / :count::bigint)
                          AS moment
                FROM generate_series(1, :count::integer) AS n
            ) AS numbered
        ) AS named
        CROSS JOIN LATERAL (VALUES
            (1, 'payment.created', 'payments'), (2, 'payment.processing', NULL),
            (3, 'payment.succeeded', 'payments.events')
        ) AS event (sequence, type, exchange)
    ) AS kept
""")  # noqa: S608 -- only constants of this file.
_PHASE = Statement("SELECT phase FROM ledger.rebuilds WHERE id = :id::uuid")


@dataclass(frozen=True, slots=True)
class _Timed:
    done: Rebuild
    events_per_second: float
    building_seconds: float
    proving_seconds: float


def measure(servers: Servers) -> Measure:
    """Rebuild the books ROUNDS times, and report the rates of building and of proving."""
    # Python looks for garbage as seldom as in the function.
    wiring.run(asyncio.sleep(0))
    count = _payments()
    url = servers.postgres.fresh_database()
    with open_database(url) as database:
        started = time.monotonic()
        fill(url, database, count)
        servers.say(f"{count:,} payments logged in {time.monotonic() - started:.0f} s")
        services = services_over(database, SystemClock(), Uuid7Ids())
        rounds = [rebuild(servers, url, services, count)]
        switch_books(services, rounds[0].done.id, actor="bench", accept_differences="the live book was empty")
        kept.settle(url)
        for _ in range(ROUNDS - 1):
            rounds.append(rebuild(servers, url, services, count))
            assert rounds[-1].done.equal, f"the books differ: {rounds[-1].done.first_difference}"
    servers.postgres.drop_database(url)
    built = tuple(each.events_per_second for each in rounds)
    proved = tuple(count / each.proving_seconds for each in rounds[1:])
    return Measure(
        "rebuild",
        [
            Figure("build from the log", "events/s", built, Goal(GOAL_EVENTS)),
            Figure("prove that both books are equal", "events/s", proved),
        ],
        [
            f"{count:,} payments of {MERCHANTS} merchants in a log of {3 * count:,} rows. An event is two transfers. "
            f"{VARIABLE}=200000 keeps fewer.",
        ],
    )


def fill(url: str, database: Database, count: int) -> None:
    """Write the log of so many payments, spread over the merchants, who have fees."""
    merchants = [new_merchant(database) for _ in range(MERCHANTS)]
    for id_ in merchants:
        database.run(_FEES, id=id_, at=datetime.now(UTC) - timedelta(days=365))
    sample = MoneyEvents().succeeded(GROSS)
    values = {
        "event_id": str(sample.id),
        "payment_id": str(sample.payment_id),
        "merchant_id": str(sample.merchant_id),
        "operation_id": sample.data["operation"]["operation_id"],
        "body": orjson.dumps(sample.envelope()).decode(),
        "merchants": _array(merchants),
        "count": count,
        "newest_ms": int(time.time() * 1000) - kept.NEWEST_AGE_MS,
    }
    kept.prepare_months(url)
    with closing(Database(address_of(url), "paybridge-bench-fill", FILL_SECONDS_MAX)) as filling:
        filling.run(_LOG, **values)
    kept.settle(url)


def rebuild(servers: Servers, url: str, services: RebuildServices, count: int) -> _Timed:
    """Rebuild the books, as the functions do, and time both phases."""
    begun = start_rebuild(services, actor="bench", wait_seconds=0)
    # The tables may be empty, and in operation autovacuum would know them by now.
    first = work_on(services, begun.id, 0.0)
    assert first is not None
    kept.settle(url)
    with _building_timed(url, begun.id) as building:
        started = time.perf_counter()
        done: Rebuild | None = begun
        while done is not None and done.state is RebuildState.RUNNING:
            done = work_on(services, begun.id, TURN_SECONDS)
        seconds = time.perf_counter() - started
    assert done is not None, "another process works on the rebuild"
    assert done.state is RebuildState.FINISHED, done.failure
    assert (done.events, done.journals, done.unreadable) == (count, count, 0), done
    built = (count - first.events) / building[0]
    timed = _Timed(done, built, building[0], seconds - building[0])
    servers.say(
        f"built {built:,.0f} events/s in {timed.building_seconds:.0f} s, "
        f"proved {count / timed.proving_seconds:,.0f}/s in {timed.proving_seconds:.0f} s, equal: {done.equal}"
    )
    return timed


@contextmanager
def _building_timed(url: str, rebuild_id: UUID) -> Iterator[list[float]]:
    """Note in the list for how many seconds the rebuild has been building within the block."""
    ended, seconds = threading.Event(), [0.0]
    started = time.perf_counter()

    def watch() -> None:
        with open_database(url) as database:
            while not ended.wait(LOOK_SECONDS) and database.run(_PHASE, id=rebuild_id) == [[RebuildPhase.BUILDING]]:
                continue
        seconds[0] = time.perf_counter() - started

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def _payments() -> int:
    text = os.environ.get(VARIABLE, str(PAYMENTS))
    if not text.isascii() or not text.isdecimal() or int(text) < MERCHANTS:
        raise LocalError(f"{VARIABLE}={text!r} is not a whole number of at least {MERCHANTS}.")
    return int(text)


def _array(ids: Sequence[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"
