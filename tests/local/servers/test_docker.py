"""The address by which containers reach this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.errors import LocalError
from local.servers import docker
from local.settings import LocalSettings

DOCKER = """#!/bin/sh
case "$1" in
  info) echo "$OPERATING_SYSTEM" ;;
  network) echo "$GATEWAY" ;;
  image) test "$3" = --format && test "$5" = here && echo sha256:0 ;;
esac
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A docker that stands in for the real one."""
    path = tmp_path / "docker"
    path.write_text(DOCKER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


class TestHostAddress:
    def test_is_the_gateway_of_dockers_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPERATING_SYSTEM", "Debian GNU/Linux 12")
        monkeypatch.setenv("GATEWAY", "172.17.0.1")
        assert docker.host_address(LocalSettings()) == "172.17.0.1"

    def test_is_docker_desktops_own_where_that_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPERATING_SYSTEM", "Docker Desktop")
        assert docker.host_address(LocalSettings()) == docker.DESKTOP_HOST

    def test_is_what_the_settings_say_before_anything_else(self) -> None:
        assert docker.host_address(LocalSettings(container_host="10.1.2.3")) == "10.1.2.3"

    def test_names_the_variable_where_docker_does_not_tell(self) -> None:
        with pytest.raises(LocalError, match="PAYBRIDGE_LOCAL_CONTAINER_HOST"):
            docker.host_address(LocalSettings())


class TestHasImage:
    def test_knows_what_is_here(self) -> None:
        assert docker.has_image("here")
        assert not docker.has_image("elsewhere")
