"""`make test-brokers`: which versions run, by which way, its report and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.settings import PROJECT
from local.testkit import given_broker
from local.testkit.servers import Broker
from tests.support.brokers import ways

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NO_BROKER = {ways.COMMAND: "", given_broker.URL: "", given_broker.MANAGEMENT_URL: "", given_broker.CTL: ""}
# Brokers that are none: it notes what it is asked for, and knows two versions.
COMMAND = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1 $2" in
  "start 9.1"|"start 9.2") ;;
  start*) echo "no version $2: choose 9.1 or 9.2" >&2; exit 1 ;;
esac
"""
# A Docker that only notes what it is asked for.
DOCKER = """#!/bin/sh
echo "$@" >> {folder}/asked
"""
# What stands for the messaging tests: it fails where the test wants it to, and notes which broker it was given.
TESTS = """
import json, os, pathlib, pytest

FOLDER = pathlib.Path({folder!r})

@pytest.mark.broker
def test_given():
    given = {{name: value for name, value in os.environ.items() if name.startswith("PAYBRIDGE_TEST_RABBITMQ")}}
    with (FOLDER / "given").open("a") as noted:
        noted.write(json.dumps(given) + "\\n")
    assert not (FOLDER / "fails").exists()

def test_no_messaging():
    raise AssertionError("is not asked for")
"""


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_messaging.py").write_text(TESTS.format(folder=str(tmp_path)))
    return tmp_path


def run(folder: Path, *versions: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `make test-brokers` for these versions, over the stand-in tests."""
    path = os.pathsep.join(["functions", "layers/paybridge", "."])
    arguments = [*versions, f"--pytest={folder / 'test_messaging.py'} -p no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "tests.support.brokers", *arguments],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": path, **NO_BROKER, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def environment_of(process: psutil.Process) -> dict[str, str]:
    """What the process was started with; nothing where it has ended or is another user's."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def noted(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


class TestCommand:
    @pytest.fixture
    def command(self, folder: Path) -> str:
        return executable(folder / "brokers", COMMAND.format(folder=folder))

    def test_starts_stops_and_hands_over_each_version_that_was_asked_for(self, folder: Path, command: str) -> None:
        ended = run(folder, "9.1", "9.2", PAYBRIDGE_TEST_BROKER_COMMAND=command)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        asked = [line.split() for line in noted(folder, "asked")]
        assert [(words[0], words[1]) for words in asked] == [
            ("start", "9.1"),
            ("stop", "9.1"),
            ("start", "9.2"),
            ("stop", "9.2"),
        ]
        for start, given in zip(asked[::2], map(json.loads, noted(folder, "given")), strict=True):
            _, version, amqp_port, management_port = start
            assert given == {
                "PAYBRIDGE_TEST_RABBITMQ_URL": f"amqp://guest:guest@127.0.0.1:{amqp_port}/",
                "PAYBRIDGE_TEST_RABBITMQ_MANAGEMENT_URL": f"http://guest:guest@127.0.0.1:{management_port}",
                "PAYBRIDGE_TEST_RABBITMQCTL": f"{command} ctl {version} {amqp_port}",
            }
        assert "RabbitMQ 9.1   1 passed, 0 failed, 0 skipped" in ended.stdout
        assert "2 of 2 versions ran, 0 failed." in ended.stdout

    def test_fails_when_a_version_fails_and_still_stops_its_broker(self, folder: Path, command: str) -> None:
        (folder / "fails").touch()
        ended = run(folder, "9.1", PAYBRIDGE_TEST_BROKER_COMMAND=command)
        assert ended.returncode == 1
        assert "RabbitMQ 9.1   FAILED: 0 passed, 1 failed" in ended.stdout
        assert noted(folder, "asked")[-1].startswith("stop 9.1")

    def test_a_version_that_was_asked_for_and_cannot_be_started_is_named_and_fails(
        self, folder: Path, command: str
    ) -> None:
        ended = run(folder, "9.1", "9.9", PAYBRIDGE_TEST_BROKER_COMMAND=command)
        assert ended.returncode == 1
        assert "RabbitMQ 9.9   not run: `brokers start` says: no version 9.9: choose 9.1 or 9.2" in ended.stdout
        assert "1 of 2 versions ran, 0 failed." in ended.stdout


class TestInstalled:
    def test_its_version_is_read_from_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "plugins" / "rabbit-3.13.7").mkdir(parents=True)
        (tmp_path / "plugins" / "rabbit_common-3.13.7").mkdir()
        assert ways.version_of(tmp_path / "sbin" / "rabbitmq-server") == "3.13"

    def test_files_that_do_not_say_it_are_a_reason(self, tmp_path: Path) -> None:
        with pytest.raises(ways.CannotStart, match="does not say"):
            ways.version_of(tmp_path / "sbin" / "rabbitmq-server")

    def test_a_look_for_it_leaves_no_process_behind(self, folder: Path) -> None:
        run(folder, "9.1", MARK=str(folder))
        assert [
            process for process in psutil.process_iter() if environment_of(process).get("MARK") == str(folder)
        ] == []


class TestGiven:
    def test_is_the_only_one_and_is_left_running(self, folder: Path, broker: Broker) -> None:
        given = {"PAYBRIDGE_TEST_RABBITMQ_URL": broker.amqp_url}
        given["PAYBRIDGE_TEST_RABBITMQ_MANAGEMENT_URL"] = broker.management_url
        ended = run(folder, **given)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "as it is given)" in ended.stdout
        assert "1 of 1 versions ran, 0 failed." in ended.stdout
        assert json.loads(noted(folder, "given")[0]) == {"PAYBRIDGE_TEST_RABBITMQCTL": "", **given}
        assert run(folder, "9.1", **given).returncode == 1

    def test_one_that_is_not_there_is_named_in_a_sentence(self, folder: Path) -> None:
        ended = run(folder, **{given_broker.URL: "amqp://guest:guest@127.0.0.1:1/"})
        assert ended.returncode == 1
        assert ended.stderr.startswith("PAYBRIDGE_TEST_RABBITMQ_MANAGEMENT_URL leads to no RabbitMQ (")
        assert ended.stderr.count("\n") == 1


class TestContainer:
    def test_has_the_plugin_its_own_ports_and_its_tool_and_goes_again(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executable(folder / "docker", DOCKER.format(folder=folder))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(ways, "until_ready", lambda *_: None)
        with ways.Container().running("4.2") as variables:
            started, enabled = noted(folder, "asked")
        amqp_port = variables["PAYBRIDGE_TEST_RABBITMQ_URL"].rstrip("/").rpartition(":")[2]
        management_port = variables["PAYBRIDGE_TEST_RABBITMQ_MANAGEMENT_URL"].rpartition(":")[2]
        name = f"paybridge-test-rabbitmq-{amqp_port}"
        assert started.startswith("run --detach --rm ")
        assert f"--publish 127.0.0.1:{amqp_port}:5672 --publish 127.0.0.1:{management_port}:15672" in started
        assert started.endswith(" rabbitmq:4.2-management")
        assert enabled == f"exec {name} rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"
        assert variables["PAYBRIDGE_TEST_RABBITMQCTL"] == f"docker exec {name} rabbitmqctl"
        assert noted(folder, "asked")[-1] == f"rm --force {name}"

    def test_one_that_does_not_become_ready_is_named_and_removed(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executable(folder / "docker", DOCKER.format(folder=folder))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(ways, "READY_SECONDS_MAX", 0)
        with pytest.raises(ways.CannotStart, match="not ready after 0 s"), ways.Container().running("4.2"):
            pytest.fail("is not ready")
        assert noted(folder, "asked")[-1].startswith("rm --force ")

    def test_an_image_that_cannot_be_had_is_named_and_not_the_help(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = "Unable to find image locally", "docker: Error response: no such host", "", "Run 'docker run --help'"
        said = "\n".join(f'echo "{line}" >&2' for line in lines)
        executable(folder / "docker", f"#!/bin/sh\n{said}\nexit 125\n")
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        sentence = "`docker run` says: docker: Error response: no such host"
        with pytest.raises(ways.CannotStart, match=sentence), ways.Container().running("4.2"):
            pytest.fail("has no image")


class TestWithoutAChoice:
    def test_what_cannot_be_started_is_named_and_the_rest_runs(self, folder: Path) -> None:
        ended = run(folder, PATH=f"{empty(folder)}{os.pathsep}{os.environ['PATH']}")
        # What is installed here, or comes from Debian's packages, has run; the tests start it themselves.
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "as it is installed)" in ended.stdout
        assert json.loads(noted(folder, "given")[0])["PAYBRIDGE_TEST_RABBITMQ_URL"] == ""
        assert "not run: the installed one is" in ended.stdout
        assert "PAYBRIDGE_TEST_BROKER_COMMAND names no command; no Docker engine answers" in ended.stdout


def empty(folder: Path) -> Path:
    """A folder for PATH in which Docker does not work."""
    place = folder / "bin"
    place.mkdir()
    executable(place / "docker", "#!/bin/sh\nexit 1\n")
    return place
