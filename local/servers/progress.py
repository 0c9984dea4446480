"""Progress on standard output: one line a step, with its seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Print steps and notes to standard output, or nothing when `quiet`."""

    quiet: bool = False

    def note(self, text: str) -> None:
        if not self.quiet:
            print(f"  … {text}", flush=True)

    def done(self, text: str, seconds: float) -> None:
        if not self.quiet:
            print(f"  ✓ {text:<58} {seconds:5.1f} s", flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Print `text` and the seconds that the block took, once it has succeeded."""
        started = time.monotonic()
        yield
        self.done(text, time.monotonic() - started)


def use_utf8() -> None:
    """Print UTF-8, such as the marks of progress lines, even where the locale is C."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
