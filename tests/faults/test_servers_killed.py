"""Servers of a stack in the background are killed one after the other: the stack goes on and restarts each."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from local.commands import supervision
from local.servers import postgres
from local.servers.processes import running
from local.settings import PROJECT, LocalSettings
from local.stack.restarts import PartState, read_records
from local.stack.seed import DEMO_API_KEY
from local.testkit.live import charges, eventually, received
from local.testkit.servers import private_settings
from tests.support.foreground import foreground

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(300)]

# An outage waits up to 120 s for its part, and then up to 150 s for the payments.
COMMAND_SECONDS_MAX = 280


def command(settings: LocalSettings, name: str, **variables: str) -> str:
    """Run a command that succeeds, and give what it prints."""
    ended = run_command(settings, name, **variables)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def run_command(settings: LocalSettings, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", name],
        cwd=PROJECT,
        env={**os.environ, **settings.environment(), **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


@pytest.fixture(scope="module")
def background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    """A stack as `make up` starts it, whose gateway answers at once and always charges."""
    quick = {"gateway_success_rate": 1.0, "gateway_latency_seconds_min": 0.0, "gateway_latency_seconds_max": 0.0}
    settings = replace(private_settings(tmp_path_factory.mktemp("up")), **quick)
    command(settings, "up")
    yield settings
    command(settings, "down")
    postgres.remove_data(settings)


@pytest.fixture
def merchant() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=40, trust_env=False, headers={"X-API-Key": DEMO_API_KEY}) as client:
        yield client


def post(settings: LocalSettings, merchant: httpx.Client, key: str) -> httpx.Response:
    body = {"amount": "9.99", "currency": "EUR", "webhook_url": f"{settings.sink_url}/ok"}
    return merchant.post(f"{settings.api_url}/api/v1/payments", json=body, headers={"Idempotency-Key": key})


def kill(settings: LocalSettings, name: str) -> int:
    process, _ = running(settings.state_dir)[name]
    process.kill()
    return process.pid


def until_up_again(settings: LocalSettings, name: str, old_pid: int) -> None:
    def look() -> bool:
        record = read_records(settings.state_dir).get(name)
        process = running(settings.state_dir).get(name)
        is_up = record is not None and record.state == PartState.UP
        return is_up and process is not None and process[0].pid != old_pid

    eventually(look, f"{name} up again", 60)


def assert_settles(settings: LocalSettings, merchant: httpx.Client, payment_id: str) -> None:
    def is_final() -> bool:
        answer = merchant.get(f"{settings.api_url}/api/v1/payments/{payment_id}", headers={"Prefer": "wait=5"})
        return answer.is_success and answer.json()["status"] == "succeeded"

    eventually(is_final, f"{payment_id} settled", 60)
    assert len(charges(settings.gateway_url, payment_id)) == 1
    eventually(lambda: received(settings.sink_url, payment_id), f"the webhook of {payment_id}", 60)


# Before the broker is killed: RabbitMQ 3.10 sometimes leaves a quorum queue unavailable until its next start.
def test_the_functions_come_back_with_their_host(background: LocalSettings, merchant: httpx.Client) -> None:
    waiting = post(background, merchant, str(uuid.uuid4())).json()["payment_id"]
    pid = kill(background, "bridge")
    until_up_again(background, "bridge", pid)
    assert_settles(background, merchant, waiting)


def test_the_functions_start_again_when_the_aws_fake_has_been_killed_too(
    background: LocalSettings, merchant: httpx.Client
) -> None:
    pids = {name: kill(background, name) for name in ("moto", "bridge")}
    for name, pid in pids.items():
        until_up_again(background, name, pid)
    payment_id = eventually(lambda: accepted(background, merchant, str(uuid.uuid4())), "accepted")
    assert_settles(background, merchant, payment_id.json()["payment_id"])


@pytest.mark.parametrize("name", ["rabbitmq", "gateway", "sink", "moto", "epmd"])
def test_payments_are_accepted_meanwhile_and_settle(
    name: str, background: LocalSettings, merchant: httpx.Client
) -> None:
    pid = kill(background, name)
    answers = [post(background, merchant, str(uuid.uuid4())) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    until_up_again(background, name, pid)
    answers.append(post(background, merchant, str(uuid.uuid4())))
    for answer in answers:
        assert_settles(background, merchant, answer.json()["payment_id"])


def test_the_database_is_asked_for_patience_and_comes_back(background: LocalSettings, merchant: httpx.Client) -> None:
    pid = kill(background, "postgres")
    key = str(uuid.uuid4())
    first = post(background, merchant, key)
    if first.status_code != 202:
        assert first.status_code == 503
        assert first.headers["content-type"] == "application/problem+json"
        assert int(first.headers["retry-after"]) > 0
    until_up_again(background, "postgres", pid)
    again = eventually(lambda: accepted(background, merchant, key), "accepted again")
    assert_settles(background, merchant, again.json()["payment_id"])


def accepted(settings: LocalSettings, merchant: httpx.Client, key: str) -> httpx.Response | None:
    answer = post(settings, merchant, key)
    return answer if answer.status_code == 202 else None


class TestOutage:
    def test_shows_that_payments_are_accepted_without_the_broker_and_settle_with_it(
        self, background: LocalSettings
    ) -> None:
        lines = command(background, "outage", PART="rabbitmq", SECONDS="10").splitlines()
        payments = [line for line in lines if "  payment " in line]
        assert len(payments) >= 3
        assert all("  202  " in line for line in payments)
        assert f"{len(payments)} payments, " in lines[-2]
        assert lines[-2].endswith(f": {len(payments)} succeeded.")
        assert lines[-1].endswith(f"The gateway charged {len(payments)} times.")

    def test_sends_again_what_the_api_could_not_take(self, background: LocalSettings) -> None:
        lines = command(background, "outage", PART="postgres", SECONDS="8").splitlines()
        payments = [line for line in lines if "  payment " in line]
        refused = [line for line in payments if "  503 (Retry-After " in line]
        assert len(refused) >= 2
        # The answer to the last one may come when the database is there again.
        assert all("  202  " in line for line in payments if line not in refused)
        again = f"{len(refused)} payments were not accepted. Sent again with the same keys: {len(refused)} accepted."
        assert any(line.endswith(again) for line in lines)
        assert lines[-2].endswith(f": {len(payments)} succeeded.")

    @pytest.mark.parametrize(
        ("variables", "sentence"),
        [
            ({"PART": "rabbit"}, "There is no part 'rabbit' to stop: choose bridge, epmd, gateway, moto, "),
            ({}, "Name the part to stop, as in PART=rabbitmq: choose bridge, epmd, gateway, moto, "),
            ({"PART": "sink", "SECONDS": "soon"}, "SECONDS is 'soon': choose from 1 to 3600."),
            ({"PART": "sink", "SECONDS": "0"}, "SECONDS is '0': choose from 1 to 3600."),
        ],
    )
    def test_explains_what_it_cannot_do(
        self, variables: dict[str, str], sentence: str, background: LocalSettings
    ) -> None:
        ended = run_command(background, "outage", **variables)
        assert ended.returncode == 1
        assert ended.stderr.startswith(sentence)
        assert len(ended.stderr.splitlines()) == 1

    def test_ends_when_its_command_is_interrupted(self, background: LocalSettings) -> None:
        with foreground(background, "outage", PART="sink", SECONDS="600") as outage:
            eventually(lambda: outage.prints("sink is stopped"), "the outage")
            assert "sink" not in running(background.state_dir)
            outage.process.send_signal(signal.SIGINT)
            assert outage.wait() == 130
        eventually(lambda: "sink" in running(background.state_dir), "the sink again")


class TestLastRun:
    """These tests stop the stack of the module, in this order."""

    def test_a_stack_without_its_watcher_is_reported_and_ended(self, background: LocalSettings) -> None:
        watcher = supervision.supervisor(background)
        assert watcher is not None
        watcher.kill()
        eventually(lambda: supervision.supervisor(background) is None, "the end of the watcher")
        assert "The process that watches these parts is gone: `make down` ends them." in command(background, "status")
        assert "the stack is gone: `make down` first" in run_command(background, "outage", PART="sink").stderr
        assert command(background, "down") == "Stopped.\n"
        assert running(background.state_dir) == {}

    def test_is_shown_by_logs_and_status_once_the_stack_is_stopped(self, background: LocalSettings) -> None:
        logs = run_command(background, "logs")
        assert logs.returncode == 0
        # The first line may continue an entry whose beginning is not among the last lines.
        assert re.search(r"^\d\d:\d\d:\d\d  \w+ ", logs.stdout, re.MULTILINE)
        assert logs.stderr.startswith("Nothing is running. The last stack was stopped at ")
        assert command(background, "status").startswith("Nothing is running. The last stack was stopped at ")
        shell = f"{sys.executable} -m local logs | head -1"
        environment = {**os.environ, **background.environment()}
        headed = subprocess.run(
            ["sh", "-c", shell], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert len(headed.stdout.splitlines()) == 1
        assert "Traceback" not in headed.stderr
        assert "Broken" not in headed.stderr
