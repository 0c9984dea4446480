"""A month goes from the database to the archive and back, and nothing of it is lost on the way."""

# ruff: noqa: S608 -- what is put into the SQL are names of tables.

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from local.testkit.archive import fill_month, partition, payment_id
from local.testkit.locks import held
from paybridge.archive import choose, count, detach, export, locks, restore, work
from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import MonthState, prefix_of
from paybridge.archive.order import RESTORED_DAYS, order_restore, order_run
from paybridge.archive.ports import ArchiveDamaged, ObjectStore
from paybridge.archive.read import ArchivedKind, Location, find_archived, list_archive, show_month
from paybridge.archive.store import lock
from paybridge.archive.work import work_on_archive
from paybridge.core.errors import ConstraintViolated
from paybridge.core.times import parse_time
from paybridge.database.database import Database, Statement
from tests.archive.conftest import BUCKET, MONTH, PAYMENTS, RUN_SECONDS, Archive, Killed, dying

pytestmark = pytest.mark.integration

FILLED = ("payments", "operations", "outbox", "webhook_deliveries", "webhook_attempts")
DAY_SECONDS = 86400.0
STRANGER = "00000000-0000-4000-8000-00000000abcd"

_COLUMNS = Statement("""
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = :name::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
""")
_IS_ATTACHED = Statement("SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name::text)")
_END_HOLDER = Statement("""
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
    WHERE locktype = 'advisory' AND objid = :lock::bigint::oid
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_EXISTS = Statement("SELECT to_regclass(:name::text) IS NOT NULL")


def rows_of(database: Database, table: str) -> list[dict[str, str | None]]:
    """Every row of the month, each value as PostgreSQL's text."""
    name = partition(table, MONTH)
    columns = [f"{column}::text" for (column,) in database.run(_COLUMNS, name=name)]
    found = database.run(Statement(f"SELECT row_to_json(r) FROM (SELECT {', '.join(columns)} FROM {name}) AS r"))
    return in_order([row[0] for row in found])


def in_order(rows: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def is_attached(database: Database, table: str) -> bool:
    found = database.run(_IS_ATTACHED, name=partition(table, MONTH))
    return bool(found and found[0][0])


def exists(database: Database, table: str) -> bool:
    return bool(database.run(_EXISTS, name=partition(table, MONTH))[0][0])


def states(archive: Archive) -> tuple[str, set[str]]:
    """Where the month and its tables are."""
    view = show_month(archive.database, MONTH)
    assert view is not None
    return view["state"], {table["state"] for table in view["tables"]}


def text_of(value: Any) -> str | None:
    """The value as PostgreSQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "+00"
    return str(value)


def read_by_duckdb(content: bytes, file: Path) -> list[dict[str, str | None]]:
    """The rows of a file, by another implementation than the one that wrote it."""
    file.write_bytes(content)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relation = connection.sql(f"SELECT * FROM read_parquet('{file}')")
        names = relation.columns
        return [dict(zip(names, map(text_of, row), strict=True)) for row in relation.fetchall()]


def order(archive: Archive, days: int = RESTORED_DAYS) -> None:
    """Order the restore of the month."""
    month = order_restore(archive.database, archive.clock, MONTH, days)
    assert month is not None
    assert month.state in {MonthState.RESTORING, MonthState.RESTORED}


def preceded_by(first: Callable[[], object], real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with something that happens before it."""

    def call(*arguments: Any) -> Any:
        first()
        return real(*arguments)

    return call


class TestArchiving:
    def test_another_implementation_reads_every_value(self, archive: Archive, tmp_path: Path) -> None:
        before = {table: rows_of(archive.database, table) for table in FILLED}
        worked = archive.run()
        assert (worked.begun, worked.archived, worked.waiting) == (1, 1, {})
        objects = archive.objects()
        for table in FILLED:
            manifest = json.loads(objects[f"{prefix_of(MONTH, table)}/manifest.json"])
            found: list[dict[str, str | None]] = []
            for file in manifest["files"]:
                content = objects[f"{prefix_of(MONTH, table)}/{file['name']}"]
                assert hashlib.sha256(content).hexdigest() == file["sha256"]
                found += read_by_duckdb(content, tmp_path / "file.parquet")
            assert (manifest["rows"], manifest["month"]) == (len(before[table]), "2024-03")
            assert in_order(found) == before[table]

    def test_every_table_has_a_manifest_and_none_has_the_month_any_more(self, archive: Archive) -> None:
        archive.run()
        assert states(archive) == ("archived", {"detached"})
        view = show_month(archive.database, MONTH)
        assert view is not None
        names = {table["table"] for table in view["tables"]}
        assert names >= {*FILLED, "payment_attempts", "operation_attempts", "fraud_decisions", "notifications"}
        # The books stay.
        assert not any(name.startswith("ledger.") for name in names)
        assert archive.database.run(_IS_ATTACHED, name=f"ledger.{partition('journals', MONTH)}") == [[True]]
        assert {key.rsplit("/", 1)[0] for key in archive.objects() if key.endswith("/manifest.json")} == {
            prefix_of(MONTH, name) for name in names
        }
        assert not any(is_attached(archive.database, name) for name in names)
        assert all(exists(archive.database, name) for name in names)

    def test_the_tables_are_dropped_in_a_later_run(self, archive: Archive) -> None:
        archive.run()
        archive.clock.move(6 * DAY_SECONDS)
        assert archive.run().dropped == 0
        archive.clock.move(2 * DAY_SECONDS)
        worked = archive.run()
        assert worked.dropped > len(FILLED)
        assert states(archive) == ("archived", {"dropped"})
        assert not any(exists(archive.database, table) for table in FILLED)

    def test_nothing_is_chosen_while_it_is_off(self, archive: Archive) -> None:
        for settings in (
            replace(archive.services.settings, after_months=0),
            replace(archive.services.settings, bucket=""),
        ):
            services = replace(archive.services, settings=settings)
            assert work_on_archive(services, RUN_SECONDS).begun == 0
        assert list_archive(archive.database) == []

    def test_months_that_are_not_old_enough_stay(self, archive: Archive) -> None:
        present = datetime.now(UTC)
        months_since = (present.year - MONTH.year) * 12 + present.month - MONTH.month
        settings = replace(archive.services.settings, after_months=months_since)
        assert work_on_archive(replace(archive.services, settings=settings), RUN_SECONDS).begun == 0
        settings = replace(settings, after_months=months_since - 1)
        assert work_on_archive(replace(archive.services, settings=settings), RUN_SECONDS).begun == 1


class TestStrays:
    def test_a_month_that_never_had_partitions_is_archived_all_the_same(self, archive: Archive) -> None:
        month = date(2024, 4, 1)
        fill_month(archive.database, archive.merchant_id, month, 5, into_default=True)
        assert archive.run().archived == 2
        view = show_month(archive.database, month)
        assert view is not None
        assert {table["table"]: table["rows"] for table in view["tables"] if table["rows"]} == {
            **dict.fromkeys(("payments", "operations", "webhook_deliveries", "webhook_attempts"), 5),
            "outbox": 15,
        }


OPEN = {
    "unsettled payments": (
        "UPDATE payments SET refunding_minor = 1 WHERE id = :id::uuid",
        "UPDATE payments SET refunding_minor = 0 WHERE id = :id::uuid",
    ),
    "unpublished events": (
        "UPDATE outbox SET published_at = NULL WHERE payment_id = :id::uuid AND sequence = 3",
        "UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid AND sequence = 3",
    ),
    "pending webhooks": (
        "UPDATE webhook_deliveries SET status = 'pending', finished_at = NULL WHERE payment_id = :id::uuid",
        "UPDATE webhook_deliveries SET status = 'delivered', finished_at = now() WHERE payment_id = :id::uuid",
    ),
    "running reconciliations": (
        "INSERT INTO reconciliations (id, day, began_at, gateways, phase, actor, created_at) "
        "VALUES (:id::uuid, '2024-04-08', now(), '{default}', 'statement', 'a test', now())",
        "DELETE FROM reconciliations WHERE id = :id::uuid",
    ),
    "operations that the gateway will be asked about": (
        "INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at) "
        "SELECT id, id, merchant_id, 'late', now(), now() FROM payments WHERE id = :id::uuid",
        "DELETE FROM late_checks WHERE payment_id = :id::uuid",
    ),
}


class TestOpenWork:
    @pytest.mark.parametrize("noun", OPEN)
    def test_a_month_with_open_work_waits_with_the_reason(self, noun: str, archive: Archive) -> None:
        begin, end = OPEN[noun]
        id_ = payment_id(archive.database, MONTH, 1)
        archive.database.run(Statement(begin), id=id_)
        assert archive.run().waiting == {"2024-03": f"1 {noun}"}
        assert (states(archive), archive.objects()) == (("waiting", set()), {})
        # It is not frozen, and is looked at again a day later.
        archive.database.run(Statement(end), id=id_)
        assert archive.run().begun == 0
        order_run(archive.database)
        assert archive.run().begun == 1

    def test_a_waiting_month_is_looked_at_again_after_a_day(self, archive: Archive) -> None:
        begin, end = OPEN["pending webhooks"]
        id_ = payment_id(archive.database, MONTH, 1)
        archive.database.run(Statement(begin), id=id_)
        archive.run()
        archive.database.run(Statement(end), id=id_)
        archive.clock.move(DAY_SECONDS)
        assert archive.run().archived == 1


class TestFrozenMonths:
    def test_nothing_changes_a_row_once_its_month_is_chosen(self, archive: Archive) -> None:
        choose.choose_months(archive.services, Deadline.after(RUN_SECONDS))
        id_ = payment_id(archive.database, MONTH, 1)
        for sql in (
            "UPDATE payments SET refunding_minor = 1 WHERE id = :id::uuid",
            "DELETE FROM outbox WHERE payment_id = :id::uuid",
            "INSERT INTO operation_attempts (operation_id, number, status, started_at, finished_at) "
            "VALUES (:id::uuid, 1, 'unknown', now(), now())",
        ):
            with pytest.raises(ConstraintViolated) as caught:
                archive.database.run(Statement(sql), id=id_)
            assert caught.value.constraint == "archived_month_is_read_only"

    def test_a_month_that_cannot_be_frozen_is_as_it_was(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "TRIES_MAX", 1)
        with held(archive.address, f"LOCK TABLE {partition('outbox', MONTH)} IN ROW EXCLUSIVE MODE"):
            assert archive.run().waiting == {"2024-03": choose.HELD}
        archive.database.run(Statement(OPEN["unsettled payments"][0]), id=payment_id(archive.database, MONTH, 1))


class TestRestoring:
    def test_a_detached_month_is_attached_again(self, archive: Archive) -> None:
        before = {table: rows_of(archive.database, table) for table in FILLED}
        archive.run()
        order(archive)
        assert archive.run().restored == 1
        assert states(archive) == ("restored", {"restored"})
        assert all(is_attached(archive.database, table) for table in FILLED)
        assert {table: rows_of(archive.database, table) for table in FILLED} == before

    def test_a_dropped_month_is_loaded_from_the_archive(self, archive: Archive) -> None:
        before = {table: rows_of(archive.database, table) for table in FILLED}
        archive.run()
        archive.clock.move(8 * DAY_SECONDS)
        archive.run()
        assert not exists(archive.database, "payments")
        order(archive)
        assert archive.run().restored == 1
        assert {table: rows_of(archive.database, table) for table in FILLED} == before
        id_ = payment_id(archive.database, MONTH, 1)
        found = archive.database.run(Statement("SELECT status FROM payments WHERE id = :id::uuid"), id=id_)
        assert found == [["succeeded"]]

    def test_a_restored_month_is_read_only(self, archive: Archive) -> None:
        archive.run()
        order(archive)
        archive.run()
        with pytest.raises(ConstraintViolated):
            archive.database.run(Statement(OPEN["unsettled payments"][0]), id=payment_id(archive.database, MONTH, 1))

    def test_it_goes_again_when_its_time_is_over(self, archive: Archive) -> None:
        archive.run()
        order(archive)
        archive.run()
        archive.clock.move(6 * DAY_SECONDS)
        archive.run()
        assert is_attached(archive.database, "payments")
        # A second order keeps it for longer.
        order(archive)
        archive.clock.move(2 * DAY_SECONDS)
        archive.run()
        assert is_attached(archive.database, "payments")
        archive.clock.move(6 * DAY_SECONDS)
        assert archive.run().archived == 1
        assert states(archive) == ("archived", {"detached"})
        archive.clock.move(8 * DAY_SECONDS)
        archive.run()
        assert not exists(archive.database, "payments")

    @pytest.mark.parametrize("step", ["restore_tables", "is_read"])
    def test_a_longer_order_counts_while_the_function_works(
        self, step: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive.run()
        order(archive)
        if step == "is_read":
            archive.run()
            archive.clock.move(8 * DAY_SECONDS)
        module: Any = work.open_work if step == "is_read" else work
        monkeypatch.setattr(module, step, preceded_by(partial(order, archive, days=30), getattr(module, step)))
        until = archive.clock.now() + timedelta(days=30)
        archive.run()
        view = show_month(archive.database, MONTH)
        assert view is not None
        assert (view["state"], is_attached(archive.database, "payments")) == ("restored", True)
        assert parse_time(view["restored_until"]) >= until

    def test_a_month_that_is_not_archived_is_not_restored(self, archive: Archive) -> None:
        assert order_restore(archive.database, archive.clock, date(2024, 4, 1)) is None


def change(archive: Archive, name: str, sql: str) -> None:
    """Change a table that refuses changes, as an operator could."""
    archive.database.run(Statement(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
    archive.database.run(Statement(sql))


class Damaging:
    """A store that changes what it is given, or loses it."""

    def __init__(self, store: ObjectStore, damage: Callable[[bytes], bytes]) -> None:
        self._store, self._damage = store, damage

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self._store.put(bucket, key, self._damage(content) if key.endswith(".parquet") else content)

    def get(self, bucket: str, key: str) -> bytes:
        return self._store.get(bucket, key)


class TestDamage:
    def test_a_file_that_is_not_what_was_written_detaches_nothing(self, archive: Archive) -> None:
        damaged = replace(archive.services, objects=Damaging(archive.services.objects, lambda _: b"PAR1 something"))
        worked = work_on_archive(damaged, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert is_attached(archive.database, "payments")
        # The next run, with a store that works, goes on.
        assert archive.run().archived == 1

    @pytest.mark.parametrize("where", ["min(", "max("])
    def test_a_row_that_goes_after_the_export_detaches_nothing(
        self, where: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = partition("webhook_attempts", MONTH)
        gone = f"DELETE FROM {name} WHERE ctid = (SELECT {where}ctid) FROM {name})"
        monkeypatch.setattr(detach, "count_rows", preceded_by(partial(change, archive, name, gone), detach.count_rows))
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert is_attached(archive.database, "webhook_attempts")

    @pytest.mark.parametrize("n", [1, 350, 701])
    def test_a_row_that_appears_after_the_export_detaches_nothing(
        self, n: int, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = partition("webhook_attempts", MONTH)
        new = (
            f"INSERT INTO {name} (delivery_id, number, status, started_at, finished_at) "
            f"SELECT uuid7_floor('2024-03-01 00:00Z'::timestamptz + {n} * interval '50 ms'), 2, 'delivered', now(), "
            "now() ON CONFLICT DO NOTHING"
        )
        monkeypatch.setattr(detach, "count_rows", preceded_by(partial(change, archive, name, new), detach.count_rows))
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert is_attached(archive.database, "webhook_attempts")

    def test_a_restored_month_that_was_changed_does_not_go_again(self, archive: Archive) -> None:
        archive.run()
        order(archive, days=1)
        archive.run()
        name = partition("webhook_attempts", MONTH)
        change(archive, name, f"DELETE FROM {name} WHERE ctid = (SELECT min(ctid) FROM {name})")
        archive.clock.move(2 * DAY_SECONDS)
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert is_attached(archive.database, "webhook_attempts")

    def test_rows_in_the_way_of_a_restore_are_not_attached(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive.run()
        archive.clock.move(8 * DAY_SECONDS)
        archive.run()
        order(archive)
        name = partition("webhook_attempts", MONTH)
        new = (
            f"INSERT INTO {name} (delivery_id, number, status, started_at, finished_at) "
            "SELECT uuid7_floor('2024-03-31 00:00Z'), 2, 'delivered', now(), now()"
        )
        real = restore._load

        def loaded(services: Any, table: Any, deadline: Any) -> bool:
            if table.table == "webhook_attempts":
                archive.database.run(Statement(new))
            return real(services, table, deadline)

        monkeypatch.setattr(restore, "_load", loaded)
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert not is_attached(archive.database, "webhook_attempts")

    @pytest.mark.parametrize("name", ["manifest.json", "part"])
    def test_nothing_is_dropped_whose_archive_is_damaged(self, name: str, archive: Archive) -> None:
        archive.run()
        for key in archive.objects():
            if key.startswith(f"{prefix_of(MONTH, 'operations')}/{name}"):
                archive.s3.put_object(Bucket=BUCKET, Key=key, Body=b"something else")
        archive.clock.move(8 * DAY_SECONDS)
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], ArchiveDamaged)
        assert exists(archive.database, "operations")

    def test_a_lost_file_is_not_dropped_either(self, archive: Archive) -> None:
        archive.run()
        lost = next(key for key in archive.objects() if "/outbox/part" in key)
        archive.s3.delete_object(Bucket=BUCKET, Key=lost)
        archive.clock.move(8 * DAY_SECONDS)
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert str(worked.failed["2024-03"]) == f"s3://{BUCKET}/{lost} is gone."
        assert exists(archive.database, "outbox")


# Where a process may die, in the order in which a month comes by: between the store and the database, and at each
# change of tables.
DEATHS: list[tuple[Any, str]] = [
    (export.tables, "add_file"),
    (export, "manifest_of"),
    (detach.partitions, "detach"),
    (detach.partitions, "drop"),
    (restore.partitions, "prepare"),
    (restore.rows, "write"),
    (restore.partitions, "fit"),
    (restore.partitions, "attach"),
]


class OneSlice(Deadline):
    """A deadline that is over at the second slice."""

    def __init__(self) -> None:
        super().__init__(0.0)
        object.__setattr__(self, "asked", itertools.count())

    def is_over(self) -> bool:
        # Once for the table, and once for the slice.
        return next(self.asked) >= 2  # type: ignore[attr-defined]


def live(archive: Archive) -> None:
    """Archive the month, drop it, and restore it, each from where it is."""
    archive.run()
    if states(archive)[0] in {"archiving", "archived"}:
        archive.clock.move(8 * DAY_SECONDS)
        archive.run()
        order(archive)
    archive.run()


class TestDeaths:
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_the_next_run_goes_on(self, after: bool, archive: Archive) -> None:
        before = {table: rows_of(archive.database, table) for table in FILLED}
        for module, name in DEATHS:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(module, name, dying(getattr(module, name), after=after))
                with pytest.raises(Killed):
                    live(archive)
        live(archive)
        assert {table: rows_of(archive.database, table) for table in FILLED} == before
        assert states(archive) == ("restored", {"restored"})

    def test_short_runs_end_what_they_begin(self, archive: Archive) -> None:
        before = {table: rows_of(archive.database, table) for table in FILLED}
        runs = 0
        while not (found := show_month(archive.database, MONTH)) or found["state"] != "archived":
            # One slice at least, whatever the clock says.
            archive.run(seconds=0.05)
            runs += 1
            assert runs < 1000
        order(archive)
        while states(archive)[0] != "restored":
            archive.run(seconds=0.05)
        assert {table: rows_of(archive.database, table) for table in FILLED} == before

    def test_a_month_that_takes_longer_to_count_than_a_run_has_is_counted_in_several(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time is over after each slice, and no slice is counted twice."""
        slices = []
        with monkeypatch.context() as patched:
            real = count.ensure_rows
            patched.setattr(count, "ensure_rows", lambda *a: (slices.append((a[2].table, a[4])), real(*a)))
            patched.setattr(work, "detach_tables", lambda s, t, _: detach.detach_tables(s, t, OneSlice()))
            for _ in range(100):
                archive.run()
                if states(archive)[0] == "archived":
                    break
        assert len(slices) == len(set(slices)) > len(FILLED)
        assert states(archive) == ("archived", {"detached"})

    def test_a_second_run_at_the_same_time_does_nothing(self, archive: Archive) -> None:
        with closing(archive.database.another()) as other, other.session() as session:
            assert lock.take(session)
            assert work_on_archive(archive.services, RUN_SECONDS).is_busy
        assert archive.run().archived == 1

    @pytest.mark.parametrize("fails", [False, True])
    def test_the_next_run_works_though_the_server_has_not_noticed_the_end_of_this_one(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch, *, fails: bool
    ) -> None:
        with ExitStack() as open_connections, monkeypatch.context() as patched:
            close_later = partial(open_connections.callback, Database.close)
            patched.setattr(Database, "close", lambda database: close_later(database))
            if fails:
                with monkeypatch.context() as failing, pytest.raises(Killed):
                    failing.setattr(work, "choose_months", dying(choose.choose_months, after=False, call_number=1))
                    work_on_archive(archive.services, RUN_SECONDS)
            assert not work_on_archive(archive.services, RUN_SECONDS).is_busy
            assert not work_on_archive(archive.services, RUN_SECONDS).is_busy

    def test_a_run_whose_lock_is_lost_ends_as_always(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            end = partial(archive.database.run, _END_HOLDER, lock=lock.LOCK)
            patched.setattr(work, "choose_months", preceded_by(end, work.choose_months))
            assert work_on_archive(archive.services, RUN_SECONDS).archived == 1
        assert not archive.run().is_busy

    def test_a_run_that_lost_its_lock_does_not_write_a_file_twice(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, calls = export.tables.add_file, 0

        def overtaken(*arguments: Any) -> bool:
            nonlocal calls
            calls += 1
            if calls == 1:
                # Another run exports the same rows first.
                with closing(archive.database.another()) as other:
                    services = replace(archive.services, database=other)
                    tables = export.tables.of_month(other, MONTH)
                    export.export_table(services, tables[0], Deadline.after(RUN_SECONDS))
            return real(*arguments)

        monkeypatch.setattr(export.tables, "add_file", overtaken)
        archive.run()
        assert archive.run().archived == 1
        view = show_month(archive.database, MONTH)
        assert view is not None
        assert {table["rows"] for table in view["tables"] if table["table"] == "payments"} == {PAYMENTS}


class TestFindArchived:
    def test_the_merchant_and_staff_learn_where_it_is_and_strangers_nothing(self, archive: Archive) -> None:
        find = partial(find_archived, archive.database, ArchivedKind.PAYMENT)
        ids = [payment_id(archive.database, MONTH, number) for number in (1, 350, PAYMENTS)]
        archive.run()
        where = Location("2024-03", "payments/2024-03/payments")
        assert {find(archive.merchant_id, id_) for id_ in ids} == {where}
        assert {find(None, id_) for id_ in ids} == {where}
        assert {find(STRANGER, id_) for id_ in ids} == {None}
        unknown = payment_id(archive.database, MONTH, PAYMENTS + 1)
        assert (find(archive.merchant_id, unknown), find(None, unknown)) == (None, None)

    def test_a_refund_of_a_later_month_leads_to_its_payment(self, archive: Archive) -> None:
        id_ = payment_id(archive.database, MONTH, 1)
        (refund_id,) = archive.database.run(
            Statement("""
                INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number,
                    started_at, gateway_id, correlation_id, created_at, updated_at)
                SELECT uuid7_floor(now()), id, merchant_id, 'refund', 'default', 1, 'succeeded', 1, now(), 're_1', 'c',
                       now(), now()
                FROM payments WHERE id = :id::uuid RETURNING id
            """),
            id=id_,
        )[0]
        archive.run()
        find = partial(find_archived, archive.database, ArchivedKind.REFUND)
        assert find(archive.merchant_id, refund_id) == Location("2024-03", "payments/2024-03/payments")
        assert find(None, refund_id) is not None
        assert find(STRANGER, refund_id) is None
