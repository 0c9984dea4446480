"""The private PostgreSQL and RabbitMQ that tests and the offline stack run on."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from local.errors import PortTakenError
from local.processes import Processes, accepts_connections, running
from local.progress import Progress
from local.servers import postgres, rabbitmq
from tests.support import given_broker
from tests.support.servers import Broker, Postgres, private_settings, start_broker, stop_and_remove

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def private_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that was started here, even where the session is given one."""
    if not given_broker.is_given():
        yield request.getfixturevalue("broker")
        return
    started = start_broker(private_settings(tmp_path_factory.mktemp("rabbitmq")))
    yield started
    stop_and_remove(started)


class TestPostgres:
    def test_writes_durably_and_listens_on_loopback_only(self, postgres_server: Postgres) -> None:
        names = ("fsync", "synchronous_commit", "listen_addresses")
        with closing(postgres.connect(postgres_server.url)) as connection:
            values = [connection.run(f"SHOW {name}")[0][0] for name in names]
        assert values == ["on", "on", "127.0.0.1"]

    def test_gives_the_application_a_role_without_superuser_rights(self, postgres_server: Postgres) -> None:
        with closing(postgres.connect(postgres_server.url)) as connection:
            assert connection.run("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [[False]]

    def test_keeps_its_data_over_a_restart(self, postgres_server: Postgres) -> None:
        url = postgres_server.fresh_database(migrated=False)
        with closing(postgres.connect(url)) as connection:
            connection.run("CREATE TABLE kept AS SELECT 42 AS answer")
        postgres_server.stop()
        postgres_server.start()
        with closing(postgres.connect(url)) as connection:
            assert connection.run("SELECT answer FROM kept") == [[42]]

    def test_says_which_variable_to_change_when_its_port_is_taken(
        self, postgres_server: Postgres, tmp_path: Path
    ) -> None:
        settings = replace(postgres_server.settings, state_dir=tmp_path)
        with pytest.raises(PortTakenError, match="set PAYBRIDGE_LOCAL_POSTGRES_PORT to another port"):
            postgres.start(settings, Processes(tmp_path))

    def test_fresh_databases_are_migrated_and_separate(self, postgres_server: Postgres) -> None:
        first, second = postgres_server.fresh_database(), postgres_server.fresh_database()
        with closing(postgres.connect(first)) as connection:
            connection.run("CREATE TABLE mine ()")
            assert connection.run("SELECT to_regclass('outbox') IS NOT NULL") == [[True]]
        with closing(postgres.connect(second)) as connection:
            assert connection.run("SELECT to_regclass('mine')") == [[None]]


class TestRabbitMQ:
    def test_says_which_variable_to_change_when_its_port_is_taken(self, private_broker: Broker, tmp_path: Path) -> None:
        settings = replace(private_broker.settings, state_dir=tmp_path)
        with pytest.raises(PortTakenError, match="set PAYBRIDGE_LOCAL_AMQP_PORT to another port"):
            rabbitmq.start(settings, Processes(tmp_path), Progress(quiet=True))

    def test_keeps_queues_and_messages_over_an_outage(self, private_broker: Broker) -> None:
        vhost = private_broker.fresh_vhost()
        publish = f"{private_broker.management_url}/api/exchanges/{vhost.name}/payments/publish"
        message = {"routing_key": "payments.new", "payload": "x", "payload_encoding": "string"}
        message["properties"] = {"delivery_mode": 2}  # type: ignore[assignment]
        assert httpx.post(publish, json=message, trust_env=False).json() == {"routed": True}
        private_broker.stop()
        assert not accepts_connections(private_broker.settings.amqp_port)
        assert not {"rabbitmq", "epmd"} & set(running(private_broker.settings.state_dir))
        private_broker.start()
        take = f"{private_broker.management_url}/api/queues/{vhost.name}/payments.new/get"
        request = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        assert [m["payload"] for m in httpx.post(take, json=request, trust_env=False).json()] == ["x"]
