"""A real database for the commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    database = Database(database_address, "tests")
    yield database
    database.close()
