"""The functions' role, created by an administrator without superuser, as on RDS."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

import pytest

from local.testkit.servers import Postgres, address_of
from paybridge.core.errors import DatabaseLoginRefused, QueryFailed
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.migrations import migrate
from paybridge.database.rights import grant_rights
from paybridge.database.services import LEDGER, SERVICES, role_of
from paybridge.operations.extend_partitions import extend_partitions
from paybridge.secrets.prepare_role import PreparedRole, prepare_role
from paybridge.secrets.prepare_services import prepare_services
from tests.support import secrets

pytestmark = pytest.mark.integration

_NUMBERS = itertools.count(1)
_WHO = Statement("SELECT current_user")


@dataclass(slots=True)
class Server:
    """A database owned by its administrator, and the names of both roles."""

    postgres: Postgres
    address: DatabaseAddress
    admin: str
    role: str
    password: str = field(default_factory=secrets.password)

    def by(self, user: str, password: str) -> DatabaseAddress:
        return replace(self.address, user=user, password=password)

    def prepare(self) -> PreparedRole:
        """Prepare the role as the migrate function does before it migrates."""
        with self.admin_database() as admin, self.functions() as functions:
            return prepare_role(admin, functions, self.role, self.password)

    def admin_database(self) -> closing[Database]:
        return closing(Database(self.by(self.admin, "admin")))

    def functions(self) -> closing[Database]:
        return closing(Database(self.by(self.role, self.password)))


@pytest.fixture
def server(postgres_server: Postgres) -> Iterator[Server]:
    number = next(_NUMBERS)
    url = postgres_server.fresh_database(migrated=False)
    server = Server(postgres_server, address_of(url), f"admin_{number}", f"functions_{number}")
    secrets.as_superuser(postgres_server, f"CREATE ROLE {server.admin} LOGIN CREATEROLE CREATEDB PASSWORD 'admin'")
    secrets.as_superuser(postgres_server, f"ALTER DATABASE {server.address.name} OWNER TO {server.admin}")
    yield server
    postgres_server.drop_database(url)
    for service in SERVICES.values():
        secrets.as_superuser(postgres_server, f"DROP ROLE IF EXISTS {role_of(server.role, service)}")
    secrets.as_superuser(postgres_server, f"DROP ROLE IF EXISTS {server.role}")
    secrets.as_superuser(postgres_server, f"DROP ROLE IF EXISTS {server.admin}")


def memberships(server: Server, member: str) -> list[str]:
    """The roles that the member can assume."""
    rows = secrets.as_superuser(
        server.postgres,
        "SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = :member::text::regrole "
        "AND (to_jsonb(pg_auth_members) ->> 'set_option' IS DISTINCT FROM 'false')",
        member=member,
    )
    return [role for (role,) in rows]


class TestPrepareRole:
    def test_the_functions_can_then_migrate_and_create_partitions(self, server: Server) -> None:
        assert server.prepare() == PreparedRole(created=True, password_set=True, objects_taken_over=0)
        with server.functions() as functions:
            assert functions.run(_WHO) == [[server.role]]
            migrate(functions)
            functions.run(Statement("SELECT ensure_partitions(5)"))
            assert extend_partitions(functions, lambda *_: None).created == []

    def test_a_second_run_changes_nothing(self, server: Server) -> None:
        server.prepare()
        assert server.prepare() == PreparedRole(created=False, password_set=False, objects_taken_over=0)

    def test_the_role_may_do_nothing_else(self, server: Server) -> None:
        server.prepare()
        [attributes] = secrets.as_superuser(
            server.postgres,
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles "
            "WHERE rolname = :role",
            role=server.role,
        )
        assert attributes == [False] * 5
        assert memberships(server, server.role) == []
        with server.functions() as functions, pytest.raises(QueryFailed, match="42501"):
            functions.run(Statement("CREATE ROLE more"))

    def test_a_password_that_differs_from_the_secret_is_reset(self, server: Server) -> None:
        server.prepare()
        server.password = secrets.password()
        assert server.prepare() == PreparedRole(created=False, password_set=True, objects_taken_over=0)
        with server.functions() as functions:
            assert functions.run(_WHO) == [[server.role]]

    def test_the_password_that_a_rotation_just_set_stays(self, server: Server) -> None:
        server.prepare()
        pending = secrets.password()
        secrets.as_superuser(
            server.postgres, f"ALTER ROLE {server.role} PASSWORD '{pending.replace(chr(39), chr(39) * 2)}'"
        )
        current = server.by(server.role, server.password)
        rotating = Database(current, fresh_addresses=lambda: [current, server.by(server.role, pending)])
        with server.admin_database() as admin, closing(rotating):
            assert not prepare_role(admin, rotating, server.role, server.password).password_set
            assert rotating.run(_WHO) == [[server.role]]

    def test_a_role_without_login_gets_it(self, server: Server) -> None:
        with server.admin_database() as admin:
            admin.run(Statement(f"CREATE ROLE {server.role} NOLOGIN"))
        assert server.prepare().created
        with server.functions() as functions:
            assert functions.run(_WHO) == [[server.role]]

    def test_concurrent_runs_create_it_once(self, server: Server) -> None:
        with ThreadPoolExecutor(6) as threads:
            made = list(threads.map(lambda _: server.prepare(), range(6)))
        assert [prepared.created for prepared in made].count(True) == 1

    def test_objects_of_the_administrator_change_owners(self, server: Server) -> None:
        server.prepare()
        with server.admin_database() as admin:
            migrate(admin)
            admin.run(Statement("CREATE TABLE counted (number serial)"))
        taken_over = server.prepare().objects_taken_over
        assert taken_over > 20
        with server.functions() as functions:
            functions.run(Statement("SELECT ensure_partitions(5)"))
            functions.run(Statement("INSERT INTO counted DEFAULT VALUES"))
        # The administrator keeps no access.
        assert memberships(server, server.admin) == []
        assert server.prepare().objects_taken_over == 0

    def test_an_administrator_that_is_the_role_keeps_its_objects(self, server: Server) -> None:
        server.role, server.password = server.admin, "admin"
        with server.admin_database() as admin:
            migrate(admin)
        assert server.prepare() == PreparedRole(created=False, password_set=False, objects_taken_over=0)

    def test_a_role_of_another_administrator_is_a_clear_error(self, server: Server) -> None:
        secrets.as_superuser(server.postgres, f"CREATE ROLE {server.role} LOGIN PASSWORD 'unknown'")
        with pytest.raises(QueryFailed, match="permission denied to alter role"):
            server.prepare()

    def test_no_log_of_statements_holds_a_password(self, server: Server) -> None:
        secrets.as_superuser(server.postgres, f"ALTER DATABASE {server.address.name} SET log_statement = 'all'")
        server.prepare()
        first, server.password = server.password, secrets.password()
        server.prepare()
        log = secrets.server_log(server.postgres)
        assert "SCRAM-SHA-256$4096:" in log
        assert not [password for password in (first, server.password) if password in log]

    def test_a_refused_administrator_is_named(self, server: Server) -> None:
        refused = Database(server.by(server.admin, "wrong"))
        with ExitStack() as opened, pytest.raises(DatabaseLoginRefused, match=f"the login of {server.admin}"):
            prepare_role(refused, opened.enter_context(server.functions()), server.role, server.password)


class TestPrepareServices:
    def services(self, server: Server) -> str | None:
        with server.admin_database() as admin:
            return prepare_services(admin, server.role)

    def test_the_functions_can_then_work_as_a_service(self, server: Server) -> None:
        server.prepare()
        assert self.services(server) is None
        with server.functions() as functions:
            migrate(functions)
            assert grant_rights(functions) == []
        with closing(Database(server.by(server.role, server.password), service=LEDGER)) as ledger:
            assert ledger.run(_WHO) == [[f"{server.role}_ledger"]]
            assert ledger.run(Statement("SELECT count(*) FROM ledger.journals")) == [[0]]
            with pytest.raises(QueryFailed, match="permission denied for table payments"):
                ledger.run(Statement("SELECT count(*) FROM payments"))
        # The administrator takes over nothing, and its next run finds all in place.
        assert server.prepare() == PreparedRole(created=False, password_set=False, objects_taken_over=0)
        assert memberships(server, server.role) == [role_of(server.role, service) for service in SERVICES.values()]

    def test_a_second_run_and_a_concurrent_one_change_nothing(self, server: Server) -> None:
        server.prepare()
        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(lambda _: self.services(server), range(4))) == {None}
        assert self.services(server) is None

    def test_an_administrator_that_may_create_no_role_says_why(self, server: Server) -> None:
        server.prepare()
        with server.functions() as functions:
            assert "permission denied to create role" in str(prepare_services(functions, server.role))
            migrate(functions)
            assert grant_rights(functions) == ["ledger", "analytics"]

    def test_what_the_administrator_migrated_is_taken_over_with_its_rights(self, server: Server) -> None:
        server.prepare()
        self.services(server)
        with server.admin_database() as admin:
            migrate(admin)
        assert server.prepare().objects_taken_over > 20
        with server.functions() as functions:
            assert grant_rights(functions) == []
        with closing(Database(server.by(server.role, server.password), service=LEDGER)) as ledger:
            assert ledger.run(Statement("SELECT count(*) FROM ledger.journals")) == [[0]]
