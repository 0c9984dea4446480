"""Reconnect after a rotation changed the password."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from local.testkit.queues import take_all
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, DatabaseUnavailable
from paybridge.database.database import Statement
from paybridge.outbox.ports import Message
from paybridge.rabbitmq.batch import Poison
from paybridge.secrets.logins import LoginReader
from paybridge.secrets.ports import Login
from paybridge.wiring import broker
from tests.support.secrets import BrokerLogin, DatabaseLogin

pytestmark = pytest.mark.integration

_WHO = Statement("SELECT current_user")
_MESSAGE = Message("1", "t", "payments", "payments.new", b"{}", "c")


@pytest.fixture
def read_stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were read from Secrets Manager, in order."""
    stages: list[str] = []
    fetch = LoginReader._fetch

    def noted(reader: LoginReader, secret_id: str, stage: str) -> Login:
        stages.append(stage)
        return fetch(reader, secret_id, stage)

    monkeypatch.setattr(LoginReader, "_fetch", noted)
    return stages


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long Paybridge has slept between its tries."""
    slept: list[float] = []
    sleep, sleep_async = time.sleep, asyncio.sleep

    def noted(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    async def noted_async(seconds: float) -> None:
        # The AMQP library sleeps between its heartbeats.
        if sys._getframe(1).f_globals["__name__"].startswith("paybridge."):
            slept.append(seconds)
        await sleep_async(seconds)

    monkeypatch.setattr(time, "sleep", noted)
    monkeypatch.setattr(asyncio, "sleep", noted_async)
    return slept


class TestDatabase:
    def test_a_broken_connection_is_reopened_with_the_rotated_password(
        self, database_login: DatabaseLogin, read_stages: list[str], pauses: list[float]
    ) -> None:
        database = wiring.database()
        assert database.run(_WHO) == [[database_login.role]]
        database_login.set_password("second")
        database_login.secret.put({"username": database_login.role, "password": "second"})
        # Open connections stay open.
        assert database.run(_WHO) == [[database_login.role]]
        database_login.end_connections()
        assert database.run(_WHO) == [[database_login.role]]
        assert pauses == []
        assert read_stages == ["AWSCURRENT"] * 2
        # The connection made from it starts with the password that worked.
        database_login.end_connections()
        with_second = database.another()
        assert with_second.run(_WHO) == [[database_login.role]]
        with_second.close()
        assert read_stages == ["AWSCURRENT"] * 2

    def test_between_setting_and_finishing_the_pending_password_is_used(
        self, database_login: DatabaseLogin, read_stages: list[str]
    ) -> None:
        database_login.secret.put({"username": database_login.role, "password": "second"}, stage="AWSPENDING")
        database = wiring.database()
        assert database.run(_WHO) == [[database_login.role]]
        assert read_stages == ["AWSCURRENT"]
        database_login.set_password("second")
        database_login.end_connections()
        assert database.run(_WHO) == [[database_login.role]]
        assert read_stages == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]
        # A rotation that is rolled back is noticed in the same way.
        database_login.set_password("first")
        database_login.end_connections()
        assert database.run(_WHO) == [[database_login.role]]

    def test_a_login_that_no_version_fixes_counts_as_database_down_and_names_the_role(
        self, database_login: DatabaseLogin, read_stages: list[str]
    ) -> None:
        database_login.set_password("another")
        with pytest.raises(DatabaseUnavailable, match=f"refuses the login of {database_login.role}"):
            wiring.database().run(_WHO)
        assert read_stages == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]

    def test_without_secrets_manager_the_database_counts_as_down(
        self, database_login: DatabaseLogin, secrets_manager: Any
    ) -> None:
        database = wiring.database()
        database_login.set_password("second")
        secrets_manager.delete_secret(SecretId=database_login.secret.arn, ForceDeleteWithoutRecovery=True)
        with pytest.raises(DatabaseUnavailable):
            database.run(_WHO)

    def test_a_failure_other_than_the_login_reads_no_secret(
        self, database_login: DatabaseLogin, read_stages: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_NAME", "missing")
        with pytest.raises(DatabaseUnavailable, match="Cannot connect"):
            wiring.database().run(_WHO)
        assert read_stages == ["AWSCURRENT"]


async def publish() -> None:
    async with broker.open_publisher() as publisher:
        assert await publisher.publish([_MESSAGE], 5) == [None]


@pytest.mark.broker
class TestBroker:
    async def test_a_publisher_logs_in_with_the_new_password(
        self, broker_login: BrokerLogin, read_stages: list[str], pauses: list[float]
    ) -> None:
        await publish()
        broker_login.set_password("second")
        broker_login.secret.put({"username": broker_login.user, "password": "second"})
        await publish()
        assert pauses == []
        await publish()
        assert read_stages == ["AWSCURRENT"] * 2
        assert len(await take_all(broker_login.vhost.amqp_url, "payments.new")) == 3

    async def test_between_setting_and_finishing_the_pending_password_is_used(
        self, broker_login: BrokerLogin, read_stages: list[str]
    ) -> None:
        await publish()
        broker_login.secret.put({"username": broker_login.user, "password": "second"}, stage="AWSPENDING")
        broker_login.set_password("second")
        await publish()
        assert read_stages == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]

    async def test_subscribing_and_dead_lettering_log_in_with_the_new_password(self, broker_login: BrokerLogin) -> None:
        for password, use in (("second", self.subscribe), ("third", self.dead_letter)):
            broker.rabbitmq_url()
            broker_login.set_password(password)
            broker_login.secret.put({"username": broker_login.user, "password": password})
            await use()
        assert len(await take_all(broker_login.vhost.amqp_url, "payments.dead")) == 1

    async def test_a_login_that_no_version_fixes_counts_as_broker_down(
        self, broker_login: BrokerLogin, read_stages: list[str]
    ) -> None:
        broker_login.set_password("another")
        for use in (publish, self.subscribe, self.dead_letter):
            with pytest.raises(BrokerUnavailable, match="refuses the login"):
                await use()

    @staticmethod
    async def subscribe() -> None:
        async with broker.subscribe(["payments.new"], 10):
            pass

    @staticmethod
    async def dead_letter() -> None:
        await broker.dead_letter([Poison("payments.new", "1", b"{}", "a reason")])
