"""Child processes: noticed, stopped by id, and never mistaken for others."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.errors import LocalError, NotReadyError, PortTakenError, ServerDiedError
from local.servers.open_files import UNLIMITED
from local.servers.processes import (
    Processes,
    StoppingError,
    accepts_connections,
    end_reason,
    ensure_port_free,
    free_port,
    is_alive,
    pid_file,
    running,
    stop_recorded,
)
from local.settings import PROJECT

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    children = Processes(tmp_path)
    yield children
    children.stop(seconds_max=0.1)


class TestStart:
    def test_a_child_may_open_as_many_files_as_the_system_gives(self, processes: Processes) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        try:
            child = processes.start("limit", ["/bin/sh", "-c", "ulimit -Sn; sleep 60"], {"PATH": "/bin:/usr/bin"})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        processes.wait_until_ready(child, lambda: child.log.read_bytes().endswith(b"\n"), 10)
        most = UNLIMITED if before[1] == resource.RLIM_INFINITY else before[1]
        assert int(child.log.read_text()) == most


class TestStop:
    def test_ends_every_child_and_forgets_its_pid_file(self, processes: Processes) -> None:
        children = [processes.start(name, SLEEP, {}) for name in ("one", "two")]
        assert set(running(processes.state_dir)) == {"one", "two"}
        processes.stop()
        assert not any(is_alive(child.process) for child in children)
        assert running(processes.state_dir) == {}

    def test_kills_a_child_that_ignores_the_signal(self, processes: Processes) -> None:
        child = processes.start("deaf", STUBBORN, {})
        processes.wait_until_ready(child, lambda: b"deaf" in child.log.read_bytes(), 10)
        processes.stop_child("deaf", seconds_max=0.2)
        assert not is_alive(child.process)

    def test_ends_what_the_child_has_started(self, processes: Processes) -> None:
        script = f"import subprocess; subprocess.run({SLEEP!r})"
        child = processes.start("parent", [sys.executable, "-c", script], {})
        processes.wait_until_ready(child, lambda: bool(child.process.children()), 10)
        (grandchild,) = child.process.children()
        processes.stop()
        assert not is_alive(grandchild)

    def test_lets_nothing_start_afterwards(self, processes: Processes) -> None:
        processes.stop()
        with pytest.raises(StoppingError):
            processes.start("late", SLEEP, {})


class TestStopRecorded:
    def test_stops_what_another_process_has_left(self, processes: Processes) -> None:
        child = processes.start("left", SLEEP, {})
        assert stop_recorded(processes.state_dir) == ["left"]
        assert not is_alive(child.process)

    def test_leaves_a_process_alone_that_got_the_recorded_id_later(self, processes: Processes) -> None:
        child = processes.start("other", SLEEP, {})
        path = pid_file(processes.state_dir, "other")
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "birth": record["birth"] - 100}))
        assert stop_recorded(processes.state_dir) == []
        assert psutil.pid_exists(child.process.pid)
        assert is_alive(child.process)

    def test_knows_its_processes_when_the_clock_has_been_set_meanwhile(
        self, processes: Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = processes.start("left", SLEEP, {})
        # psutil reckons the time of birth from that of the boot, which the kernel derives from the clock.
        booted_at = psutil.boot_time()
        monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted_at + 3_600)
        assert psutil.Process(child.process.pid).create_time() > child.process.create_time() + 3_000
        assert list(running(processes.state_dir)) == ["left"]

    def test_forgets_a_broken_pid_file(self, processes: Processes) -> None:
        path = pid_file(processes.state_dir, "broken")
        path.parent.mkdir(parents=True)
        path.write_text("{")
        assert stop_recorded(processes.state_dir) == []
        assert not path.exists()


class TestWaitUntilReady:
    def test_shows_the_end_of_the_log_of_a_child_that_ended(self, processes: Processes) -> None:
        child = processes.start("short", [sys.executable, "-c", "print('the reason')"], {})
        with pytest.raises(ServerDiedError, match=r"(?s)short ended unexpectedly.*the reason"):
            processes.wait_until_ready(child, lambda: False, 10)

    def test_gives_up_after_the_given_time(self, processes: Processes) -> None:
        child = processes.start("slow", SLEEP, {})
        with pytest.raises(NotReadyError, match=r"slow was not ready after 0 s: see .*slow\.log"):
            processes.wait_until_ready(child, lambda: False, 0.1)


class TestDead:
    def test_notices_a_child_that_was_killed(self, processes: Processes) -> None:
        child = processes.start("victim", SLEEP, {})
        assert processes.dead() == []
        child.process.kill()
        deadline = time.monotonic() + 5
        while processes.dead() == [] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert processes.dead() == [child]


class TestEndReason:
    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
            ("", "exit status 0"),
            ("import sys; sys.exit(3)", "exit status 3"),
            ("import sys; sys.exit('the disk is full.')", "exit status 1: the disk is full"),
            (
                "import sys; print('10:00 UTC FATAL:  memory in use', 'HINT:  wait', sep='\\n'); sys.exit(1)",
                "exit status 1: 10:00 UTC FATAL:  memory in use",
            ),
        ],
    )
    def test_has_the_signal_or_the_last_error(self, program: str, reason: str, processes: Processes) -> None:
        assert end_reason(processes.start("one", [sys.executable, "-c", program], {})) == reason

    def test_has_nothing_of_an_earlier_process(self, processes: Processes) -> None:
        first = processes.start("one", [sys.executable, "-c", "import sys; sys.exit('no disk')"], {})
        first.popen.wait()
        second = processes.start("one", [sys.executable, "-c", "import sys; sys.exit(4)"], {})
        assert end_reason(second) == "exit status 4"


class TestRunTool:
    def test_gives_the_output(self, processes: Processes) -> None:
        assert processes.run_tool([sys.executable, "-c", "print('done')"]) == "done\n"

    def test_raises_with_the_output_of_a_tool_that_fails(self, processes: Processes) -> None:
        with pytest.raises(LocalError, match="broken pipe dream"):
            processes.run_tool([sys.executable, "-c", "import sys; sys.exit('broken pipe dream')"])


class TestEnsurePortFree:
    def test_names_port_user_and_variable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            sentence = f"Port {port} for the API is taken: free it, or set PAYBRIDGE_API_PORT to another port."
            with pytest.raises(PortTakenError, match=sentence):
                ensure_port_free(port, "the API", "PAYBRIDGE_API_PORT")

    def test_says_that_a_port_is_held_by_a_connection_that_ended(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            port = client.getsockname()[1]
            served, _ = listener.accept()
            # The side that closes first keeps the port.
            client.close()
            served.close()
        with pytest.raises(PortTakenError, match="wait a minute, or set PAYBRIDGE_API_PORT"):
            ensure_port_free(port, "the API", "PAYBRIDGE_API_PORT")

    def test_accepts_a_port_that_nothing_uses(self) -> None:
        port = free_port()
        ensure_port_free(port, "the API", "PAYBRIDGE_API_PORT")
        assert not accepts_connections(port)


class TestFreePort:
    def test_a_lease_keeps_other_processes_away_and_lets_a_server_in(self) -> None:
        port = free_port()
        only_this = f"processes.FREE_PORTS = range({port}, {port + 1})"
        ask = f"from local.servers import processes; {only_this}; processes.free_port()"
        asked = subprocess.run([sys.executable, "-c", ask], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert "LocalError: No port" in asked.stderr
        socket.create_server(("127.0.0.1", port)).close()
