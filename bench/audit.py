"""Audit an outbox of about a million rows, and find the gaps that were planted in it."""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bench import kept
from bench.memory import memory_added
from bench.results import ROUNDS, Figure, Goal, Measure
from bench.servers import Servers, open_database
from local.errors import LocalError
from local.testkit.payments import new_merchant
from local.testkit.servers import address_of
from paybridge.audit.domain import AuditOrder, AuditPage
from paybridge.audit.run import begin, run_audit
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.notifications.domain.notification import Channel
from paybridge.wiring.audit import services_over

VARIABLE = "PAYBRIDGE_BENCH_AUDIT_PAYMENTS"
# Three events each, so about a million rows.
PAYMENTS = 334_000
ROWS_PER_PAYMENT = 3
GOAL_SECONDS_PER_MILLION = 60.0
GOAL_MEBIBYTES = 64.0
PLANTED = 12

# The books and the bridge have what the events of kept payments say. They begin before the first of them.
_POST = Statement("""
    INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, payment_id, happened_at, currency)
    SELECT 1, id, 2, 1, id, merchant_id, payment_id, created_at, 'RUB' FROM outbox WHERE type = 'payment.succeeded'
""")
_SEND = Statement("INSERT INTO bridge.sent_events (event_id) SELECT id FROM outbox WHERE exchange = 'payments.events'")
_BEGIN_RECORD = Statement("INSERT INTO bridge.recording (began_at) VALUES (now() - interval '1 year')")
_OPEN_BOOKS = Statement("UPDATE ledger.books SET posting_since = now() - interval '1 year'")
_LOSE = Statement("DELETE FROM webhook_deliveries WHERE payment_id = :id::uuid")


def measure(servers: Servers) -> Measure:
    """Audit all payments ROUNDS times without a gap, and once with some."""
    count = _payments()
    url = servers.postgres.fresh_database()
    with open_database(url) as database:
        merchant_id = new_merchant(database)
        started = time.monotonic()
        payments = kept.fill(url, merchant_id, count, kept.sample_body(database, merchant_id))
        _post(database, url)
        servers.say(f"{count:,} payments written in {time.monotonic() - started:.0f} s")
        audits = [_audit(servers, database, payments) for _ in range(ROUNDS)]
        for audit in audits:
            assert not audit.page.gaps, f"gaps in a healthy outbox: {audit.page.gaps[:3]}"
        _plant(database, payments)
        found = _audit(servers, database, payments).page.gaps
        assert len(found) == PLANTED, f"{len(found)} of {PLANTED} planted gaps found"
    servers.postgres.drop_database(url)
    rows = audits[0].page.checked
    seconds = tuple(audit.seconds * 1_000_000 / rows for audit in audits)
    added = tuple(audit.mebibytes for audit in audits)
    return Measure(
        "audit",
        [
            Figure("a million rows", "s", seconds, Goal(GOAL_SECONDS_PER_MILLION, at_most=True)),
            Figure("memory added", "MiB", added, Goal(GOAL_MEBIBYTES, at_most=True)),
        ],
        [
            f"{rows:,} rows of {count:,} payments, compared with webhooks, journals and what the bridge sent.",
            f"{PLANTED} planted gaps were found, and no other.",
        ],
    )


@dataclass(frozen=True, slots=True)
class _Audited:
    page: AuditPage
    seconds: float
    mebibytes: float


def _payments() -> int:
    text = os.environ.get(VARIABLE, str(PAYMENTS))
    if not text.isascii() or not text.isdecimal() or int(text) < PLANTED:
        raise LocalError(f"{VARIABLE}={text!r} is not a whole number of at least {PLANTED}.")
    return int(text)


def _post(database: Database, url: str) -> None:
    with closing(Database(address_of(url), "paybridge-bench-fill", kept.FILL_SECONDS_MAX)) as filling:
        filling.run(_POST)
        filling.run(_SEND)
    database.run(_OPEN_BOOKS)
    database.run(_BEGIN_RECORD)
    kept.settle(url)


def _plant(database: Database, payments: kept.Kept) -> None:
    """Lose the webhooks of a few payments, spread over all of them."""
    for number in range(1, PLANTED + 1):
        id_: UUID = payments.payment_id(number * payments.count // PLANTED)
        database.run(_LOSE, id=id_)


def _audit(servers: Servers, database: Database, payments: kept.Kept) -> _Audited:
    now = datetime.now(UTC)
    order = AuditOrder(begin_at=now - timedelta(milliseconds=2 * kept.SPAN_MS), end_at=now)
    services = services_over(database, SystemClock(), frozenset(Channel))
    with memory_added() as added:
        started = time.perf_counter()
        page = run_audit(services, order, begin(order), seconds_max=600.0)
        seconds = time.perf_counter() - started
    assert page.position is None, "the audit is not complete"
    # The sample's payment has one event of its kind.
    assert page.checked >= payments.count * ROWS_PER_PAYMENT, f"only {page.checked} rows checked"
    servers.say(f"{page.checked:,} rows in {seconds:.1f} s, {added[0]:.0f} MiB added, {len(page.gaps)} gaps")
    return _Audited(page, seconds, added[0])
