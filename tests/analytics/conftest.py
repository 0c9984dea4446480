"""A merchant whose payments exist as events alone."""

from __future__ import annotations

import pytest

from local.testkit.payments import new_merchant
from paybridge.database.database import Database
from tests.support.analytics import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database, new_merchant(database))
