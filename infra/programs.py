"""Run other programs in the same terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_to_its_end(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Run a program in a folder and return its exit status. Leave Ctrl-C and SIGTERM to the program.

    `subprocess.run` would kill it soon after Ctrl-C. Terraform would then leave its state unsaved and locked.
    """
    # Ctrl-C reaches every program of the terminal, SIGTERM only this one. The program would inherit SIG_IGN, so set a
    # handler instead.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    try:
        with subprocess.Popen(command, cwd=folder, env=variables) as program:
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: program.terminate())
            return program.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
