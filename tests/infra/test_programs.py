"""Run another program in the same terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from infra.programs import run_to_its_end
from local.settings import PROJECT

# Ends a while after the signal, like Terraform, which saves its state first.
SLOW = """
    import pathlib, signal, sys, time

    def end(*_):
        time.sleep(1)
        pathlib.Path("saved").touch()
        sys.exit(7)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    time.sleep(60)
"""


def test_gives_the_exit_status_and_leaves_signals_as_they_were(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    script = "import os, sys; open('here', 'w').write(os.environ['WHO']); sys.exit(5)"
    assert run_to_its_end([sys.executable, "-c", script], tmp_path, {"WHO": "me"}) == 5
    assert (tmp_path / "here").read_text() == "me"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["ctrl-c", "sigterm"]
)
def test_a_signal_lets_the_program_finish(tmp_path: Path, number: signal.Signals, to_all: bool) -> None:
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    script = (
        "import os, pathlib, sys; from infra.programs import run_to_its_end\n"
        f"sys.exit(run_to_its_end([sys.executable, 'slow.py'], pathlib.Path({str(tmp_path)!r}), os.environ))"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, start_new_session=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"ready\n"
        if to_all:
            os.killpg(runner.pid, number)
        else:
            runner.send_signal(number)
        assert runner.wait(20) == 7
    assert (tmp_path / "saved").exists()
