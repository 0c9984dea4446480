"""Both of the functions' logins rotate while payments are under way, by the rotate function of the running stack."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import boto3
import httpx
import pytest

from local.servers import postgres
from local.settings import AWS_KEYS, AWS_REGION
from local.stack.seed import parameter
from local.stack.stack import Stack
from local.testkit.live import Merchant, eventually
from tests.support.faults import assert_each_is_charged_once_and_notified, invoke, kill_environments
from tests.support.secrets import Secret

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
USERS = ("rotating", "rotating-b")
# Beside what the fault takes: the relay's and the mappings' usual seconds.
SECONDS_MAX = 90
PAUSE_SECONDS = 0.1


@dataclass(slots=True)
class Buyer:
    """Posts payments one after the other, each until it is accepted, as a merchant's own retries do."""

    demo: Merchant
    webhook_url: str
    accepted: list[str] = field(default_factory=list)
    turned_away: list[int] = field(default_factory=list)
    _is_leaving: threading.Event = field(default_factory=threading.Event)

    def buy(self) -> None:
        while not self._is_leaving.is_set():
            self.accepted.append(self._pay())
            time.sleep(PAUSE_SECONDS)

    def leave(self) -> None:
        self._is_leaving.set()

    def _pay(self) -> str:
        key, order = str(uuid.uuid4()), {"amount": "1.00", "currency": "RUB", "webhook_url": self.webhook_url}
        while True:
            answer = self.demo.post(key, order)
            if answer.status_code == httpx.codes.ACCEPTED:
                return str(answer.json()["payment_id"])
            self.turned_away.append(answer.status_code)
            time.sleep(PAUSE_SECONDS)


@pytest.fixture
def buyer(stack: Stack, demo: Merchant) -> Iterator[Buyer]:
    buyer = Buyer(demo, f"{stack.urls.sink}/ok/rotation")
    buying = threading.Thread(target=buyer.buy)
    buying.start()
    yield buyer
    buyer.leave()
    buying.join()


@dataclass(slots=True)
class Logins:
    """The secrets of the running stack and what becomes of the connections that were opened by them."""

    stack: Stack
    database: Secret
    broker: Secret

    def rotate(self, between: Callable[[], None]) -> None:
        """Rotates both, with `between` after each step."""
        for secret in (self.database, self.broker):
            version = secret.begin_rotation()
            for step in STEPS:
                self._take(step, secret, version)
                between()

    def end_connections(self) -> None:
        """Ends every connection to the database and the broker that was opened by one of the logins."""
        superuser = postgres._superuser(self.stack.settings.postgres_port)
        superuser.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :r", r=postgres.ROLE)
        superuser.close()
        for connection in self.manage("GET", "connections"):
            if connection.get("user") in USERS:
                self.manage("DELETE", f"connections/{quote(connection['name'], safe='')}")

    def users_connected(self) -> set[str]:
        """The broker's users that are connected now."""
        return {connection.get("user", "") for connection in self.manage("GET", "connections")}

    def manage(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        answer = httpx.request(
            method, f"{self.stack.urls.management}/api/{path}", json=body, trust_env=False, timeout=30
        )
        assert answer.is_success or answer.status_code == httpx.codes.NOT_FOUND, answer.text
        return answer.json() if answer.content and answer.is_success else None

    def _take(self, step: str, secret: Secret, version: str) -> None:
        event = {"Step": step, "SecretId": secret.arn, "ClientRequestToken": version}
        answer = invoke(self.stack, "rotate", event)
        assert "x-amz-function-error" not in answer.headers, answer.text


@pytest.fixture
def logins(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logins]:
    """The stack's own secrets; afterwards they hold what they held before, and so do the servers."""
    for name, value in {**AWS_KEYS, "AWS_ENDPOINT_URL": stack.urls.aws, "AWS_REGION": AWS_REGION}.items():
        monkeypatch.setenv(name, value)
    # The fake would run the function that rotates in Docker; the tests have the stack run it.
    httpx.post(f"{stack.urls.aws}/moto-api/config", json={"lambda": {"use_docker": False}}, trust_env=False, timeout=30)
    client = boto3.client("secretsmanager", region_name=AWS_REGION)
    names = ("database/secret-id", "broker/secret-id")
    secrets = [Secret(client, parameter(stack.settings, f"/paybridge/dev/{name}")) for name in names]
    logins = Logins(stack, *secrets)
    before = [secret.login() for secret in secrets]
    for user in USERS:
        logins.manage("PUT", f"users/{user}", {"password": "before", "tags": ""})
        logins.manage("PUT", f"permissions/%2F/{user}", {"configure": "^$", "write": ".*", "read": ".*"})
    logins.broker.put({"username": USERS[0], "password": "before"})
    # A relay that runs goes on with the login from before, which stays good; the next one reads this one.
    kill_environments(stack, "relay")
    invoke(stack, "relay", {}, "Event")
    eventually(lambda: USERS[0] in logins.users_connected(), "the relay by the user that rotates", SECONDS_MAX)
    yield logins
    for secret, login in zip(secrets, before, strict=True):
        secret.put(login)
    superuser = postgres._superuser(stack.settings.postgres_port)
    superuser.run(f"ALTER ROLE {postgres.ROLE} PASSWORD '{postgres.PASSWORD}'")
    superuser.close()
    # A client connected by one of the logins that go now finds the ones from before.
    logins.end_connections()
    for user in USERS:
        logins.manage("DELETE", f"users/{user}")


@pytest.mark.timeout(300)
class TestRotation:
    def test_nobody_is_turned_away_while_connections_last(self, stack: Stack, logins: Logins, buyer: Buyer) -> None:
        logins.rotate(between=lambda: time.sleep(0.5))
        buyer.leave()
        assert buyer.turned_away == []
        assert_each_is_charged_once_and_notified(stack, buyer.demo, buyer.accepted, SECONDS_MAX)

    def test_no_payment_is_lost_when_every_connection_breaks_after_each_step(
        self, stack: Stack, logins: Logins, buyer: Buyer
    ) -> None:
        # The relay keeps a login for as long as it works: until the second rotation that of the first user, until the
        # third that of the other.
        for _ in range(3):
            logins.rotate(between=lambda: self.break_connections(logins))
        eventually(lambda: USERS[0] in logins.users_connected(), "the relay by the first user again", SECONDS_MAX)
        buyer.leave()
        assert len(buyer.accepted) > 50
        assert set(buyer.turned_away) <= {httpx.codes.SERVICE_UNAVAILABLE}
        assert_each_is_charged_once_and_notified(stack, buyer.demo, buyer.accepted, SECONDS_MAX)

    def break_connections(self, logins: Logins) -> None:
        logins.end_connections()
        time.sleep(0.5)
