"""The functions' role in PostgreSQL as a login that rotates: one role, which changes its own password."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from paybridge.core.errors import DatabaseLoginRefused
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.secrets import store as roles
from paybridge.secrets.ports import Login


class DatabaseRole:
    """A RotatedLogin. `open_database` returns the database with a login, on a new connection."""

    def __init__(self, open_database: Callable[[Login], Database]) -> None:
        self._open_database = open_database

    def next_username(self, username: str) -> str:
        """Return the same role, which owns the tables. Logins during a rotation find the new password at AWSPENDING."""
        return username

    def change(self, current: Login, pending: Login) -> None:
        """Set the pending password with the role's current login, unless it works already."""
        try:
            self.test(pending)
        except DatabaseLoginRefused:
            with closing(self._open_database(current)) as database:
                roles.change_password(database, pending.username, pending.password)

    def test(self, login: Login) -> None:
        """Log in and out."""
        with closing(self._open_database(login)) as database:
            health.ping(database)
