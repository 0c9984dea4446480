"""The partitions of the coming months are created once, before they are needed."""

from __future__ import annotations

import pytest

from paybridge.database.database import Database, Statement
from paybridge.operations.extend_partitions import extend_partitions

pytestmark = pytest.mark.integration

_MONTH_AHEAD = Statement("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '3 months', 'YYYY_MM')")


class TestExtendPartitions:
    def test_missing_months_are_created_once(self, database: Database) -> None:
        ((month_ahead,),) = database.run(_MONTH_AHEAD)
        database.run(Statement(f"DROP TABLE outbox_{month_ahead}"))
        assert extend_partitions(database) == 1
        assert extend_partitions(database) == 0
