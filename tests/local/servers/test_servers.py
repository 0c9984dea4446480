"""The private PostgreSQL and RabbitMQ that tests and the offline stack run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from local.errors import LocalError, PortTakenError
from local.servers import aws, moto, postgres, rabbitmq
from local.servers.processes import Processes, accepts_connections, free_port, running
from local.servers.progress import Progress
from local.settings import LocalSettings
from local.stack import seed
from local.testkit import given_broker, servers
from local.testkit.servers import Broker, Postgres, private_settings, start_broker, stop_and_remove

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def private_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that this test starts, even if variables give the session one."""
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

    def test_migrates_new_databases_again_in_a_new_month(
        self, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A migrated database has the partitions of the months around its migration."""
        monkeypatch.setattr(servers, "this_month", lambda: "2100_01")
        postgres_server.drop_database(postgres_server.fresh_database())
        postgres_server.drop_database(postgres_server.fresh_database())
        with closing(postgres.connect(postgres_server.url)) as connection:
            found = connection.run("SELECT datname FROM pg_database WHERE datname = 'template_migrated_2100_01'")
        assert found == [["template_migrated_2100_01"]]

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


@pytest.mark.slow
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
        assert httpx.post(publish, json=message, trust_env=False, timeout=30).json() == {"routed": True}
        private_broker.stop()
        assert not accepts_connections(private_broker.settings.amqp_port)
        assert not {"rabbitmq", "epmd"} & set(running(private_broker.settings.state_dir))
        private_broker.start()
        take = f"{private_broker.management_url}/api/queues/{vhost.name}/payments.new/get"
        request = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        assert [m["payload"] for m in httpx.post(take, json=request, trust_env=False, timeout=30).json()] == ["x"]


class TestAwsEndpoint:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> LocalSettings:
        return private_settings(tmp_path)

    @pytest.fixture
    def fake(self, settings: LocalSettings) -> Iterator[moto.MotoServer]:
        processes = Processes(settings.state_dir)
        yield moto.start(settings, processes)
        processes.stop(seconds_max=1)

    def test_one_that_the_user_runs_is_taken_and_none_started(
        self, settings: LocalSettings, fake: moto.MotoServer, tmp_path: Path
    ) -> None:
        given = replace(settings, aws_endpoint=f"{fake.url}/", aws_port=free_port(), state_dir=tmp_path / "other")
        processes = Processes(given.state_dir)
        assert moto.start(given, processes).url == fake.url
        assert processes.children == []
        seed.write_aws(given, postgres.url_of(given.postgres_port), rabbitmq.functions_url_of(given))
        assert seed.parameter(given, "/paybridge/dev/database/port") == str(given.postgres_port)

    @pytest.mark.parametrize(
        "url",
        [
            "127.0.0.1:4566",
            "ftp://127.0.0.1:4566",
            "http://127.0.0.1",
            "http://127.0.0.1:4566/path",
            "http://127.0.0.1:99999",
            "http://a b:4566",
            "http://[::1",
            "http://user:password@127.0.0.1:4566",
        ],
    )
    def test_an_address_of_another_form_is_refused(self, settings: LocalSettings, url: str) -> None:
        with pytest.raises(LocalError, match=r"PAYBRIDGE_LOCAL_AWS_URL is .* http://host:port: correct it\."):
            aws.check_given(replace(settings, aws_endpoint=url))

    def test_what_it_refuses_is_one_sentence(self, settings: LocalSettings, fake: moto.MotoServer) -> None:
        with (
            pytest.raises(LocalError, match=rf"^The AWS endpoint {fake.url} refused a call .*ParameterNotFound"),
            aws.errors_as_a_sentence(settings),
        ):
            seed.parameter(settings, "/paybridge/dev/nothing")

    def test_one_that_does_not_answer_is_named(self, settings: LocalSettings) -> None:
        with pytest.raises(LocalError, match=r"PAYBRIDGE_LOCAL_AWS_URL names 127\.0\.0\.1:"):
            aws.check_given(replace(settings, aws_endpoint=f"http://127.0.0.1:{free_port()}"))
