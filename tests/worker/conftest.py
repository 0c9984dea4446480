"""A private database, virtual host, gateway and sink, and the workers that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from local.testkit.live import eventually
from local.testkit.local_servers import running_gateway, running_sink
from local.testkit.payments import charges, new_merchant, new_payment, payment_row
from local.testkit.servers import Broker, Postgres, Vhost, address_of
from local.testkit.workers import Workers, secrets_manager, worker_environment
from paybridge.database.database import Database, Statement

_SETTLED = Statement("SELECT count(*) FROM payments WHERE status IN ('succeeded', 'failed')")


@dataclass(frozen=True, slots=True)
class Place:
    """The servers that the workers of a test use."""

    database: Database
    database_url: str
    vhost: Vhost
    gateway_url: str
    merchant_id: UUID

    def pay(self, count: int, **order: str | None) -> list[UUID]:
        """Accept payments; their events wait in the outbox."""
        return [new_payment(self.database, self.merchant_id, **order) for _ in range(count)]

    def settled(self) -> int:
        """Count the final payments."""
        return int(self.database.run(_SETTLED)[0][0])

    def wait_until_each_is_charged_once(self, payment_ids: list[UUID], seconds_max: float = 60) -> None:
        """Wait until every payment has succeeded, and assert that the gateway logged one charge for each."""
        eventually(lambda: self.settled() >= len(payment_ids), "all settled", seconds_max)
        assert {payment_row(self.database, id_)["status"] for id_ in payment_ids} == {"succeeded"}
        assert [len(charges(self.gateway_url, id_)) for id_ in payment_ids] == [1] * len(payment_ids)


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "charges.jsonl") as url:
        yield url


@pytest.fixture(scope="module")
def sink_url() -> Iterator[str]:
    with running_sink() as url:
        yield url


@pytest.fixture
def place(postgres_server: Postgres, broker: Broker, gateway_url: str) -> Iterator[Place]:
    url, vhost = postgres_server.fresh_database(), broker.fresh_vhost()
    with closing(Database(address_of(url))) as database:
        yield Place(database, url, vhost, gateway_url, new_merchant(database))
    postgres_server.drop_database(url)


@pytest.fixture
def workers(place: Place, tmp_path: Path) -> Iterator[Workers]:
    with secrets_manager(place.database_url, place.vhost.amqp_url) as aws_url:
        environment = worker_environment(place.database_url, place.vhost, place.gateway_url, aws_url)
        started = Workers(environment, tmp_path)
        yield started
        started.end()
