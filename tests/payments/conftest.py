"""What the tests of payments have in common: whatever they make the code emit is held against its schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from paybridge.database.database import Database
from tests.support.event_schemas import check_emitted


@pytest.fixture(scope="module", autouse=True)
def emitted_events_are_as_described(request: pytest.FixtureRequest) -> Iterator[None]:
    """Look at the events of the module's database once its tests are over."""
    needing = [item for item in request.session.items if "database_address" in getattr(item, "fixturenames", ())]
    address = (
        request.getfixturevalue("database_address") if any(item.path == request.path for item in needing) else None
    )
    yield
    if address is not None:
        with closing(Database(address)) as database:
            check_emitted(database)
