"""The migrate function on a database that has only its administrator, like a new RDS instance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.testkit.servers import Postgres
from migrate import handler as migrate_function
from paybridge import wiring
from paybridge.database.database import Database, Statement
from paybridge.database.migrations import HEAD
from paybridge.runners import migrate as runner
from tests.support.secrets import Secret, as_superuser

pytestmark = pytest.mark.integration

ADMIN, ROLE = "migrating_admin", "migrating_functions"
OWNERS = Statement("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'")


@pytest.fixture
def new_database(postgres_server: Postgres, secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty database with an administrator. The functions' role exists only in its secret."""
    url = postgres_server.fresh_database(migrated=False)
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    as_superuser(postgres_server, f"CREATE ROLE {ADMIN} LOGIN CREATEROLE PASSWORD 'admin'")
    as_superuser(postgres_server, f"ALTER DATABASE {name} OWNER TO {ADMIN}")
    admin, functions = (Secret.create(secrets_manager, login) for login in ("admin", "functions"))
    admin.put({"username": ADMIN, "password": "admin"})
    functions.put({"username": ROLE, "password": "functions"})
    for variable, value in {
        "DATABASE_HOST": parts.hostname,
        "DATABASE_PORT": str(parts.port),
        "DATABASE_NAME": name,
        "DATABASE_TLS": "disable",
        "DATABASE_SECRET_ID": functions.arn,
        "DATABASE_ADMIN_SECRET_ID": admin.arn,
    }.items():
        monkeypatch.setenv(variable, str(value))
    yield
    database(migrating=True).close()
    postgres_server.drop_database(url)
    for role in (ROLE, ADMIN):
        as_superuser(postgres_server, f"DROP ROLE IF EXISTS {role}")


def database(*, migrating: bool = False) -> Database:
    """The database with the functions' login: the connection of the migrate function, or of any other."""
    return wiring.database(runner.STATEMENT_SECONDS_MAX) if migrating else wiring.database()


class TestHandler:
    def test_creates_the_role_and_migrates_as_that_role(self, new_database: None) -> None:
        for _ in range(2):
            assert migrate_function.handler({}, None) == {"Revision": HEAD}  # type: ignore[arg-type]
        with closing(database()) as functions:
            assert functions.run(OWNERS) == [[ROLE]]

    def test_a_rotated_administrator_password_is_read_again(
        self, new_database: None, postgres_server: Postgres, secrets_manager: Any
    ) -> None:
        migrate_function.handler({}, None)  # type: ignore[arg-type]
        as_superuser(postgres_server, f"ALTER ROLE {ADMIN} PASSWORD 'second'")
        Secret(secrets_manager, os.environ["DATABASE_ADMIN_SECRET_ID"]).put({"username": ADMIN, "password": "second"})
        assert migrate_function.handler({}, None) == {"Revision": HEAD}  # type: ignore[arg-type]

    def test_creates_no_role_if_the_functions_log_in_as_the_administrator(
        self, new_database: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_SECRET_ID", os.environ["DATABASE_ADMIN_SECRET_ID"])
        assert migrate_function.handler({}, None) == {"Revision": HEAD}  # type: ignore[arg-type]
        with closing(database()) as functions:
            assert functions.run(OWNERS) == [[ADMIN]]
