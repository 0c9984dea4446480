"""Fixtures for contract tests: the API function over a real PostgreSQL, and its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.api import ApiClient, api_client, event_loop, register_demo_merchants
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from tests.support.openapi import Contract


@pytest.fixture(scope="module")
def client(database_address: DatabaseAddress) -> Iterator[ApiClient]:
    """Call the API function with the demo merchant's key."""
    with event_loop(), closing(Database(database_address)) as connection:
        register_demo_merchants(connection)
        yield api_client(connection)


@pytest.fixture(scope="module")
def contract(client: ApiClient) -> Contract:
    """Read the OpenAPI document from the function."""
    return Contract(client.get("/openapi.json").json())
