"""The composition root: settings and adapters, made on first use and kept for the life of the environment.

Here is what all features share. Each feature's own part is in the file of its name.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

from paybridge.core.clock import FollowingClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import STATEMENT_SECONDS_MAX, Database
from paybridge.database.services import Service
from paybridge.secrets.logins import LoginReader
from paybridge.wiring import settings as table
from paybridge.wiring.addresses import database_address
from paybridge.wiring.settings import Settings

# A batch makes tens of thousands of objects that live until its end. Python would look for garbage among them, and
# among all that a cold start has loaded, every 700 objects.
GARBAGE_OBJECTS = 50_000

_Result = TypeVar("_Result")


@cache
def environment() -> Settings:
    """Return the settings of this environment. Each is checked when it is first read.

    jobs continues with the work that does not need a missing setting. Work that needs all of them calls
    `Settings.ensure_valid` first.
    """
    return Settings()


def name_process(name: str) -> None:
    """Name this process in its log and its database session. Call it before anything makes a logger."""
    table.name_process(name)


def environment_name() -> str:
    """Return the name of the deployment, which is a dimension of every metric."""
    return environment().ENVIRONMENT_NAME


@cache
def logins() -> LoginReader:
    """Return the reader of the secrets that hold logins."""
    return LoginReader()


@cache
def database(statement_seconds_max: float = STATEMENT_SECONDS_MAX) -> Database:
    """Return the environment's one database, which connects on first use. Pass the same limit everywhere."""
    settings = environment()
    return open_database(
        settings.DATABASE_SECRET_ID,
        settings.POWERTOOLS_SERVICE_NAME,
        statement_seconds_max,
        settings.DATABASE_SERVICE,
    )


@cache
def database_of(service: Service) -> Database:
    """Return the database with the rights of a service, on a connection beside that of `database`."""
    settings = environment()
    return open_database(settings.DATABASE_SECRET_ID, settings.POWERTOOLS_SERVICE_NAME, service=service)


def open_database(
    secret_id: str,
    application_name: str,
    statement_seconds_max: float = STATEMENT_SECONDS_MAX,
    service: Service | None = None,
) -> Database:
    """Return the database with the login in this secret, such as the administrator's. The caller closes it."""
    return Database(
        database_address(environment(), logins().read(secret_id)),
        application_name,
        statement_seconds_max,
        lambda: (database_address(environment(), login) for login in logins().read_again(secret_id)),
        service,
    )


@cache
def clock() -> FollowingClock:
    """Return the clock of the process. What works on batches lets it follow the database's clock."""
    return FollowingClock()


@cache
def ids() -> Uuid7Ids:
    """Return the source of UUIDv7."""
    return Uuid7Ids()


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine on the environment's one event loop, so that HTTP connections outlive an invocation."""
    return _runner().run(work)


@cache
def _runner() -> asyncio.Runner:
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, *gc.get_threshold()[1:])
    return asyncio.Runner(loop_factory=_new_loop)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        # There is none for Windows, whose default loop cannot watch the database's socket.
        return asyncio.SelectorEventLoop()
    return uvloop.new_event_loop()
