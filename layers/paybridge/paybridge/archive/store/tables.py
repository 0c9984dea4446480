"""The tables of an archived month, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import orjson

from paybridge.archive.domain import ArchivedFile, ArchivedTable, Column, TableState
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row

_COLUMNS = """
    month, table_name, state, position, bucket, prefix, schema_version, columns, key_columns, cursor, row_count,
    byte_count, file_count, files_done, manifest_hash, detached_at
"""
_OF_MONTH = Statement(f"SELECT {_COLUMNS} FROM archives WHERE month = :month::date ORDER BY position")
_ALL = Statement(f"SELECT {_COLUMNS} FROM archives ORDER BY month, position")
_ADD = Statement("""
    INSERT INTO archives (month, table_name, state, position, bucket, prefix, schema_version, columns, key_columns,
                          started_at)
    VALUES (:month::date, :table_name::text, 'exporting', :position::smallint, :bucket::text, :prefix::text,
            :schema_version::text, :columns::json, :key_columns::json, :now::timestamptz)
    ON CONFLICT (month, table_name) DO NOTHING
""")
# Only from where the file began: another process may have exported it in the meantime.
_ADVANCE = Statement("""
    UPDATE archives
    SET cursor = :cursor::json, row_count = row_count + :rows::integer, byte_count = byte_count + :bytes::bigint,
        file_count = :number::integer
    WHERE month = :month::date AND table_name = :table_name::text AND state = 'exporting'
      AND file_count = :number::integer - 1
    RETURNING file_count
""")
_ADD_FILE = Statement("""
    INSERT INTO archive_files (month, table_name, number, name, row_count, byte_count, file_hash, keys_hash, first_key,
                               last_key)
    VALUES (:month::date, :table_name::text, :number::integer, :name::text, :rows::integer, :bytes::bigint,
            :file_hash::text, :keys_hash::text, :first_key::json, :last_key::json)
""")
_FILES = Statement("""
    SELECT number, name, row_count, byte_count, file_hash, keys_hash, first_key, last_key FROM archive_files
    WHERE month = :month::date AND table_name = :table_name::text ORDER BY number
""")
_MOVE = Statement("""
    UPDATE archives
    SET state = :after::text, files_done = 0, manifest_hash = coalesce(:manifest_hash::text, manifest_hash),
        verified_at = CASE WHEN :after::text = 'verified' THEN :now::timestamptz ELSE verified_at END,
        detached_at = CASE WHEN :after::text = 'detached' THEN :now::timestamptz ELSE detached_at END,
        dropped_at = CASE WHEN :after::text = 'dropped' THEN :now::timestamptz ELSE dropped_at END,
        restored_at = CASE WHEN :after::text = 'restored' THEN :now::timestamptz ELSE restored_at END
    WHERE month = :month::date AND table_name = :table_name::text AND state = :before::text
    RETURNING state
""")
_DONE = Statement("""
    UPDATE archives SET files_done = :done::integer
    WHERE month = :month::date AND table_name = :table_name::text AND state = :state::text
      AND files_done = :done::integer - 1
    RETURNING files_done
""")

_FORGET_OWNERS = Statement("DELETE FROM archived_owners WHERE month = :month::date AND kind IN ('payment', 'refund')")
_FORGET_FILES = Statement("DELETE FROM archive_files WHERE month = :month::date")
_FORGET = Statement("DELETE FROM archives WHERE month = :month::date")


def of_month(database: Database | Transaction, month: date) -> list[ArchivedTable]:
    """Return the tables of a month, in the order in which they are detached."""
    return [_from_row(row) for row in database.run(_OF_MONTH, month=month)]


def all_tables(database: Database) -> list[ArchivedTable]:
    """Return the tables of every month, oldest first."""
    return [_from_row(row) for row in database.run(_ALL)]


def add(transaction: Transaction, table: ArchivedTable, now: datetime) -> None:
    """Begin the export of a table; do nothing if it has begun."""
    transaction.run(
        _ADD,
        month=table.month,
        table_name=table.table,
        position=table.position,
        bucket=table.bucket,
        prefix=table.prefix,
        schema_version=table.schema_version,
        columns=_json([[column.name, column.type] for column in table.columns]),
        key_columns=_json(table.key_columns),
        now=now,
    )


def add_file(transaction: Transaction, table: ArchivedTable, file: ArchivedFile) -> bool:
    """Note a file that is stored and verified. Return False if another process was first."""
    last_key = _json(file.last_key)
    place = {"month": table.month, "table_name": table.table, "number": file.number}
    sizes = {"rows": file.row_count, "bytes": file.byte_count}
    if not transaction.run(_ADVANCE, cursor=last_key, **place, **sizes):
        return False
    transaction.run(
        _ADD_FILE,
        **place,
        **sizes,
        name=file.name,
        file_hash=file.file_hash,
        keys_hash=file.keys_hash,
        first_key=_json(file.first_key),
        last_key=last_key,
    )
    return True


def files_of(database: Database, table: ArchivedTable) -> list[ArchivedFile]:
    """Return the files of a table, in their order."""
    rows = database.run(_FILES, month=table.month, table_name=table.table)
    return [_file_from_row(row) for row in rows]


def move(
    transaction: Database | Transaction,
    table: ArchivedTable,
    after: TableState,
    now: datetime,
    manifest_hash: str | None = None,
) -> bool:
    """Bring the table to its next state. Return False if another process was first."""
    place = {"month": table.month, "table_name": table.table}
    return bool(transaction.run(_MOVE, **place, before=table.state, after=after, now=now, manifest_hash=manifest_hash))


def forget(transaction: Transaction, month: date) -> None:
    """Forget the tables of a month that is not archived any more, their files, and whose rows were in them."""
    transaction.run(_FORGET_OWNERS, month=month)
    transaction.run(_FORGET_FILES, month=month)
    transaction.run(_FORGET, month=month)


def note_done(database: Database | Transaction, table: ArchivedTable, done: int) -> bool:
    """Note that one more file was counted, verified or loaded. Return False if another process was first."""
    return bool(database.run(_DONE, month=table.month, table_name=table.table, state=table.state, done=done))


def _json(value: Sequence[object]) -> str:
    return orjson.dumps(list(value)).decode()


def _file_from_row(row: Row) -> ArchivedFile:
    number, name, row_count, byte_count, file_hash, keys_hash, first_key, last_key = row
    return ArchivedFile(number, name, row_count, byte_count, file_hash, keys_hash, tuple(first_key), tuple(last_key))


def _from_row(row: Row) -> ArchivedTable:
    month, table, state, position, bucket, prefix, version, columns, keys, cursor, *rest = row
    return ArchivedTable(
        month,
        table,
        TableState(state),
        position,
        bucket,
        prefix,
        version,
        tuple(Column(*column) for column in columns),
        tuple(keys),
        None if cursor is None else tuple(cursor),
        *rest,
    )
