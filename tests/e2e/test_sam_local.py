"""`make sam-local`: with Docker, and without it with our Lambda host in place of Docker.

It speaks the same Invoke API, and calls the servers of the stack by another address than theirs, as containers do.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.commands import demo
from local.servers import docker, postgres
from local.servers.processes import Child, Processes, accepts_connections, running
from local.servers.progress import Progress
from local.settings import PROJECT, LocalSettings
from local.stack import sam, seed
from local.stack.forward import is_own_address
from local.stack.sam_local import SamLocal
from local.testkit import live
from local.testkit.live import merchant
from local.testkit.servers import private_settings
from tests.support.foreground import TIMELINE, foreground

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
# Building, fetching Lambda's image and building one with the layer.
START_SECONDS_MAX = 1000
# Another address of this machine, where nothing of the stack listens.
CONTAINER_HOST = "127.0.0.2"
needs_docker = pytest.mark.skipif(not docker.is_usable(), reason="no Docker engine answers")
without_docker = pytest.mark.skipif(docker.is_usable(), reason="a Docker engine answers")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    own = replace(
        private_settings(tmp_path / "state"), gateway_latency_seconds_min=0.0, gateway_latency_seconds_max=0.0
    )
    yield own
    postgres.remove_data(own)


@needs_docker
@pytest.mark.usefixtures("sam_environment")
def test_a_payment_goes_through_functions_in_containers(settings: LocalSettings) -> None:
    with foreground(settings, "sam-local") as command:
        command.until_it_may_be_stopped(START_SECONDS_MAX)
        assert command.timeline() == TIMELINE
        address = docker.host_address(LocalSettings())
        assert command.prints(f"webhook_url http://{address}:{settings.sink_port}/ok")
        # sam is restarted like every other part, with new containers.
        running(settings.state_dir)["sam"][0].kill()
        live.eventually(lambda: command.prints("sam is up again"), "the restart of sam", START_SECONDS_MAX)
        demo.run(settings)
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0
    assert docker.remove_containers_of(settings.state_dir / "sam") == 0


@needs_docker
@pytest.mark.usefixtures("sam_environment")
def test_down_removes_the_containers_that_a_crash_left(settings: LocalSettings) -> None:
    with foreground(settings, "sam-local") as command:
        command.until_it_may_be_stopped(START_SECONDS_MAX)
        running(settings.state_dir)["sam"][0].kill()
        command.process.kill()
        command.process.wait()
    with foreground(settings, "down") as down:
        assert down.wait() == 0
        assert down.lines == ["Stopped.\n"]
    assert docker.remove_containers_of(settings.state_dir / "sam") == 0


@without_docker
def test_says_in_one_sentence_that_docker_is_missing(settings: LocalSettings) -> None:
    with foreground(settings, "sam-local") as command:
        assert command.wait() == 1
    assert command.errors == ["`sam local` runs the functions in Docker, which does not answer: start Docker.\n"]


@pytest.mark.skipif(not is_own_address(CONTAINER_HOST), reason=f"this system has no {CONTAINER_HOST}")
def test_a_payment_goes_through_the_address_that_containers_call(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "is_usable", lambda: True)
    monkeypatch.setattr(docker, "has_image", lambda _image: True)
    monkeypatch.setattr(sam, "build", lambda *_: PROJECT / "template.yaml")
    monkeypatch.setattr(sam, "name_endpoint", lambda _template, url: endpoints.append(url))
    monkeypatch.setattr(sam, "start_lambda", start_lambda)
    with SamLocal(replace(settings, container_host=CONTAINER_HOST), Progress(quiet=True)) as stack:
        with merchant(stack, seed.DEMO_API_KEY) as one:
            payment_id = one.pay(webhook_url=f"{stack.settings.seen_by_functions(stack.urls.sink)}/ok")
            assert live.webhook(stack.urls.sink, payment_id)["verified"]
            assert len(live.charges(stack.urls.gateway, payment_id)) == 1
        # As `make demo` does from another terminal, whose settings do not mention containers.
        demo.run(settings)
        # Everything that the functions call is behind the other address.
        for name in ("database/host", "broker/url", "gateway/url"):
            assert CONTAINER_HOST in seed.parameter(stack.settings, f"/paybridge/dev/{name}")
        assert endpoints == [f"http://{CONTAINER_HOST}:{stack.settings.aws_port}"]
        names = [child.name for child in stack.processes.children]
        assert names.index("forward") < names.index("sam") < names.index("bridge")


endpoints: list[str] = []


def start_lambda(
    settings: LocalSettings,
    processes: Processes,
    template: Path,
    parameters: dict[str, str],
    functions: list[str],
    *,
    has_image: bool,
) -> Child:
    """The Lambda host with nothing in front of it, for what `sam local start-lambda` is asked to run."""
    assert sorted(functions) == [
        "ApiFunction",
        "ArchiveFunction",
        "BridgeFunction",
        "ConsumerFunction",
        "DeadLettersFunction",
        "IntakeFunction",
        "JobsFunction",
        "LedgerFunction",
        "LongJobsFunction",
        "NotifierFunction",
        "RelayFunction",
        "WebhooksFunction",
    ]
    assert has_image
    command = [sys.executable, "-m", "local.bridge", "--no-schedules", "--template", str(template), "--api-port", "0"]
    command += ["--lambda-port", str(settings.lambda_port), "--logs-dir", str(settings.logs_dir)]
    command += [f"--parameter={name}={value}" for name, value in parameters.items()]
    own = {**sam.environment(settings, {"AWS_ENDPOINT_URL": endpoints[0]}), "PYTHONPATH": str(PROJECT)}
    own["PYTHONPATH"] += f":{PROJECT / 'layers/paybridge'}"
    child = processes.start("sam", command, own, cwd=PROJECT)
    processes.wait_until_ready(child, lambda: accepts_connections(settings.lambda_port), 60)
    return child
