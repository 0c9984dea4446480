"""Payments are accepted while old months leave their tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import pytest

from local.testkit.archive import add_month, fill_month
from local.testkit.payments import new_payment
from paybridge.archive.read import list_archive
from paybridge.core.errors import PaybridgeError
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.wiring.api import STATEMENT_SECONDS_MAX
from tests.archive.conftest import MONTH, Archive

pytestmark = pytest.mark.integration

WRITERS = 4
PAYMENTS_A_SECOND = 300
MORE_MONTHS = (date(2024, 4, 1), date(2024, 5, 1))
_COUNT = Statement("""
    SELECT count(*) FROM payments
    WHERE merchant_id = :merchant_id::uuid AND id >= uuid7_floor(now() - interval '1 day')
""")


@dataclass
class Written:
    """What the writers saw."""

    seconds: list[float] = field(default_factory=list)
    errors: list[PaybridgeError] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        return sorted(self.seconds)[min(len(self.seconds) * percent // 100, len(self.seconds) - 1)]


@contextmanager
def writing(address: DatabaseAddress, merchant_id: UUID) -> Iterator[Written]:
    """Accept payments as the API does, at a fixed rate, until the end of the block."""
    written, stop = Written(), threading.Event()

    def write() -> None:
        with closing(Database(address, "writer", STATEMENT_SECONDS_MAX)) as database:
            due = time.monotonic()
            while not stop.is_set():
                began = time.monotonic()
                try:
                    new_payment(database, merchant_id)
                except PaybridgeError as error:
                    written.errors.append(error)
                written.seconds.append(time.monotonic() - began)
                due += WRITERS / PAYMENTS_A_SECOND
                stop.wait(max(0.0, due - time.monotonic()))

    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_no_payment_fails_while_months_are_detached_and_dropped(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    for month in MORE_MONTHS:
        fill_month(archive.database, archive.merchant_id, month, 200)
    with writing(archive.address, archive.merchant_id) as written:
        archive.run()
        archive.clock.move(8 * 86400.0)
        archive.run()
    assert [month["state"] for month in list_archive(archive.database)] == ["archived"] * 3
    assert written.errors == []
    # Every payment that was accepted is there.
    count = archive.database.run(_COUNT, merchant_id=archive.merchant_id)[0][0]
    assert count == len(written.seconds) > 0
    with capsys.disabled():
        print(  # noqa: T201 - the figures are worth reading
            f"\n{len(written.seconds)} payments while {len(MORE_MONTHS) + 1} months were archived and dropped: "
            f"p50 {written.percentile(50) * 1000:.0f} ms, p99 {written.percentile(99) * 1000:.0f} ms, "
            f"longest {max(written.seconds) * 1000:.0f} ms"
        )


def test_a_new_month_is_attached_beside_an_archived_one(archive: Archive) -> None:
    archive.run()
    add_month(archive.database, date(2024, 6, 1))
    assert archive.run().archived == 1
    assert {month["month"] for month in list_archive(archive.database)} == {f"{MONTH:%Y-%m}", "2024-06"}
