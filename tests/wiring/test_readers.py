"""Each function reads the settings that the table gives to it, and no other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import certifi
import pytest

from paybridge import wiring
from paybridge.core.errors import SettingsInvalid, Unavailable
from paybridge.outbox.queues import WEBHOOK_QUEUES
from paybridge.runners.migrate import STATEMENT_SECONDS_MAX
from paybridge.runners.relay import DrainLog
from paybridge.secrets.ports import Login
from paybridge.secrets.secrets_manager import SecretsManager
from paybridge.wiring import (
    api,
    archive,
    audit,
    bridge,
    broker,
    dead_letters,
    fraud,
    intake,
    notices,
    notifications,
    operations,
    outbox,
    payments,
    reconciliation,
    secrets,
    tokens,
    webhooks,
)
from paybridge.wiring.settings import EVERY, TABLE, Setting, Settings
from tests.support.template import ROOT

Value = TypeVar("Value")

LOGIN = Login("paybridge", "secret")
# Nothing listens on these ports.
VARIABLES = {
    "ENVIRONMENT_NAME": "dev",
    "EVENT_BUS": "bus",
    "NOTIFICATION_SMS": "on",
    "DATABASE_HOST": "127.0.0.1",
    "DATABASE_PORT": "1",
    "DATABASE_SECRET_ID": "database",
    "DATABASE_ADMIN_SECRET_ID": "database-admin",
    "DATABASE_TLS_CA_FILE": certifi.where(),
    "BROKER_URL": "amqp://127.0.0.1:1",
    "BROKER_SECRET_ID": "broker",
    "BROKER_MANAGEMENT_URL": "http://127.0.0.1:1",
    "BROKER_ADMIN_SECRET_ID": "broker-admin",
    "GATEWAY_URL": "http://127.0.0.1:1",
    "API_VERSION_ARN": "arn",
    "JWT_ISSUER": "https://issuer.example",
}


class RecordingSettings(Settings):
    """Settings that record which of them are read."""

    def __init__(self) -> None:
        super().__init__(VARIABLES)
        self.read: set[str] = set()

    def value(self, setting: Setting[Value]) -> Value:
        """Return the value of a setting, and record its name."""
        self.read.add(setting.name)
        return super().value(setting)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> RecordingSettings:
    """The settings of an environment that has made nothing yet."""
    recording = RecordingSettings()
    monkeypatch.setattr(wiring, "environment", lambda: recording)
    kept: list[tuple[Any, str]] = [
        *((wiring, name) for name in ("database", "logins")),
        (payments, "gateway"),
        (payments, "stripe_gateway"),
        (webhooks, "sender"),
        (notices, "notice_readers"),
        (tokens, "token_verifier"),
    ]
    for module, name in kept:
        monkeypatch.setattr(module, name, getattr(module, name).__wrapped__)
    monkeypatch.setattr(SecretsManager, "read_login", lambda *_: LOGIN)
    return recording


def use_api() -> None:
    services = api.api_services()
    services.find_notice_reader("default")
    audit.services()
    reconciliation.services_of_api(services.database, services.clock, services.ids, services.gateway_names)
    # The secret with the keys is the last place that is looked at, and none is named.
    with suppress(SettingsInvalid):
        services.find_token_verifier()


async def use_consumer() -> None:
    # For the worker, which takes from every shard.
    broker.payment_shards()
    payments.engine_services()
    wiring.environment_name()
    await use_broker()


def use_dead_letters() -> None:
    dead_letters.services()


async def use_webhooks() -> None:
    webhooks.services()
    for queue in WEBHOOK_QUEUES:
        webhooks.lane_of(queue)
    await use_broker()
    wiring.environment_name()


async def use_notifier() -> None:
    notifications.services()
    await use_broker()
    wiring.environment_name()


async def use_bridge() -> None:
    bridge.services()
    await use_broker()
    wiring.environment_name()


async def use_ledger() -> None:
    wiring.database()
    await use_broker()


async def use_relay() -> None:
    drain = outbox.draining(lambda: 0.0, DrainLog(wiring.environment_name()))
    with suppress(Unavailable):
        async with drain.open_publisher():
            pass


async def use_broker() -> None:
    with suppress(Unavailable):
        async with broker.open_publisher():
            pass


async def use_intake() -> None:
    wiring.environment_name()
    intake.services()
    with suppress(Unavailable):
        async with broker.open_publisher():
            pass


def use_long_jobs() -> None:
    reconciliation.services()
    wiring.environment_name()
    wiring.database()
    audit.services()
    wiring.environment_name()


def use_jobs() -> None:
    wiring.database()
    wiring.environment_name()
    operations.stalled_after_seconds()
    fraud.expiry_answer()
    broker.queue_depths()
    operations.queues()


def use_migrate() -> None:
    with secrets.administered_database():
        secrets.database_login()
        wiring.database(STATEMENT_SECONDS_MAX)


async def use_operate() -> None:
    wiring.database()
    audit.services()
    reconciliation.services()
    await use_broker()


def use_preflight() -> None:
    operations.api_version_arn()


def use_rotate() -> None:
    for secret_id in (VARIABLES["DATABASE_SECRET_ID"], VARIABLES["BROKER_SECRET_ID"]):
        with suppress(Unavailable):
            secrets.rotation(secret_id).login.test(LOGIN)


USES: dict[str, Callable[[], Any]] = {
    "api": use_api,
    "archive": lambda: archive.services(),
    "bridge": lambda: wiring.run(use_bridge()),
    "consumer": lambda: wiring.run(use_consumer()),
    "dead_letters": use_dead_letters,
    "intake": lambda: wiring.run(use_intake()),
    "jobs": use_jobs,
    "ledger": lambda: wiring.run(use_ledger()),
    "long_jobs": use_long_jobs,
    "migrate": use_migrate,
    "notifier": lambda: wiring.run(use_notifier()),
    "operate": lambda: wiring.run(use_operate()),
    "preflight": use_preflight,
    "relay": lambda: wiring.run(use_relay()),
    "rotate": use_rotate,
    "webhooks": lambda: wiring.run(use_webhooks()),
}


@pytest.mark.parametrize("function", USES)
def test_a_function_reads_its_settings_and_no_other(settings: RecordingSettings, function: str) -> None:
    USES[function]()
    for_all = {setting.name for setting in TABLE if setting.readers == EVERY}
    assert settings.read - for_all == {setting.name for setting in TABLE if function in setting.readers}


def test_every_function_is_used() -> None:
    assert set(USES) == {file.parent.name for file in ROOT.glob("functions/*/handler.py")}
