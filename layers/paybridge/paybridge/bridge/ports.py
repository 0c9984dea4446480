"""What the bridge needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paybridge.bridge.domain.answers import Answer
from paybridge.bridge.domain.entries import Entry
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database


class EventBus(Protocol):
    """An EventBridge bus, used by several threads at once."""

    def put(self, entries: Sequence[Entry], start_until: float) -> list[Answer]:
        """Send the entries and return an answer for each. Never raises for what AWS or the network does.

        That is one call, and if it fails for a fault of an entry, another for each entry. Of those, none starts after
        `start_until`, a time of `time.monotonic`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeServices:
    """Everything that the bridge needs. `retry_delays_seconds` are the waits between attempts at one event."""

    database: Database
    clock: Clock
    ids: Ids
    bus: EventBus
    retry_delays_seconds: tuple[float, ...]
