"""The functions' role in PostgreSQL, as a login that rotates: one role, which gives itself another password."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from paybridge.core.errors import DatabaseLoginRefused
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.secrets import store as roles
from paybridge.secrets.ports import Login


class DatabaseRole:
    """A RotatedLogin; `open_database` gives the database by a login, on a connection of its own."""

    def __init__(self, open_database: Callable[[Login], Database]) -> None:
        self._open_database = open_database

    def next_username(self, username: str) -> str:
        """The same: the role owns the tables, and who logs in meanwhile finds the new password at AWSPENDING."""
        return username

    def change(self, current: Login, pending: Login) -> None:
        """Sets the pending password with the role's own login, unless that is done already."""
        try:
            self.test(pending)
        except DatabaseLoginRefused:
            with closing(self._open_database(current)) as database:
                roles.change_password(database, pending.username, pending.password)

    def test(self, login: Login) -> None:
        """Returns when the login works."""
        with closing(self._open_database(login)) as database:
            health.ping(database)
