"""`make local` as a newcomer meets it, beside a stack that runs already: timeline, Ctrl-C, a taken port."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from local import demo
from local.processes import accepts_connections, is_alive, running
from local.servers import postgres
from local.settings import PROJECT, LocalSettings
from local.stack import Stack
from tests.support import live
from tests.support.servers import private_settings

pytestmark = pytest.mark.e2e

START_SECONDS_MAX, STOP_SECONDS_MAX = 90, 60


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    """Settings of a second stack, with the gateway's usual patience."""
    own = private_settings(tmp_path / "state")
    yield own
    postgres.remove_data(own)


class Foreground:
    """A command that runs as in a terminal, and what it has printed so far."""

    def __init__(self, settings: LocalSettings, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", name],
            cwd=PROJECT,
            env={**os.environ, **settings.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,))
            for lines, stream in ((self.lines, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def prints(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def wait(self) -> int:
        """The exit code, once everything that was printed has been read."""
        code = self.process.wait(STOP_SECONDS_MAX)
        for reader in self._readers:
            reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextmanager
def foreground(settings: LocalSettings, name: str) -> Iterator[Foreground]:
    """A running command, which the block or, failing that, this brings to its end."""
    command = Foreground(settings, name)
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            command.process.terminate()
        command.wait()


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_a_second_stack_runs_beside_the_first_and_ctrl_c_ends_all_of_it(stack: Stack, settings: LocalSettings) -> None:
    with foreground(settings, "run") as command:
        live.eventually(
            lambda: command.prints("webhook delivered, signature verified") or command.process.poll() is not None,
            "the timeline",
            START_SECONDS_MAX,
        )
        live.eventually(lambda: command.prints("Ctrl-C stops everything"), "the invitation to stop")
        steps = [line.split("ms", 1)[1].strip() for line in command.lines if " ms " in line and "✓" in line]
        assert steps == [
            "accepted",
            "relayed to the broker",
            "consumed",
            "charged by the gateway",
            "event relayed",
            "webhook delivered, signature verified",
        ]
        # The first one works as before while the second runs, and neither knows the other's payments.
        demo.run(stack.settings)
        started = family(command.process)
        assert len(started) > len(running(settings.state_dir)) >= 7
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0
        assert command.errors == []
        assert [process for process in started if is_alive(process)] == []
        assert running(settings.state_dir) == {}
        assert not any(map(accepts_connections, ports(settings)))
    demo.run(stack.settings)
    assert stack.processes.first_dead() is None


def ports(settings: LocalSettings) -> list[int]:
    return [settings.api_port, settings.amqp_port, settings.postgres_port, settings.gateway_port, settings.sink_port]


@pytest.mark.parametrize("milestone", ["AWS fake", "schema migrated"])
def test_ctrl_c_during_the_start_leaves_nothing_running(settings: LocalSettings, milestone: str) -> None:
    with foreground(settings, "run") as command:
        live.eventually(lambda: command.prints(milestone), milestone, START_SECONDS_MAX)
        started = family(command.process)
        assert started
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert command.errors == []
        assert [process for process in started if is_alive(process)] == []


@pytest.mark.parametrize(
    ("port", "variable"),
    [("api_port", "PAYBRIDGE_API_PORT"), ("postgres_port", "PAYBRIDGE_LOCAL_POSTGRES_PORT")],
)
def test_a_taken_port_is_one_sentence_that_names_its_variable(
    settings: LocalSettings, port: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", getattr(settings, port))), foreground(settings, "run") as command:
        assert command.wait() == 1
        (sentence,) = command.errors
        assert variable in sentence
        assert str(getattr(settings, port)) in sentence
        assert running(settings.state_dir) == {}


def test_a_start_clears_away_what_a_killed_supervisor_left(settings: LocalSettings) -> None:
    with foreground(settings, "run") as killed:
        live.eventually(lambda: killed.prints("topology declared"), "the servers", START_SECONDS_MAX)
        left = family(killed.process)
        killed.process.kill()
        killed.wait()
        assert any(map(is_alive, left))
        with foreground(settings, "servers") as command:
            live.eventually(lambda: command.prints("Ready"), "the servers again", START_SECONDS_MAX)
            assert [process for process in left if is_alive(process)] == []
            command.process.send_signal(signal.SIGINT)
            assert command.wait() == 130
        assert running(settings.state_dir) == {}
