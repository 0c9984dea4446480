"""`make local COMPOSE=1` where Docker is up: the servers of compose.yaml, and everything else as usual."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.servers import compose, docker
from local.servers.processes import accepts_connections
from local.settings import LocalSettings
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
