"""The partitions of the coming months are created well before they are needed, whatever holds their tables."""

# ruff: noqa: S608 -- what is put into the SQL are names of this file.

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from local.servers import postgres
from local.testkit.live import eventually
from local.testkit.locks import held
from local.testkit.payments import new_merchant, new_payment
from local.testkit.servers import Postgres, address_of
from paybridge.core.errors import LockTimeout
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.partitions import Month, ensure_partition, months
from paybridge.operations.extend_partitions import MONTHS_AHEAD, ExtendedPartitions, extend_partitions

pytestmark = pytest.mark.integration

PARENTS = ("payments", "payment_attempts", "outbox", "webhook_deliveries", "webhook_attempts")
_BOUNDS = Statement("""
    SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = :parent::regclass ORDER BY c.relname
""")


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@dataclass
class Failures:
    """What could not be created."""

    found: dict[str, Exception] = field(default_factory=dict)

    def __call__(self, month: Month, error: Exception) -> None:
        self.found[month.partition] = error


def extend(database: Database) -> tuple[ExtendedPartitions, dict[str, Exception]]:
    failures = Failures()
    return extend_partitions(database, failures), failures.found


def names(database: Database, ahead: int) -> list[str]:
    """The partitions of the month that lies so many months ahead."""
    # The list begins with the last month.
    wanted = sorted({month.begins_at for month in months(database, ahead)})[ahead + 1]
    return [month.partition for month in months(database, ahead) if month.begins_at == wanted]


class TestExtendPartitions:
    def test_missing_months_are_created_once(self, database: Database) -> None:
        extend(database)
        missing = names(database, MONTHS_AHEAD)
        for partition in missing:
            database.run(Statement(f"DROP TABLE {partition}"))
        assert sorted(extend(database)[0].created) == sorted(missing)
        assert extend(database)[0].created == []

    def test_days_left_lead_to_the_first_month_without_a_partition(self, database: Database) -> None:
        after = max(month.begins_in_days for month in months(database, MONTHS_AHEAD))
        assert extend(database)[0].days_left == pytest.approx(after, abs=0.01)
        assert after > 31 * (MONTHS_AHEAD - 1)

    def test_a_report_on_one_table_keeps_out_its_partition_alone_and_for_no_longer(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        missing = names(database, 1)
        for partition in missing:
            database.run(Statement(f"DROP TABLE {partition}"))
        # So only the limit of the job itself can end its wait for the report.
        database.run(Statement("SET lock_timeout = 0"))
        with held(database_address, "SELECT count(*) FROM payments"):
            extended, failures = extend(database)
        (late,) = [partition for partition in missing if partition.startswith("payments_")]
        assert set(failures) == {late}
        assert isinstance(failures[late], LockTimeout)
        assert extended.days_left < 32
        assert extend(database)[0].created == [late]

    def test_while_a_report_runs_payments_are_accepted_as_quickly_as_ever(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        merchant_id = new_merchant(database)
        for partition in names(database, 1):
            database.run(Statement(f"DROP TABLE {partition}"))
        accepted, stop = 0, threading.Event()

        def accept() -> None:
            nonlocal accepted
            with closing(Database(database_address)) as own:
                # The server itself says whether a payment waits for longer, however slow the machine is.
                own.run(Statement("SET lock_timeout = '1s'"))
                while not stop.is_set():
                    new_payment(own, merchant_id)
                    accepted += 1

        reports = held(database_address, *(f"SELECT count(*) FROM {parent}" for parent in PARENTS))
        with reports, ThreadPoolExecutor(1) as threads:
            accepting = threads.submit(accept)
            try:
                eventually(lambda: accepted or accepting.done(), "a payment")
                for _ in range(3):
                    assert len(extend(database)[1]) == len(PARENTS)
            finally:
                stop.set()
            # Raises LockTimeout for a payment that waited.
            accepting.result()

    def test_two_at_once_create_each_partition_once(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        month = months(database, 40)[-1]
        errors: list[Exception] = []

        def create() -> None:
            with closing(Database(database_address)) as own:
                try:
                    ensure_partition(own, month)
                except Exception as error:  # noqa: BLE001 - the test looks at it
                    errors.append(error)

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [error for error in errors if not isinstance(error, LockTimeout)] == []
        assert month.partition in {name for name, _ in database.run(_BOUNDS, parent=month.parent)}


class TestTimeZones:
    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kathmandu", "UTC"])
    def test_partitions_begin_at_utc_months_in_every_zone(self, postgres_server: Postgres, zone: str) -> None:
        url = postgres_server.fresh_database()
        # Fifteen months of every table take seconds on a busy machine.
        with closing(postgres.connect(url, timeout_seconds=60)) as operator:
            operator.run(f"SET timezone TO '{zone}'")
            operator.run("SELECT ensure_partitions(14)")
        with closing(Database(address_of(url))) as database:
            for parent in PARENTS:
                found = {
                    name: bound for name, bound in database.run(_BOUNDS, parent=parent) if not name.endswith("default")
                }
                expected = {
                    month.partition: month.begins_at for month in months(database, 14) if month.parent == parent
                }
                begins = sorted(expected.values())
                assert len(found) == 16
                for name, bound in found.items():
                    after = begins[begins.index(expected[name]) + 1]
                    assert bound == f"FOR VALUES FROM ('{_floor(expected[name])}') TO ('{_floor(after)}')"
        postgres_server.drop_database(url)


def _floor(moment: datetime) -> str:
    milliseconds = int(moment.timestamp() * 1000)
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"
