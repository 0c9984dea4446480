"""The rotate function with PostgreSQL, RabbitMQ and their secrets: at any moment a login works."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from local.testkit.servers import Broker
from paybridge import wiring
from paybridge.core.errors import BrokerLoginRefused, BrokerUnavailable, DatabaseLoginRefused, RotationRefused
from paybridge.database.database import Database, Statement
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.secrets import store as roles
from paybridge.secrets.broker_users import BrokerUsers
from paybridge.secrets.secrets_manager import SecretsManager
from paybridge.wiring import broker as broker_wiring
from rotate.handler import handler
from tests.support.secrets import BrokerLogin, DatabaseLogin, Secret, as_superuser, server_log

pytestmark = pytest.mark.integration

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_WHO = Statement("SELECT current_user")

Rotated = DatabaseLogin | BrokerLogin


def step(secret: Secret, name: str, version: str) -> None:
    """Invoke the function as Secrets Manager does in a rotation."""
    handler({"Step": name, "SecretId": secret.arn, "ClientRequestToken": version}, None)  # type: ignore[arg-type]


def rotate(secret: Secret) -> None:
    version = secret.begin_rotation()
    for name in STEPS:
        step(secret, name, version)


def login_in(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}


@pytest.fixture
def admin_secret(broker: Broker, secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> Secret:
    secret = Secret.create(secrets_manager, "broker-admin")
    secret.put(login_in(broker.management_url))
    monkeypatch.setenv("BROKER_ADMIN_SECRET_ID", secret.arn)
    return secret


@pytest.fixture
def database(database_login: DatabaseLogin, monkeypatch: pytest.MonkeyPatch) -> DatabaseLogin:
    monkeypatch.setenv("BROKER_SECRET_ID", "another")
    return database_login


@pytest.fixture
def users(broker_login: BrokerLogin, admin_secret: Secret, monkeypatch: pytest.MonkeyPatch) -> BrokerLogin:
    monkeypatch.setenv("DATABASE_SECRET_ID", "another")
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", broker_login.management_url)
    return broker_login


@pytest.fixture(params=["database", pytest.param("users", marks=pytest.mark.broker)])
def rotated(request: pytest.FixtureRequest) -> Rotated:
    login: Rotated = request.getfixturevalue(request.param)
    return login


def use(rotated: Rotated) -> str:
    """Log in as a new environment does, and return the user."""
    wiring.logins.cache_clear()
    wiring.database.cache_clear()
    return use_again(rotated)


def use_again(rotated: Rotated) -> str:
    """Log in again, as this environment does after its connections broke, and return the user."""
    if isinstance(rotated, DatabaseLogin):
        with closing(wiring.database()) as database:
            return str(database.run(_WHO)[0][0])
    asyncio.run(_publish_nothing())
    return broker_wiring.rabbitmq_url().partition("//")[2].partition(":")[0]


async def _publish_nothing() -> None:
    async with broker_wiring.open_publisher():
        return


class TestRotation:
    def test_the_four_steps_put_a_new_password_into_use(self, rotated: Rotated) -> None:
        before = rotated.secret.login()
        rotate(rotated.secret)
        after = rotated.secret.login()
        assert after["password"] != before["password"]
        assert len(after["password"]) == 40
        assert rotated.secret.login("AWSPREVIOUS") == before
        assert use(rotated) == after["username"]

    def test_other_keys_of_the_secret_stay(self, rotated: Rotated) -> None:
        rotated.secret.put({**rotated.secret.login(), "note": "kept"})
        rotate(rotated.secret)
        assert rotated.secret.login()["note"] == "kept"

    def test_after_each_step_old_and_new_environments_can_log_in(self, rotated: Rotated) -> None:
        for _ in range(3):
            version = rotated.secret.begin_rotation()
            for name in STEPS:
                step(rotated.secret, name, version)
                assert use_again(rotated)
            assert use(rotated) == rotated.secret.login()["username"]

    def test_every_step_may_be_repeated(self, rotated: Rotated) -> None:
        version = rotated.secret.begin_rotation()
        for taken in range(1, len(STEPS) + 1):
            for again in STEPS[:taken] * 2:
                step(rotated.secret, again, version)
            pending = rotated.secret.login("AWSPENDING")
        assert rotated.secret.login() == pending
        assert rotated.secret.version_at("AWSCURRENT") == version
        assert use(rotated) == pending["username"]

    def test_a_pending_login_that_fails_does_not_become_current(self, rotated: Rotated) -> None:
        version = rotated.secret.begin_rotation()
        step(rotated.secret, "createSecret", version)
        for name in ("testSecret", "finishSecret"):
            with pytest.raises((DatabaseLoginRefused, BrokerLoginRefused)):
                step(rotated.secret, name, version)
        assert rotated.secret.version_at("AWSCURRENT") != version
        assert use(rotated) == rotated.secret.login()["username"]

    def test_a_new_schedule_is_tested_with_the_current_login(self, rotated: Rotated) -> None:
        before = rotated.secret.login()
        step(rotated.secret, "testSecret", rotated.secret.begin_rotation())
        assert rotated.secret.login() == before
        assert use(rotated) == before["username"]


class Killed(BaseException):
    """The function was killed."""


class Killer:
    """Kills the function after a number of calls to the outside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls_left = 0
        for owner, name in (
            (SecretsManager, "call"),
            (BrokerUsers, "_ask"),
            (roles, "change_password"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self.calls_left -= 1
            if self.calls_left == 0:
                raise Killed
            return answer

        return counted


@pytest.mark.slow
class TestKilled:
    def test_after_a_kill_anywhere_logins_work_and_the_next_try_finishes(
        self, rotated: Rotated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killer = Killer(monkeypatch)
        kills = 0
        for calls in itertools.count(1):
            version = rotated.secret.begin_rotation()
            killer.calls_left = calls
            try:
                for name in STEPS:
                    step(rotated.secret, name, version)
            except Killed:
                kills += 1
            else:
                break
            assert use_again(rotated)
            assert use(rotated)
            for name in STEPS:
                step(rotated.secret, name, version)
            assert rotated.secret.version_at("AWSCURRENT") == version
            assert use(rotated) == rotated.secret.login()["username"]
        # One for each call of the steps. After the last call there is nothing to kill.
        assert kills >= 15


class TestRefusals:
    def test_a_secret_that_does_not_rotate(self, rotated: Rotated) -> None:
        with pytest.raises(RotationRefused, match="SecretRotationDays"):
            step(rotated.secret, "createSecret", rotated.secret.put({"username": "u", "password": "p"}))

    def test_an_unknown_version(self, rotated: Rotated) -> None:
        rotated.secret.begin_rotation()
        with pytest.raises(RotationRefused, match="has no version"):
            step(rotated.secret, "setSecret", "00000000-0000-4000-8000-000000000000")

    def test_a_cancelled_version(self, rotated: Rotated) -> None:
        given_up = rotated.secret.begin_rotation()
        step(rotated.secret, "createSecret", given_up)
        rotated.secret.begin_rotation()
        with pytest.raises(RotationRefused, match="was cancelled"):
            step(rotated.secret, "setSecret", given_up)

    def test_a_step_out_of_order(self, rotated: Rotated) -> None:
        version = rotated.secret.begin_rotation()
        for name in ("setSecret", "finishSecret"):
            with pytest.raises(RotationRefused, match="createSecret comes first"):
                step(rotated.secret, name, version)

    def test_an_unknown_step(self, rotated: Rotated) -> None:
        with pytest.raises(RotationRefused, match="no step 'dropSecret'"):
            step(rotated.secret, "dropSecret", rotated.secret.begin_rotation())

    def test_a_secret_of_another_application(self, rotated: Rotated, secrets_manager: Any) -> None:
        other = Secret.create(secrets_manager, "other")
        with pytest.raises(RotationRefused, match="none of DATABASE_SECRET_ID and BROKER_SECRET_ID"):
            step(other, "createSecret", other.begin_rotation())

    @pytest.mark.parametrize("content", ['{"key": "value"}', "[]", "no JSON"])
    def test_a_secret_without_a_login(self, rotated: Rotated, secrets_manager: Any, content: str) -> None:
        secrets_manager.put_secret_value(SecretId=rotated.secret.arn, SecretString=content)
        with pytest.raises(RotationRefused, match="needs a username and a password"):
            step(rotated.secret, "createSecret", rotated.secret.begin_rotation())


class TestDatabaseRole:
    def test_the_old_password_is_refused_and_open_sessions_stay_open(self, database: DatabaseLogin) -> None:
        with closing(wiring.database()) as opened:
            opened.run(_WHO)
            pid = opened.run(Statement("SELECT pg_backend_pid()"))
            rotate(database.secret)
            assert opened.run(Statement("SELECT pg_backend_pid()")) == pid
        address = wiring.open_database(database.secret.arn, "test")._address
        old = Database(replace(address, password="first"))
        with pytest.raises(DatabaseLoginRefused):
            old.run(_WHO)

    def test_no_log_of_the_server_holds_a_password(self, database: DatabaseLogin) -> None:
        as_superuser(database.server, f"ALTER ROLE {database.role} SET log_statement = 'all'")
        rotate(database.secret)
        log = server_log(database.server)
        assert "PASSWORD 'SCRAM-SHA-256$4096:" in log
        assert database.secret.login()["password"] not in log

    def test_a_current_login_that_does_not_work_is_named(self, database: DatabaseLogin) -> None:
        database.set_password("changed by hand")
        version = database.secret.begin_rotation()
        step(database.secret, "createSecret", version)
        with pytest.raises(DatabaseLoginRefused, match=f"refuses the login of {database.role}"):
            step(database.secret, "setSecret", version)


@pytest.mark.broker
class TestBrokerUsers:
    def test_two_users_take_turns_and_keep_their_tags_and_rights(self, users: BrokerLogin) -> None:
        users.manage("PUT", f"users/{users.user}-b", {"password": "first", "tags": "monitoring,policymaker"})
        before = users.state()
        rotate(users.secret)
        assert users.secret.login()["username"] == f"{users.user}-b"
        rotate(users.secret)
        assert users.secret.login()["username"] == users.user
        assert users.state() == before

    def test_without_the_second_user_the_error_says_what_creates_it(self, users: BrokerLogin) -> None:
        users.manage("DELETE", f"users/{users.user}-b")
        version = users.secret.begin_rotation()
        step(users.secret, "createSecret", version)
        with pytest.raises(RotationRefused, match=f"no user {users.user}-b .* apply infra/terraform/topology"):
            step(users.secret, "setSecret", version)

    def test_the_login_in_use_works_until_the_rotation_after_the_next(self, users: BrokerLogin) -> None:
        first = broker_wiring.rabbitmq_url()
        rotate(users.secret)
        asyncio.run(_connect(first))
        rotate(users.secret)
        with pytest.raises(BrokerLoginRefused):
            asyncio.run(_connect(first))

    def test_the_login_of_the_administrator_is_never_changed(self, users: BrokerLogin, admin_secret: Secret) -> None:
        users.secret.put(admin_secret.login())
        version = users.secret.begin_rotation()
        step(users.secret, "createSecret", version)
        with pytest.raises(RotationRefused, match="give them a separate user"):
            step(users.secret, "setSecret", version)

    def test_an_administrator_without_rights_is_reported(self, users: BrokerLogin, admin_secret: Secret) -> None:
        admin_secret.put({**admin_secret.login(), "password": "wrong"})
        version = users.secret.begin_rotation()
        step(users.secret, "createSecret", version)
        with pytest.raises(BrokerUnavailable, match=f"answers 401 to GET users/{users.user}-b"):
            step(users.secret, "setSecret", version)

    def test_an_unreachable_management_api_is_reported(
        self, users: BrokerLogin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BROKER_MANAGEMENT_URL", "http://127.0.0.1:1")
        version = users.secret.begin_rotation()
        step(users.secret, "createSecret", version)
        with pytest.raises(BrokerUnavailable, match="management API does not answer"):
            step(users.secret, "setSecret", version)


async def _connect(url: str) -> None:
    async with open_publisher(url):
        return
