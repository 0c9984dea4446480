"""A database that its process loses at the step that the test chooses, as if the process had died there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

from local.testkit.live import eventually
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row

_SESSIONS = Statement("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name::text")


class DyingDatabase(Database):
    """Loses its connection instead of making step number `last_step`; statements and commits are steps."""

    def __init__(self, address: DatabaseAddress, last_step: int) -> None:
        # The server knows the session by this name.
        self.name = f"dying {uuid.uuid4()}"
        super().__init__(address, self.name)
        self._steps_left = last_step
        self.has_died = False

    def _run_prepared(self, statement: Statement, parameters: dict[str, Any]) -> list[Row]:
        self._step()
        return super()._run_prepared(statement, parameters)

    def _simple(self, command: str) -> None:
        if command == "COMMIT":
            self._step()
        super()._simple(command)

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left == 0:
            self.has_died = True
            self.close()
            raise DatabaseUnavailable("the process died here")


def die_at_every_step(address: DatabaseAddress, act: Callable[[Database], None], look: Callable[[], Any]) -> int:
    """Act on databases that die at the first step, the second and so on, until one lives long enough.

    Asserts that a death leaves all as it was, by what `look` returns, and that the whole act changes something. Return
    the number of steps.
    """
    before = look()
    step = 0
    with closing(Database(address)) as watching:
        while True:
            step += 1
            with closing(DyingDatabase(address, step)) as database:
                try:
                    act(database)
                except DatabaseUnavailable:
                    assert database.has_died
                else:
                    assert look() != before
                    return step - 1
            _await_end(watching, database.name)
            assert look() == before, f"half of it was committed when the process died at step {step}"


def _await_end(watching: Database, name: str) -> None:
    """Wait until the server has noticed the death and rolled back: until then it holds the locks."""
    eventually(lambda: watching.run(_SESSIONS, name=name) == [[0]], "the end of the session that died")
