"""Other programs that work in the same terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def run_to_its_end(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Runs a program in a folder and gives its exit status, also after Ctrl-C or SIGTERM, which are for the program.

    `subprocess.run` would kill it a moment after Ctrl-C, and Terraform then leaves its state behind, and locked.
    """
    # Ctrl-C reaches every program of the terminal; SIGTERM reaches only this one. A handler and not SIG_IGN, which the
    # program would inherit.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    try:
        with subprocess.Popen(command, cwd=folder, env=variables) as program:
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: program.terminate())
            return program.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
