"""What `make status` says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.commands import status
from local.commands.status import PartStatus
from local.servers.processes import write_pid_file
from local.settings import LocalSettings
from local.testkit.receiver import running_receiver

Output = pytest.CaptureFixture[str]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    """A state folder whose gateway answers, and whose sink is a process that does not."""
    with running_receiver() as receiver:
        port = int(receiver.url.rpartition(":")[2].strip("/"))
        yield replace(LocalSettings(), state_dir=tmp_path, gateway_port=port, sink_port=1)


class TestShow:
    def test_has_a_line_for_each_process(self, settings: LocalSettings, capsys: Output) -> None:
        this = psutil.Process()
        for name in ("gateway", "sink", "worker-relay"):
            write_pid_file(settings.state_dir, name, this)
        status.show(settings)
        gateway, sink, worker = capsys.readouterr().out.splitlines()
        assert gateway.split()[:5] == ["gateway", "simulated", "gateway", "port", str(settings.gateway_port)]
        assert gateway.endswith(f"pid {this.pid}")
        assert sink.endswith("does not answer")
        assert worker.split()[:3] == ["worker-relay", "worker", "up"]

    def test_says_why_nothing_runs(self, settings: LocalSettings, capsys: Output) -> None:
        settings.logs_dir.mkdir(parents=True)
        errors = settings.logs_dir / "errors.log"
        errors.write_text("rabbitmq ended unexpectedly. The end of rabbitmq.log: \n  the last line\n")
        status.show(settings)
        said = capsys.readouterr().out
        assert said.startswith("Nothing is running. The last stack stopped on ")
        assert said.endswith(f": rabbitmq ended unexpectedly. See {errors}.\n")

    def test_names_the_error_of_a_traceback(self, settings: LocalSettings, capsys: Output) -> None:
        settings.logs_dir.mkdir(parents=True)
        errors = settings.logs_dir / "errors.log"
        errors.write_text('Traceback (most recent call last):\n  File "x.py", line 1\nOSError: disk full\n')
        status.show(settings)
        assert capsys.readouterr().out.endswith(f": OSError: disk full. See {errors}.\n")


class TestPartStatus:
    @pytest.mark.parametrize(("seconds", "text"), [(40, "up 40 s"), (130, "up 2 min"), (7300, "up 2 h")])
    def test_says_how_long_it_has_been_up(self, seconds: float, text: str) -> None:
        part = PartStatus("sink", "webhook sink", 8091, is_answering=True, up_seconds=seconds, pid=7)
        assert text in part.line()
