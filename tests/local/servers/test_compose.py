"""compose.yaml agrees with the settings of the stack, and docker gets the right commands."""

from __future__ import annotations

import os
import re
import socket
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.errors import LocalError, PortTakenError
from local.servers import compose, rabbitmq
from local.servers.postgres import SERVER_OPTIONS
from local.servers.processes import Processes, free_port
from local.settings import PROJECT, VARIABLES, LocalSettings

DOCUMENT: dict[str, Any] = yaml.safe_load(compose.FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = DOCUMENT["services"]
PORT = re.compile(r"127\.0\.0\.1:\$\{(?P<variable>\w+):-(?P<default>\d+)\}:(?P<inside>\d+)")
DEFAULTS = {VARIABLES[item.name]: item.default for item in fields(LocalSettings)}
# A docker that has no containers yet and writes down what it is asked for.
DOCKER = """#!/bin/sh
echo "$@" >> "$DOCKER_LOG"
case "$*" in
  version) exit ${ENGINE:-0} ;;
  "compose version --short") echo "${VERSION:-2.26.1}"; exit ${PLUGIN:-0} ;;
  *" ps --quiet") printf %s "$RUNNING" ;;
  *" ps --all "*) printf %s "$STATE" ;;
  *" up "*) echo "pulling"; echo "no space left"; exit ${UP:-0} ;;
esac
"""


class TestFile:
    def test_ports_are_those_of_the_settings_and_on_loopback_only(self) -> None:
        ports = {}
        for service in SERVICES.values():
            for port in service["ports"]:
                found = PORT.fullmatch(port)
                assert found, port
                ports[found["variable"]] = (int(found["default"]), int(found["inside"]))
        inside = {"postgres_port": 5432, "amqp_port": 5672, "management_port": 15672, "aws_port": 5000}
        assert ports == {VARIABLES[name]: (DEFAULTS[VARIABLES[name]], port) for name, port in inside.items()}
        assert compose.PORTS.keys() == inside.keys()

    def test_logins_are_those_of_the_urls(self) -> None:
        settings = LocalSettings.load({"PAYBRIDGE_LOCAL_COMPOSE": "1"}, Path("/nonexistent"))
        postgres = SERVICES["postgres"]["environment"]
        login = f"{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
        assert settings.postgres_url == f"postgresql://{login}@127.0.0.1:54320/{postgres['POSTGRES_DB']}"
        # The image's own login.
        assert settings.rabbitmq_url == "amqp://guest:guest@127.0.0.1:5672/"
        assert (
            not {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"} & SERVICES["rabbitmq"].get("environment", {}).keys()
        )
        assert settings.aws_url == "http://127.0.0.1:4566"

    def test_servers_are_as_able_as_the_stacks_own(self) -> None:
        assert DOCUMENT["configs"]["rabbitmq_plugins"]["content"].strip() == rabbitmq.PLUGINS
        assert SERVICES["rabbitmq"]["configs"] == [
            {"source": "rabbitmq_plugins", "target": "/etc/rabbitmq/enabled_plugins"}
        ]
        assert f"max_connections={SERVER_OPTIONS['max_connections']}" in SERVICES["postgres"]["command"]

    @pytest.mark.parametrize("name", SERVICES)
    def test_every_image_has_a_whole_version_and_every_server_is_watched(self, name: str) -> None:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-management)?", SERVICES[name]["image"])
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"

    def test_rabbitmq_is_watched_by_its_own_user(self) -> None:
        assert SERVICES["rabbitmq"]["healthcheck"]["test"][1:3] == ["gosu", "rabbitmq"]
        workflow = (PROJECT / ".github/workflows/test.yml").read_text(encoding="utf-8")
        assert '--health-cmd "gosu rabbitmq rabbitmq-diagnostics ' in workflow

    def test_versions_are_those_that_the_stack_brings(self) -> None:
        lock = (PROJECT / "requirements/dev.lock").read_text(encoding="utf-8")
        assert f"moto=={SERVICES['aws']['image'].partition(':')[2]} " in lock
        assert SERVICES["postgres"]["image"].startswith(f"postgres:{LocalSettings().postgres_version}.")

    def test_the_project_is_one_for_each_stack_and_the_same_for_docker_compose_alone(self) -> None:
        assert DOCUMENT["name"] == "paybridge-${PAYBRIDGE_LOCAL_POSTGRES_PORT:-54320}"

    def test_data_lies_in_named_volumes(self) -> None:
        volumes = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
        assert volumes == DOCUMENT["volumes"].keys() == {"postgres", "rabbitmq"}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a docker that stands in for the real one."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_LOG", str(tmp_path / "docker.log"))
    return tmp_path / "docker.log"


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    ports = {VARIABLES[name]: str(free_port()) for name in compose.PORTS}
    return LocalSettings.load(
        {"PAYBRIDGE_LOCAL_COMPOSE": "1", "PAYBRIDGE_LOCAL_STATE_DIR": str(tmp_path), **ports}, tmp_path / "none"
    )


COMMAND = f"compose --file {PROJECT}/compose.yaml"


class TestStart:
    def test_waits_until_the_servers_are_healthy(self, docker: Path, settings: LocalSettings) -> None:
        compose.start(settings, Processes(settings.state_dir))
        assert docker.read_text().splitlines() == [
            "version",
            "compose version --short",
            f"{COMMAND} ps --quiet",
            f"{COMMAND} up --detach --wait --quiet-pull",
        ]

    @pytest.mark.parametrize(
        ("variable", "value", "sentence"),
        [
            ("ENGINE", "1", "Docker does not answer"),
            ("PLUGIN", "1", "no compose"),
            ("VERSION", "2.23.0", r"Docker Compose is 2\.23\.0: compose\.yaml needs 2\.23\.1 or later\."),
            ("VERSION", "v1.29.2-desktop.3", "needs 2.23.1"),
        ],
    )
    def test_says_in_one_sentence_what_is_missing(
        self,
        docker: Path,
        settings: LocalSettings,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        sentence: str,
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(LocalError, match=sentence):
            compose.start(settings, Processes(settings.state_dir))
        assert " up " not in docker.read_text()

    @pytest.mark.parametrize("version", ["2.23.1", "v2.40.0+ds1", "5.0.1", "dev"])
    def test_takes_every_later_version(
        self, docker: Path, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch, version: str
    ) -> None:
        monkeypatch.setenv("VERSION", version)
        compose.start(settings, Processes(settings.state_dir))
        assert " up " in docker.read_text()

    @pytest.mark.usefixtures("docker")
    def test_names_the_whole_command_that_failed(
        self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UP", "1")
        with pytest.raises(LocalError, match=r"`docker compose up` failed: (.|\n)*no space left"):
            compose.start(settings, Processes(settings.state_dir))

    def test_names_the_variable_of_a_taken_port(
        self, docker: Path, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def taken(port: int, user: str, variable: str) -> None:
            raise PortTakenError(port, user, variable)

        monkeypatch.setattr(compose, "ensure_port_free", taken)
        with pytest.raises(PortTakenError, match="PAYBRIDGE_LOCAL_POSTGRES_PORT"):
            compose.start(settings, Processes(settings.state_dir))


class TestOneServer:
    def test_is_stopped_and_started_alone(self, docker: Path, settings: LocalSettings) -> None:
        compose.stop_server(settings, "moto")
        compose.start_server(settings, "rabbitmq")
        assert docker.read_text().splitlines() == [
            f"{COMMAND} stop aws",
            f"{COMMAND} up --detach --wait --no-recreate rabbitmq",
        ]

    @pytest.mark.parametrize(
        ("printed", "state"),
        [("running healthy", "healthy"), ("running starting", "starting"), ("exited ", "exited"), ("", "")],
    )
    @pytest.mark.usefixtures("docker")
    def test_has_the_state_of_its_container(
        self, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch, printed: str, state: str
    ) -> None:
        monkeypatch.setenv("STATE", printed)
        assert compose.state_of(settings, "postgres") == state

    def test_is_a_service_of_the_file(self) -> None:
        assert set(compose.SERVICES.values()) == set(SERVICES)


class TestStop:
    def test_keeps_the_data_and_remove_does_not(
        self, docker: Path, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RUNNING", "a1\n")
        assert compose.stop(settings)
        compose.remove(settings)
        said = [line.removeprefix(f"{COMMAND} ") for line in docker.read_text().splitlines()]
        assert said == ["ps --quiet", "stop", "down --volumes"]

    def test_says_that_nothing_ran(self, docker: Path, settings: LocalSettings) -> None:
        assert not compose.stop(settings)
        assert "stop" not in docker.read_text()


class TestWithRunning:
    """What `docker compose up` has started is what `make up` takes."""

    @pytest.fixture
    def own(self, settings: LocalSettings) -> LocalSettings:
        given = {**settings.environment(), "PAYBRIDGE_LOCAL_COMPOSE": ""}
        urls = ("postgres_url", "rabbitmq_url", "rabbitmq_management_url", "aws_endpoint")
        return LocalSettings.load({**given, **{VARIABLES[name]: "" for name in urls}}, Path("/nonexistent"))

    @pytest.mark.parametrize("name", compose.PORTS)
    def test_are_servers_in_docker_if_one_of_them_runs(
        self, docker: Path, own: LocalSettings, settings: LocalSettings, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("RUNNING", "a1\n")
        with socket.create_server(("127.0.0.1", getattr(own, name))):
            assert compose.with_running(own) == settings
        assert docker.exists()

    def test_are_the_stacks_own_if_something_else_listens(self, docker: Path, own: LocalSettings) -> None:
        with socket.create_server(("127.0.0.1", own.postgres_port)):
            assert compose.with_running(own) == own
        assert "ps --quiet" in docker.read_text()

    def test_are_the_users_own_if_settings_name_them(self, docker: Path, own: LocalSettings) -> None:
        given = replace(own, rabbitmq_url="amqp://guest:guest@127.0.0.1:5672/")
        with socket.create_server(("127.0.0.1", own.postgres_port)):
            assert compose.with_running(given) == given
        assert not docker.exists()

    def test_ask_docker_nothing_if_the_port_is_free(self, docker: Path, own: LocalSettings) -> None:
        assert compose.with_running(own) == own
        assert not docker.exists()


class TestIsRemembered:
    @pytest.mark.usefixtures("docker")
    def test_from_the_first_start_on(self, settings: LocalSettings) -> None:
        assert not compose.is_remembered(settings)
        compose.start(settings, Processes(settings.state_dir))
        assert compose.is_remembered(settings)
