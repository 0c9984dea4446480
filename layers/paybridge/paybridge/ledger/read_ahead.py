"""Prepare the next slice of a rebuild while the database writes this one.

Each takes about as long as the other, so that neither waits for long. What is prepared is final: events below the end
of the range do not change, and neither does what fees were at their time.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.ledger import build
from paybridge.ledger.build import PreparedSlice
from paybridge.ledger.domain.rebuild import LogPlace, Rebuild
from paybridge.ledger.ports import RebuildServices


class _SlicePlace(NamedTuple):
    """Where in the log a slice begins, and where its range ends."""

    rebuild_id: UUID
    position: LogPlace
    from_xid: int
    until_xid: int


class ReadAhead:
    """One thread with a connection apart. Use as a context manager."""

    def __init__(self, services: RebuildServices) -> None:
        self._services = replace(services, database=services.database.another())
        self._pool = ThreadPoolExecutor(1, "rebuild")
        self._begun: tuple[_SlicePlace, Future[PreparedSlice]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is being prepared comes to its end first.
        self._pool.shutdown()
        self._services.database.close()

    def take(self, rebuild: Rebuild) -> PreparedSlice | None:
        """Return what was prepared for this rebuild as it is, None if nothing was."""
        begun, self._begun = self._begun, None
        if begun is None:
            return None
        place, prepared = begun
        try:
            found = prepared.result()
        except PaybridgeError:
            # The caller reads the slice itself and raises the error again if it persists.
            return None
        return found if place == _place_of(rebuild) else None

    def begin(self, rebuild: Rebuild) -> None:
        """Prepare the next slice of this rebuild."""
        self._begun = _place_of(rebuild), self._pool.submit(self._prepare, rebuild)

    def _prepare(self, rebuild: Rebuild) -> PreparedSlice:
        with self._services.database.transaction() as transaction:
            return build.prepare(self._services, transaction, rebuild, build.SLICE_EVENTS)


def _place_of(rebuild: Rebuild) -> _SlicePlace:
    return _SlicePlace(rebuild.id, rebuild.position, rebuild.from_xid, rebuild.until_xid)
