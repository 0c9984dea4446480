"""The servers of compose.yaml where Docker is up, and everything else as usual."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.servers import compose, docker
from local.servers.processes import accepts_connections
from local.settings import LocalSettings, variable_of
from local.testkit.servers import private_settings
from tests.support.foreground import TIMELINE, foreground

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not docker.is_usable(), reason="no Docker engine answers"),
]
# Docker fetches three images.
START_SECONDS_MAX = 600


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    given = {**private_settings(tmp_path / "state").environment(), "PAYBRIDGE_LOCAL_COMPOSE": "1"}
    settings = LocalSettings.load(given, tmp_path / "none")
    yield settings
    compose.remove(settings)


def test_a_payment_goes_through_servers_in_docker(settings: LocalSettings) -> None:
    with foreground(settings, "run") as command:
        command.until_it_may_be_stopped(START_SECONDS_MAX)
        assert command.timeline() == TIMELINE
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0
    assert not any(accepts_connections(getattr(settings, name)) for name in compose.PORTS)


def test_servers_of_docker_compose_alone_are_taken_and_a_crash_leaves_none(settings: LocalSettings) -> None:
    command = ["docker", "compose", "--file", str(compose.FILE), "up", "--wait", "--quiet-pull"]
    environment = {**os.environ, **settings.environment()}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    # Without COMPOSE=1 from here on.
    names = ("compose", "postgres_url", "rabbitmq_url", "rabbitmq_management_url", "aws_endpoint")
    own = LocalSettings.load(
        {**settings.environment(), **{variable_of(name): "" for name in names}}, settings.state_dir
    )
    with foreground(own, "run") as command_run:
        command_run.until_it_may_be_stopped(START_SECONDS_MAX)
        assert command_run.timeline() == TIMELINE
        command_run.process.kill()
        command_run.process.wait()
    with foreground(own, "down") as down:
        assert down.wait() == 0
        assert down.lines == ["Stopped.\n"]
    assert not any(accepts_connections(getattr(own, name)) for name in compose.PORTS)
    with foreground(own, "clean") as clean:
        assert clean.wait() == 0
    project = f"label=com.docker.compose.project=paybridge-{own.postgres_port}"
    listed = ["docker", "volume", "ls", "--quiet", "--filter", project]
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == ""
