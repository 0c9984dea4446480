"""The partitions of a month: find, freeze, detach, attach and drop them.

Tables are named as PostgreSQL quotes them, so a name can stand in a statement as it is. Every lock is short and waited
for in a transaction that does nothing else: whatever wants the table waits behind us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from paybridge.archive.domain import Column, month_of
from paybridge.database.database import Database, Statement, Transaction

# Writers that wait behind us give up after a little more than this (database.BATCH_LOCK_SECONDS_MAX).
LOCK_SECONDS_MAX = 0.2
TRIGGER = "archived_month_is_read_only"

# The tables of the schema public. The books in the schema ledger stay: their totals are checked against every transfer,
# and rebuilds write journals of old months. A table that others lead to by foreign keys comes after those, because
# PostgreSQL would look for their rows.
_PARTITIONS = Statement("""
    SELECT name, month FROM (
        SELECT parent.oid::regclass::text AS name,
               -- No other name has the text of a month at its end.
               to_date(substring(child.relname FROM '^' || parent.relname || '_([0-9]{4}_[0-9]{2})$'), 'YYYY_MM')
                   AS month,
               (SELECT count(*) FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = parent.oid
                    AND c.conparentid = 0 AND c.conrelid <> parent.oid) AS followers
        FROM pg_partitioned_table t
        JOIN pg_class parent ON parent.oid = t.partrelid
        JOIN pg_inherits i ON i.inhparent = parent.oid
        JOIN pg_class child ON child.oid = i.inhrelid
        JOIN pg_attribute key ON key.attrelid = parent.oid AND key.attnum = t.partattrs[0]
        WHERE key.atttypid = 'uuid'::regtype AND parent.relnamespace = 'public'::regnamespace
          AND NOT parent.relispartition) AS found
    WHERE month < :before::date
    -- Payments first, so that a reader finds a payment whole or not at all.
    ORDER BY month, followers, name <> 'payments', name
""")

# Every table whose months are archived, and the column that they are of.
_TABLES = Statement("""
    SELECT t.partrelid::regclass::text, key.attname::text
    FROM pg_partitioned_table t
    JOIN pg_class c ON c.oid = t.partrelid
    JOIN pg_attribute key ON key.attrelid = t.partrelid AND key.attnum = t.partattrs[0]
    WHERE key.atttypid = 'uuid'::regtype AND t.partdefid <> 0 AND c.relnamespace = 'public'::regnamespace
    ORDER BY 1
""")
_ENSURE = Statement("SELECT ensure_partition(:table_name::text, :month::date::timestamp AT TIME ZONE 'UTC')")

_BOUNDS = Statement("""
    SELECT uuid7_floor(:month::date::timestamp AT TIME ZONE 'UTC'),
           uuid7_floor((:month::date + interval '1 month') AT TIME ZONE 'UTC')
""")

_FIRST_OPEN_MONTH = Statement("""
    SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => :months::integer))::date
""")

_COLUMNS = Statement("""
    SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = :name::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    ORDER BY attnum
""")

_KEY = Statement("""
    SELECT a.attname::text FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, n)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = :name::regclass AND i.indisprimary
    ORDER BY k.n
""")

_PARTITION_KEY = Statement("""
    SELECT a.attname::text FROM pg_partitioned_table t
    JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = t.partattrs[0]
    WHERE t.partrelid = :name::regclass
""")

_FOREIGN_KEYS = Statement("""
    SELECT conname::text, replace(pg_get_constraintdef(oid), ' NOT VALID', '') FROM pg_constraint
    WHERE conrelid = :name::regclass AND contype = 'f' AND conparentid = 0 ORDER BY oid
""")

_STATE = Statement("""
    SELECT to_regclass(:name::text) IS NOT NULL,
           coalesce((SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name::text)), false)
""")

_FROZEN = Statement("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = :trigger::text AND NOT tgisinternal")

_REVISION = Statement("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class Partition:
    """The partition of a table for a month."""

    table: str
    month: date

    @property
    def name(self) -> str:
        """Return the name of the partition, with its schema."""
        return f"{self.table}_{self.month:%Y_%m}"


def is_of_month(name: str, month: date) -> bool:
    """Tell whether a partition is that of the month, by its name."""
    return name.endswith(f"_{month:%Y_%m}")


def find_before(database: Database, before: date) -> list[Partition]:
    """Return the partitions of months before `before`, in the order in which they are detached."""
    return [Partition(*row) for row in database.run(_PARTITIONS, before=before)]


def find_strays(database: Database, before: date, passed: Mapping[str, date]) -> list[Partition]:
    """Return the next month of each table that has older rows than `before` in its default partition.

    It is the first one, or the first after the month that `passed` has of the table.
    """
    end, _ = bounds(database, before)
    found = []
    for table, key in database.run(_TABLES):
        begin = bounds(database, passed[table])[1] if table in passed else UUID(int=0)
        first = f"SELECT {key} FROM {table}_default WHERE {key} >= '{begin}' AND {key} < '{end}' ORDER BY {key} LIMIT 1"
        found += [Partition(table, month_of(id_)) for (id_,) in database.run(Statement(first))]
    return found


def ensure(database: Database, partition: Partition) -> None:
    """Create the partition of a month that was never created, and move its rows there. Raises LockTimeout."""
    with database.transaction(LOCK_SECONDS_MAX) as transaction:
        transaction.run(_ENSURE, table_name=partition.table, month=partition.month)


def bounds(database: Database | Transaction, month: date) -> tuple[UUID, UUID]:
    """Return the first id of the month, and the first one after it."""
    low, high = database.run(_BOUNDS, month=month)[0]
    return low, high


def first_open_month(database: Database, months: int) -> date:
    """Return the month that began `months` months before the present one: only those before it are archived."""
    month: date = database.run(_FIRST_OPEN_MONTH, months=months)[0][0]
    return month


def columns_of(database: Database, table: str) -> tuple[Column, ...]:
    """Return the columns that are stored, with their types."""
    return tuple(Column(*row) for row in database.run(_COLUMNS, name=table))


def key_of(database: Database, table: str) -> tuple[str, ...]:
    """Return the columns of the primary key."""
    return tuple(name for (name,) in database.run(_KEY, name=table))


def schema_version(database: Database) -> str:
    """Return the revision of the schema."""
    version: str = database.run(_REVISION)[0][0]
    return version


def state_of(database: Database | Transaction, name: str) -> tuple[bool, bool]:
    """Tell whether there is such a table, and whether it is attached."""
    exists, is_attached = database.run(_STATE, name=name)[0]
    return exists, is_attached


def freeze(database: Database, name: str) -> None:
    """Refuse every change of the table from now on. Raises LockTimeout."""
    with database.transaction(LOCK_SECONDS_MAX) as transaction:
        _refuse_changes(transaction, name)


def find_frozen(database: Database) -> set[str]:
    """Return the tables whose changes are refused."""
    return {name for (name,) in database.run(_FROZEN, trigger=TRIGGER)}


def unfreeze(database: Database, name: str) -> None:
    """Allow changes of the table again. Raises LockTimeout."""
    with database.transaction(LOCK_SECONDS_MAX) as transaction:
        transaction.run(Statement(f"DROP TRIGGER IF EXISTS {TRIGGER} ON {name}"))


def detach(transaction: Transaction, table: str, name: str) -> None:
    """Detach the partition, which stays a table. Raises LockTimeout."""
    if state_of(transaction, name)[1]:
        transaction.run(Statement(f"ALTER TABLE {table} DETACH PARTITION {name}"))


def drop(transaction: Transaction, name: str) -> None:
    """Drop a table that is detached; do nothing if it is gone. Raises LockTimeout."""
    exists, is_attached = state_of(transaction, name)
    assert not is_attached
    if exists:
        transaction.run(Statement(f"DROP TABLE {name}"))


def prepare(transaction: Transaction, table: str, name: str) -> None:
    """Create an empty table like a partition of `table`, with its indexes, or do nothing if there is one."""
    if not state_of(transaction, name)[0]:
        what = "DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES INCLUDING STORAGE"
        transaction.run(Statement(f"CREATE TABLE {name} (LIKE {table} INCLUDING {what})"))


def fit(database: Database, table: str, name: str, low: UUID, high: UUID) -> None:
    """Give a detached table what attaching would otherwise check under a lock on all partitions: keys and bounds.

    Also refuse changes of it. Raises LockTimeout.
    """
    with database.transaction(LOCK_SECONDS_MAX) as transaction:
        key = transaction.run(_PARTITION_KEY, name=table)[0][0]
        within = f"CHECK ({key} IS NOT NULL AND {key} >= '{low}' AND {key} < '{high}')"
        transaction.run(Statement(f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS within_month"))
        transaction.run(Statement(f"ALTER TABLE {name} ADD CONSTRAINT within_month {within}"))
        present = {definition for _, definition in transaction.run(_FOREIGN_KEYS, name=name)}
        for key_name, definition in transaction.run(_FOREIGN_KEYS, name=table):
            if definition not in present:
                transaction.run(Statement(f"ALTER TABLE {name} ADD CONSTRAINT {key_name} {definition} NOT VALID"))
        _refuse_changes(transaction, name)
    # The rows are compared without a lock that keeps writers of the other table waiting.
    for key_name, _ in database.run(_FOREIGN_KEYS, name=name):
        database.run(Statement(f"ALTER TABLE {name} VALIDATE CONSTRAINT {key_name}"))


def attach(transaction: Transaction, table: str, name: str, low: UUID, high: UUID) -> None:
    """Attach a table that fits. Raises LockTimeout."""
    if not state_of(transaction, name)[1]:
        transaction.run(
            Statement(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
        )


def analyze(database: Database, names: Sequence[str]) -> None:
    """Let the planner know the tables."""
    for name in names:
        database.run(Statement(f"ANALYZE {name}"))


def _refuse_changes(transaction: Transaction, name: str) -> None:
    transaction.run(
        Statement(
            f"CREATE OR REPLACE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE OR DELETE ON {name} "
            f"FOR EACH ROW EXECUTE FUNCTION public.{TRIGGER}()"
        )
    )
