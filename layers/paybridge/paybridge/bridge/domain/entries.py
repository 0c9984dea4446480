"""An event as EventBridge takes it, and how many of them fit into one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from paybridge.core.events import SOURCE

# EventBridge takes ten entries and 256 KB a call. A kilobyte less leaves room for how it counts.
CALL_ENTRIES_MAX = 10
CALL_BYTES_MAX = 255 * 1024
# EventBridge counts this for a time, whatever its text.
_TIME_BYTES = 14


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on its way to the bus. `detail` is the CloudEvent as it was published, character for character."""

    type: str
    time: datetime
    detail: str

    @property
    def size_bytes(self) -> int:
        """Return the size as EventBridge counts it."""
        return _TIME_BYTES + sum(len(text.encode()) for text in (SOURCE, self.type, self.detail))

    @property
    def is_too_large(self) -> bool:
        """Tell whether no call can take it."""
        return self.size_bytes > CALL_BYTES_MAX


def calls_of(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Divide the entries into calls, in their order. None of them may be too large."""
    call: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        if call and (len(call) == CALL_ENTRIES_MAX or size_bytes + entry.size_bytes > CALL_BYTES_MAX):
            yield call
            call, size_bytes = [], 0
        call.append(entry)
        size_bytes += entry.size_bytes
    if call:
        yield call
