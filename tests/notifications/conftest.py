"""A world of notifications for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.testkit.notifications import NotificationWorld
from paybridge.database.connecting import DatabaseAddress


@pytest.fixture
def world(database_address: DatabaseAddress) -> Iterator[NotificationWorld]:
    """Merchants and notifications in the module's database, sent to providers of the test's own."""
    world = NotificationWorld(database_address)
    yield world
    world.close()
