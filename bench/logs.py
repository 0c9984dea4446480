"""Where the log lines of functions go that run within the bench: they are made and written, and nobody sees them."""

from __future__ import annotations

from functools import cache
from os import devnull
from pathlib import Path
from typing import IO


@cache
def nowhere() -> IO[str]:
    """The null device, open until the process ends: loggers of one name keep the stream that the first was given."""
    return Path(devnull).open("w", encoding="utf-8")
