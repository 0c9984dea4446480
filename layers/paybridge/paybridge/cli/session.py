"""What a command works with, made once its arguments are accepted."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from paybridge import wiring

if TYPE_CHECKING:
    from paybridge.core.clock import Clock
    from paybridge.core.ids import Ids
    from paybridge.database.database import Database


@dataclass(slots=True)
class CommandSession:
    """The services of one command. `actor` is recorded with what it changes."""

    prepare: Callable[[], None] | None
    actor: str

    @property
    def database(self) -> Database:
        """Return the database, which connects on first use."""
        return wiring.database()

    @property
    def clock(self) -> Clock:
        """Return the clock of the process."""
        return wiring.clock()

    @property
    def ids(self) -> Ids:
        """Return the source of ids."""
        return wiring.ids()


def started(context: typer.Context) -> CommandSession:
    """Return the session of a command whose arguments are accepted. Raises what `prepare` raises."""
    session: CommandSession = context.obj
    if session.prepare is not None:
        prepare, session.prepare = session.prepare, None
        prepare()
    return session


def user_of_this_machine() -> str:
    """Return the actor of a command that a person types."""
    try:
        return f"paybridge command of {getpass.getuser()}"
    except (KeyError, OSError):
        # The user of a container may have no name.
        return "paybridge command"


def new_idempotency_key() -> str:
    """Return a key for a command that is given none."""
    return f"paybridge-{secrets.token_hex(12)}"
