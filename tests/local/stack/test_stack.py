"""The commands of the offline stack, run as a user runs them, with the test's ports and folder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.commands import demo
from local.servers import postgres
from local.servers.processes import accepts_connections, is_alive, running
from local.settings import PROJECT, LocalSettings
from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit.live import merchant
from local.testkit.servers import private_settings

pytestmark = pytest.mark.e2e

COMMAND_SECONDS_MAX = 90


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalSettings]:
    """Settings of a stack for one test, which leaves nothing running."""
    settings = private_settings(tmp_path / "state")
    yield settings
    command(settings, "down")
    postgres.remove_data(settings)


def environment_of(settings: LocalSettings) -> dict[str, str]:
    return {**os.environ, **settings.environment()}


def command(settings: LocalSettings, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", name],
        cwd=PROJECT,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )


def until_all_gone(processes: list[psutil.Process], seconds_max: float = 40) -> None:
    deadline = time.monotonic() + seconds_max
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [process.pid for process in processes if is_alive(process)] == []


class TestUp:
    def test_comes_up_takes_a_payment_and_goes_down_again(self, own: LocalSettings) -> None:
        up = command(own, "up")
        assert (up.returncode, up.stderr) == (0, "")
        assert f"API        {own.api_url}/docs" in up.stdout
        children = [process for process, _ in running(own.state_dir).values()]
        assert "up already" in command(own, "up").stdout
        sample = command(own, "demo")
        assert (sample.returncode, sample.stderr) == (0, "")
        firsts = [line.split()[0] for line in sample.stdout.splitlines() if line]
        assert firsts == ["Sample", *["✓"] * 7, "Refund", *["✓"] * 5, "The", *["✓"] * 2]
        assert "Stopped." in command(own, "down").stdout
        until_all_gone(children)
        assert not accepts_connections(own.api_port)
        assert "Nothing was running." in command(own, "down").stdout

    def test_names_the_variable_of_a_taken_port_and_leaves_nothing_running(self, own: LocalSettings) -> None:
        with socket.create_server(("127.0.0.1", own.sink_port)):
            up = command(own, "up")
        assert up.returncode == 1
        sentence = (
            f"Port {own.sink_port} for the webhook sink is taken: "
            "free it, or set PAYBRIDGE_LOCAL_SINK_PORT to another port."
        )
        assert up.stderr.strip() == sentence
        assert running(own.state_dir) == {}


class TestRun:
    def test_ends_with_everything_it_started_when_it_is_terminated_while_starting(self, own: LocalSettings) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "run"],
            cwd=PROJECT,
            env=environment_of(own),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while "rabbitmq" not in running(own.state_dir) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = [child for child, _ in running(own.state_dir).values()]
        assert children
        process.terminate()
        assert process.wait(timeout=60) == 143
        until_all_gone(children, 1)


class TestDemo:
    def test_says_what_to_do_when_nothing_runs(self, own: LocalSettings) -> None:
        sample = command(own, "demo")
        assert sample.returncode == 1
        assert sample.stderr == f"Nothing answers at {own.api_url}: start the stack with `make up`.\n"

    def test_shows_every_step_against_the_running_stack(self, stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
        demo.run(stack.settings)
        shown = capsys.readouterr().out
        assert shown.count("✓") == 14
        refund_id = re.findall(r"Refund (\S+): 30\.00 RUB", shown)[0]
        with merchant(stack, DEMO_API_KEY) as own:
            found = own.client.get(f"{own.api_url}/api/v1/refunds/{refund_id}", headers={"X-API-Key": own.api_key})
        refund = found.raise_for_status().json()
        assert (refund["status"], refund["amount"], refund["currency"]) == ("succeeded", "30.00", "RUB")


class TestStatus:
    def test_lists_nothing_without_a_stack(self, own: LocalSettings) -> None:
        assert command(own, "status").stdout == "Nothing is running.\n"


class TestClean:
    def test_deletes_the_state_folder(self, own: LocalSettings) -> None:
        own.logs_dir.mkdir(parents=True)
        (own.logs_dir / "old.log").write_text("old")
        assert command(own, "clean").returncode == 0
        assert not own.state_dir.exists()
