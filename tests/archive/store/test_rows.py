"""The rows of a table between two keys."""

from __future__ import annotations

import pytest

from local.testkit.archive import partition
from paybridge.archive.domain import ArchivedTable, TableState
from paybridge.archive.store import partitions
from paybridge.archive.store.rows import RowReader
from paybridge.database.database import Statement
from tests.archive.conftest import BUCKET, MONTH, Archive

pytestmark = pytest.mark.integration

NAME = partition("webhook_attempts", MONTH)
_MORE = Statement(f"""
    INSERT INTO {NAME} (delivery_id, number, status, started_at, finished_at)
    SELECT d.delivery_id, n, 'failed', now(), now()
    FROM (SELECT delivery_id FROM {NAME} ORDER BY delivery_id LIMIT 1) AS d, generate_series(2, 12) AS n
""")  # noqa: S608 -- the name of a table


def table(archive: Archive) -> ArchivedTable:
    return ArchivedTable(
        month=MONTH,
        table="webhook_attempts",
        state=TableState.EXPORTING,
        position=0,
        bucket=BUCKET,
        prefix="p",
        schema_version="1",
        columns=partitions.columns_of(archive.database, NAME),
        key_columns=partitions.key_of(archive.database, NAME),
        cursor=None,
        row_count=0,
        byte_count=0,
        file_count=0,
        files_done=0,
        manifest_hash=None,
        detached_at=None,
    )


class TestRowReader:
    def test_the_end_of_a_file_is_in_the_order_of_the_index(self, archive: Archive) -> None:
        """As text, 10 comes before 2, and the whole table would be sorted for each file."""
        archive.database.run(_MORE)
        reader = RowReader(table(archive))
        first = reader.find_end(archive.database, None, 1)
        end = reader.find_end(archive.database, None, 9)
        assert first is not None
        assert end == (first[0], "9")
        assert reader.read(archive.database, None, end).row_count == 9
        assert reader.find_end(archive.database, end, 3) == (first[0], "12")

    def test_rows_are_counted_up_to_a_number(self, archive: Archive) -> None:
        archive.database.run(_MORE)
        reader = RowReader(table(archive))
        end = reader.find_end(archive.database, None, 9)
        assert reader.count(archive.database, None, end, 100) == 9
        assert reader.count(archive.database, None, end, 5) == 5
        assert reader.count(archive.database, end, None, 2) == 2
