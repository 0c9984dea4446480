"""The address by which containers reach this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local.errors import LocalError
from local.servers import docker
from local.servers.processes import Processes
from local.settings import LocalSettings

DOCKER = """#!/bin/sh
case "$1" in
  info) echo "$OPERATING_SYSTEM" ;;
  network) printf '%s' "$NETWORK" ;;
  ps) printf '%s\n' "$CONTAINERS" ;;
  rm) echo "$@" >> "$DOCKER_LOG" ;;
  run) echo "running $4" ;;
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


def bridge(*configurations: dict[str, str], name: str = "paybridge-none0") -> str:
    """What `docker network inspect bridge` prints."""
    options = {"com.docker.network.bridge.name": name}
    return json.dumps([{"Name": "bridge", "IPAM": {"Config": list(configurations)}, "Options": options}])


IPV6 = {"Subnet": "fd00::/64", "Gateway": "fd00::1"}


class TestHostAddress:
    @pytest.fixture(autouse=True)
    def system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPERATING_SYSTEM", "Debian GNU/Linux 12")

    @pytest.mark.parametrize(
        ("network", "address"),
        [
            (bridge({"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}), "172.17.0.1"),
            (bridge(IPV6, {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.9"}), "172.18.0.9"),
            # Until its second start Docker names no gateway.
            (bridge({"Subnet": "10.99.0.0/24"}), "10.99.0.1"),
            (bridge(IPV6, {"Subnet": "10.99.1.0/24", "Gateway": ""}), "10.99.1.1"),
            (bridge({"Subnet": "10.99.0.0/24"}, name="lo"), "127.0.0.1"),
        ],
    )
    def test_is_this_machines_ipv4_address_in_dockers_network(
        self, monkeypatch: pytest.MonkeyPatch, network: str, address: str
    ) -> None:
        monkeypatch.setenv("NETWORK", network)
        assert docker.host_address(LocalSettings()) == address

    def test_is_docker_desktops_own_where_that_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPERATING_SYSTEM", "Docker Desktop")
        assert docker.host_address(LocalSettings()) == docker.DESKTOP_HOST

    def test_is_what_the_settings_say_before_anything_else(self) -> None:
        assert docker.host_address(LocalSettings(container_host="10.1.2.3")) == "10.1.2.3"

    @pytest.mark.parametrize("network", ["", "[]", "no JSON", bridge(), bridge(IPV6), '[{"IPAM": {"Config": null}}]'])
    def test_names_the_variable_and_an_example_where_docker_does_not_tell(
        self, monkeypatch: pytest.MonkeyPatch, network: str
    ) -> None:
        monkeypatch.setenv("NETWORK", network)
        monkeypatch.setattr(docker.psutil, "net_if_addrs", dict)
        with pytest.raises(LocalError, match=r"set PAYBRIDGE_LOCAL_CONTAINER_HOST .* for example 172\.17\.0\.1"):
            docker.host_address(LocalSettings())


class TestRemoveContainersOf:
    def test_removes_those_that_mount_something_of_the_folder_and_no_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine, desktops = f"a1 {tmp_path}/sam/build/Api,/tmp/x", f"b2 /host_mnt{tmp_path}/sam/build/Relay"
        others = [f"c3 {tmp_path}/sam-other/build/Api", "d4 volume-name", "e5 "]
        monkeypatch.setenv("CONTAINERS", "\n".join([mine, *others, desktops]))
        monkeypatch.setenv("DOCKER_LOG", str(tmp_path / "log"))
        assert docker.remove_containers_of(tmp_path / "sam") == 2
        assert (tmp_path / "log").read_text().split() == ["rm", "--force", "--volumes", "a1", "b2"]

    def test_asks_for_nothing_where_none_is_left(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONTAINERS", "")
        monkeypatch.setenv("DOCKER_LOG", str(tmp_path / "log"))
        assert docker.remove_containers_of(tmp_path / "sam") == 0
        assert not (tmp_path / "log").exists()


class TestHasImage:
    def test_knows_what_is_here(self) -> None:
        assert docker.has_image("here")
        assert not docker.has_image("elsewhere")


class TestStartRabbitMQ:
    @pytest.mark.usefixtures("program")
    def test_removes_the_container_that_a_killed_client_left_whenever_it_is_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_LOG", str(tmp_path / "docker.log"))
        settings = LocalSettings(state_dir=tmp_path, amqp_port=5673)
        processes = Processes(tmp_path)
        docker.start_rabbitmq(settings, processes, "[].")
        (child,) = processes.children
        child.popen.wait()
        processes.stop_child("rabbitmq")
        processes.start_again(child).popen.wait()
        processes.stop()
        assert (tmp_path / "docker.log").read_text().splitlines() == ["rm --force paybridge-rabbitmq-5673"] * 2
        assert child.output().decode().splitlines() == ["running paybridge-rabbitmq-5673"] * 2
