"""What the stack tells the user while it works: one line a step, with its seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Prints steps and notes to standard output, or nothing at all when `quiet`."""

    quiet: bool = False

    def note(self, text: str) -> None:
        if not self.quiet:
            print(f"  … {text}", flush=True)

    def done(self, text: str, seconds: float) -> None:
        if not self.quiet:
            print(f"  ✓ {text:<58} {seconds:5.1f} s", flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Prints `text` and the seconds that the block took, once it has succeeded."""
        started = time.monotonic()
        yield
        self.done(text, time.monotonic() - started)


def use_utf8() -> None:
    """Let the marks of the progress lines pass where the locale is C, as on a bare system."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
