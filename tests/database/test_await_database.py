"""Waiting for a database that is away."""

from __future__ import annotations

from contextlib import closing

import pytest

from paybridge.core.errors import DatabaseUnavailable
from paybridge.database import await_database as module
from paybridge.database.await_database import await_database
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from tests.support.standing_time import StandingTime

pytestmark = pytest.mark.integration

NOWHERE = DatabaseAddress("127.0.0.1", 1, "none", "none", "none")


class TestAwaitDatabase:
    def test_returns_at_once_when_the_database_answers(
        self, database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module.time, "sleep", lambda _: pytest.fail("there was nothing to wait for"))
        with closing(Database(database_address)) as database:
            await_database(database, 5)

    def test_gives_up_before_a_pause_that_its_patience_does_not_allow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        time = StandingTime()
        monkeypatch.setattr(module, "time", time)
        with pytest.raises(DatabaseUnavailable):
            await_database(Database(NOWHERE), 1)
        # Another 0.8 s would be too long.
        assert time.pauses == [0.2, 0.4]

    def test_returns_when_the_database_is_back(
        self, database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with closing(Database(NOWHERE)) as database:

            def come_back(_: float) -> None:
                database._address = database_address

            monkeypatch.setattr(module.time, "sleep", come_back)
            await_database(database, 5)
            assert database._connection is not None
