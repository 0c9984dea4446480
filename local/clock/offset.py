"""How far the stack's time is ahead of the machine's: eight bytes in a file that every process of the stack maps.

Its own imports are of the standard library only: the launcher loads it into each environment of a function, whose
`sys.path` has no `local`.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

# Names the file to the processes of the stack.
VARIABLE = "PAYBRIDGE_LOCAL_CLOCK_FILE"
# Gives the bridge the URL by which it moves the database's time.
CLOCK_DATABASE = "PAYBRIDGE_LOCAL_CLOCK_POSTGRES_URL"
FILE_NAME = "clock"
# Microseconds. One aligned store of eight bytes is seen by the others as a whole.
_FORMAT = struct.Struct("=q")
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = timedelta()
# `public` has functions in place of now() and clock_timestamp(). By the usual path PostgreSQL's own come first.
SEARCH_PATH = "public, pg_catalog, pg_temp"


class Offset:
    """The offset in one file, which is made with an offset of nothing unless it exists."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if os.fstat(file).st_size < _FORMAT.size:
                os.truncate(file, _FORMAT.size)
            self._map = mmap.mmap(file, _FORMAT.size)
        finally:
            os.close(file)

    def read(self) -> timedelta:
        """Return how far the stack's time is ahead of the machine's."""
        microseconds = _FORMAT.unpack_from(self._map)[0]
        return timedelta(microseconds=microseconds) if microseconds else _NOTHING

    def write(self, ahead: timedelta) -> None:
        """Set the offset for every process, now and after the next start."""
        _FORMAT.pack_into(self._map, 0, ahead // _MICROSECOND)
        self._map.flush()

    def now(self) -> float:
        """Return the stack's time in seconds since 1970."""
        return time.time() + self.read().total_seconds()


def stack_time(environment: Mapping[str, str]) -> Callable[[], float]:
    """Return what tells the time in seconds since 1970: the stack's, or the machine's where no file is named."""
    path = environment.get(VARIABLE)
    return Offset(Path(path)).now if path else time.time


def keep_stack_time(environment: Mapping[str, str]) -> None:
    """Let this process, and the database sessions that it opens, keep the stack's time, if a file is named."""
    if not (path := environment.get(VARIABLE)):
        return
    from paybridge.core import clock
    from paybridge.database import session_settings

    clock.run_ahead(Offset(Path(path)).read)
    session_settings.set_search_path(SEARCH_PATH)
