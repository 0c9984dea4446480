"""Fixtures for the API function over a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.api import ApiClient, api_client, event_loop, register_demo_merchants
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    """Connect the test to the database of the function under test."""
    with closing(Database(database_address)) as connection:
        register_demo_merchants(connection)
        yield connection


@pytest.fixture(scope="module")
def client(database: Database, database_address: DatabaseAddress) -> Iterator[ApiClient]:
    """Call the function with the demo merchant's key."""
    with event_loop(), closing(Database(database_address)) as connection:
        yield api_client(connection)
