"""Payments are accepted at their rate while old months leave their tables, also at the very moment of a detachment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from local.testkit.archive import add_month, fill_month
from local.testkit.live import eventually
from local.testkit.locks import held
from local.testkit.payments import new_payment
from paybridge.archive import detach, locks
from paybridge.archive.read import list_archive
from paybridge.core.errors import PaybridgeError
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.wiring.api import STATEMENT_SECONDS_MAX
from tests.archive.conftest import MONTH, Archive

pytestmark = pytest.mark.integration

WRITERS = 4
PAYMENTS_A_SECOND = 300
WRITER = "writer"
# PostgreSQL itself ends a statement that waits for a lock longer than this, and the payment then fails. So without a
# failure no writer waited longer, however slow the machine is.
LOCK_SECONDS_MAX = "2s"
MORE_MONTHS = (date(2024, 4, 1), date(2024, 5, 1))
MONTHS = 1 + len(MORE_MONTHS)
# What the acceptance of a payment writes to.
WRITTEN_TABLES = ("payments", "outbox")

_LIMIT = Statement("SELECT current_setting('lock_timeout')")
_WAIT_LONGER = Statement("SET LOCAL lock_timeout = '1500ms'")
_COUNT = Statement("""
    SELECT count(*) FROM payments
    WHERE merchant_id = :merchant_id::uuid AND id >= uuid7_floor(now() - interval '1 day')
""")
_BLOCKED = Statement("""
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE NOT l.granted AND l.relation = CAST(:table_name::text AS regclass) AND a.application_name = 'writer'
      AND a.datname = current_database()
""")


@dataclass
class Written:
    """What the writers did: how many payments each has tried and has accepted, and what failed."""

    tried: Counter[int] = field(default_factory=Counter)
    accepted: Counter[int] = field(default_factory=Counter)
    limits: set[str] = field(default_factory=set)
    errors: list[PaybridgeError] = field(default_factory=list)

    def go_on(self) -> None:
        """Wait until each writer has accepted another payment."""
        before = Counter(self.accepted)
        eventually(
            lambda: self.errors or all(self.accepted[number] > before[number] for number in range(WRITERS)),
            "another payment of each writer",
        )


@contextmanager
def writing(address: DatabaseAddress, merchant_id: UUID) -> Iterator[Written]:
    """Accept payments as the API does until the end of the block, at a fixed rate where the machine is fast enough."""
    written, stop = Written(), threading.Event()

    def write(number: int) -> None:
        with closing(Database(address, WRITER, STATEMENT_SECONDS_MAX)) as database:
            written.limits.add(database.run(_LIMIT)[0][0])
            due = time.monotonic()
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = max(time.monotonic(), due + WRITERS / PAYMENTS_A_SECOND)
                written.tried[number] += 1
                try:
                    new_payment(database, merchant_id)
                except PaybridgeError as error:
                    written.errors.append(error)
                else:
                    written.accepted[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        written.go_on()
        yield written
        written.go_on()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def assert_all_accepted(archive: Archive, written: Written) -> None:
    assert written.errors == []
    assert written.limits == {LOCK_SECONDS_MAX}
    assert written.accepted == written.tried
    count = archive.database.run(_COUNT, merchant_id=archive.merchant_id)[0][0]
    assert count == written.accepted.total() > 0


def test_every_payment_is_accepted_while_months_are_detached_and_dropped(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for month in MORE_MONTHS:
        fill_month(archive.database, archive.merchant_id, month, 200)
    real, met = detach.partitions.detach, Counter[str]()
    watcher = Database(archive.address, "watcher")
    # Writers give up a lock sooner than a busy server may take to log the watcher in.
    watcher.run(_BLOCKED, table_name=WRITTEN_TABLES[0])

    def detached(transaction: Any, table: str, name: str) -> None:
        """Detach, and keep the transaction open until a writer has come to the table and waits."""
        real(transaction, table, name)
        if table in WRITTEN_TABLES:
            eventually(lambda: watcher.run(_BLOCKED, table_name=table)[0][0], f"a writer that waits for {table}")
            met[table] += 1

    monkeypatch.setattr(detach.partitions, "detach", detached)
    with closing(watcher), writing(archive.address, archive.merchant_id) as written:
        assert archive.run().archived == MONTHS
        written.go_on()
        archive.clock.move(8 * 86400.0)
        assert archive.run().dropped > 0
    # Writers met each detachment of a table that they write to, and went on.
    assert met == dict.fromkeys(WRITTEN_TABLES, MONTHS)
    assert [month["state"] for month in list_archive(archive.database)] == ["archived"] * MONTHS
    assert_all_accepted(archive, written)


def test_a_detachment_that_does_not_get_its_lock_lets_writers_pass_and_tries_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries_before_the_reader_ends = 3
    real, tries = detach.partitions.detach, Counter[str]()
    monkeypatch.setattr(locks, "PAUSE_SECONDS", 0.01)
    with writing(archive.address, archive.merchant_id) as written, ExitStack() as stack:
        # Such as a report: it reads all months, and so holds a lock on the table.
        stack.enter_context(held(archive.address, "SELECT count(*) FROM payments"))

        def detached(transaction: Any, table: str, name: str) -> None:
            tries[table] += 1
            if tries["payments"] > tries_before_the_reader_ends:
                stack.close()
                # From now on only writers lock the table, each briefly.
                transaction.run(_WAIT_LONGER)
            real(transaction, table, name)

        def paused(seconds: float) -> None:
            # Whatever had queued behind the detachment has passed before it is tried again.
            written.go_on()
            time.sleep(seconds)

        monkeypatch.setattr(detach.partitions, "detach", detached)
        monkeypatch.setattr(locks, "pause", paused)
        assert archive.run().archived == 1
    assert tries["payments"] == tries_before_the_reader_ends + 1
    assert_all_accepted(archive, written)


def test_a_new_month_is_attached_beside_an_archived_one(archive: Archive) -> None:
    archive.run()
    add_month(archive.database, date(2024, 6, 1))
    assert archive.run().archived == 1
    assert {month["month"] for month in list_archive(archive.database)} == {f"{MONTH:%Y-%m}", "2024-06"}
