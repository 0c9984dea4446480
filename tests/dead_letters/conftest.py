"""A real database for dead letters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices

_EMPTY = Statement("TRUNCATE dead_letters, dead_letter_redrives, dead_letter_actions")


@pytest.fixture
def services(database_address: DatabaseAddress) -> Iterator[DeadLetterServices]:
    """What the use cases need, over empty tables."""
    database = Database(database_address, "tests")
    database.run(_EMPTY)
    yield DeadLetterServices(database, SystemClock(), Uuid7Ids())
    database.close()
