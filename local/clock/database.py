"""The stack's time in PostgreSQL: `now()` and `clock_timestamp()` of the schema `public`, in place of PostgreSQL's own.

They are SQL functions of one expression, so the planner puts the expression in their place and plans stay as they are.
The offset is a parameter of the server, so that a reload gives it to every session before its next statement, and no
statement reads a table for it. Production has neither the functions nor the search path that finds them.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta

import pg8000.native

from local.clock.offset import SEARCH_PATH
from local.errors import LocalError
from local.servers.postgres import connect

# How long a reload of the server's parameters may take.
_RELOAD_SECONDS_MAX = 5.0
_POLL_SECONDS = 0.001
# PostgreSQL reports these when the role may not set a parameter of the server.
_NOT_ALLOWED = "42501"

# The name has the database's number in it, because other stacks may have databases on the same server.
_PARAMETER = "SELECT 'test_clock.ahead_' || oid FROM pg_database WHERE datname = current_database()"
_AHEAD = "coalesce(current_setting('{parameter}', true), '0')::interval"
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT pg_catalog.now() + {ahead} $$;
CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT pg_catalog.clock_timestamp() + {ahead} $$;
"""
# Defaults name PostgreSQL's own functions whatever the search path. A partition has its parent's.
_DEFAULTS = """
    SELECT d.adrelid::regclass::text, quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attrdef d
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    JOIN pg_class c ON c.oid = d.adrelid
    WHERE NOT c.relispartition AND a.attgenerated = ''
      AND pg_get_expr(d.adbin, d.adrelid) ~ '(^|[^.[:alnum:]_])(now|clock_timestamp)\\(\\)'
"""


class ClockRefusedError(LocalError):
    """The role of the stack's database may not set the test clock. The message is a sentence for the user."""


def install(url: str) -> None:
    """Let sessions find the stack's `now()` first, also in column defaults. Repeating it changes nothing."""
    with closing(connect(url)) as connection:
        connection.run("SET search_path = pg_catalog")
        parameter = connection.run(_PARAMETER)[0][0]
        database = connection.run("SELECT quote_ident(current_database())")[0][0]
        connection.run("BEGIN")
        # Two stacks may install it in one database.
        connection.run("SELECT pg_advisory_xact_lock(7216045319)")
        connection.run(_FUNCTIONS.format(ahead=_AHEAD.format(parameter=parameter)))
        for table, column, expression in connection.run(_DEFAULTS):
            shifted = expression.replace("now()", "public.now()").replace(
                "clock_timestamp()", "public.clock_timestamp()"
            )
            connection.run(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {shifted}")
        connection.run("COMMIT")
        # For sessions that set no path of their own, such as psql. A role that does not own the database cannot do it.
        try:
            connection.run(f"ALTER DATABASE {database} SET search_path = {SEARCH_PATH}")
        except pg8000.native.DatabaseError as error:
            if not _is_not_allowed(error):
                raise


class DatabaseClock:
    """The offset of one database, set over one connection of a role that may use ALTER SYSTEM. Close it."""

    def __init__(self, administrator_url: str) -> None:
        self.connection = connect(administrator_url)
        self.connection.run(f"SET search_path = {SEARCH_PATH}")
        self._parameter = self.connection.run(_PARAMETER)[0][0]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def set_ahead(self, ahead: timedelta) -> None:
        """Let every session be ahead of the machine by this, from its next statement on.

        Raises ClockRefusedError if the role may not, and LocalError if the server does not follow.
        """
        text = f"{ahead // timedelta(microseconds=1)} microseconds"
        if (before := self._value()) == text or (before is None and not ahead):
            return
        if before is None:
            # The server refuses to keep a parameter that its session has never heard of.
            self.connection.run(f"SELECT set_config('{self._parameter}', '0', false)")
            self.connection.run(f"RESET {self._parameter}")
        self._alter_system(text)
        self._await_value(text)

    def _alter_system(self, text: str) -> None:
        try:
            self.connection.run(f"ALTER SYSTEM SET {self._parameter} = '{text}'")
            self.connection.run("SELECT pg_reload_conf()")
        except pg8000.native.DatabaseError as error:
            if _is_not_allowed(error):
                raise ClockRefusedError(
                    "The test clock needs a database role that may use ALTER SYSTEM: make the role a superuser, or let "
                    "the stack start its own PostgreSQL."
                ) from error
            raise

    def _await_value(self, text: str) -> None:
        """Wait until this session has heard of the value. The server tells all sessions in one go."""
        deadline = time.monotonic() + _RELOAD_SECONDS_MAX
        while self._value() != text:
            if time.monotonic() > deadline:
                raise LocalError(f"PostgreSQL did not take over the test clock within {_RELOAD_SECONDS_MAX:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def _value(self) -> str | None:
        value: str | None = self.connection.run(f"SELECT nullif(current_setting('{self._parameter}', true), '')")[0][0]
        return value


def _is_not_allowed(error: pg8000.native.DatabaseError) -> bool:
    return isinstance(error.args[0], dict) and error.args[0].get("C") == _NOT_ALLOWED
