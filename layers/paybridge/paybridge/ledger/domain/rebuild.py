"""A rebuild: a second book made from the event log, and the proof that it equals the live one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.times import format_time

# Below every id.
NO_ID = UUID(int=0)
REASON_CHARACTERS_MAX = 500


class RebuildState(StrEnum):
    """The state of a rebuild."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class RebuildPhase(StrEnum):
    """What a rebuild does."""

    # Events of the log are posted into the new book.
    BUILDING = "building"
    # Both books are compared, journal by journal.
    PROVING = "proving"
    # What has committed since is posted as well, and the new book becomes the live one.
    SWITCHING = "switching"
    DONE = "done"


class LogPlace(NamedTuple):
    """A place in the event log, which is read merchant by merchant."""

    merchant_id: UUID = NO_ID
    xid: int = 0
    event_id: UUID = NO_ID


LOG_BEGIN = LogPlace()
OUTDATED = "Another book has become live since. Start a new rebuild."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """A rebuild and its progress.

    Events of transactions from `from_xid` on and before `until_xid` are being read, up to now until `position`. Once
    they are all in the book, `until_xid` is the cut-off of the proof: later events are compared only if both books have
    them. The live book may be some seconds behind the log, so the proof waits up to `wait_seconds` for what it lacks.
    """

    id: UUID
    book: int
    live_book: int
    rules_version: int
    state: RebuildState
    phase: RebuildPhase
    actor: str
    created_at: datetime
    until_xid: int
    wait_seconds: int
    switch_wanted: bool
    from_xid: int = 0
    position: LogPlace = LOG_BEGIN
    journals_expected: int = 0
    events: int = 0
    journals: int = 0
    unreadable: int = 0
    first_unreadable: UUID | None = None
    compared_until: UUID = NO_ID
    compared: int = 0
    waiting_since: datetime | None = None
    differences: int = 0
    first_difference: Mapping[str, Any] | None = None
    equal: bool | None = None
    live_hash: str | None = None
    rebuilt_hash: str | None = None
    finished_at: datetime | None = None
    failure: str | None = None
    canceled_by: str | None = None
    switched_at: datetime | None = None
    switched_by: str | None = None
    switch_reason: str | None = None
    switch_refusal: str | None = None

    def finished(self, at: datetime) -> Rebuild:
        """Return the rebuild as one whose proof is there."""
        return replace(self, state=RebuildState.FINISHED, phase=RebuildPhase.DONE, finished_at=at)

    def failed(self, failure: str, at: datetime) -> Rebuild:
        """Return the rebuild as one that has failed, whatever it was doing."""
        phase = RebuildPhase.PROVING if self.phase is RebuildPhase.SWITCHING else self.phase
        return replace(self, state=RebuildState.FAILED, phase=phase, equal=None, finished_at=at, failure=failure)

    @property
    def progress(self) -> float:
        """Return how much is done, from 0 to 1. Building and proving are half of the work each."""
        if self.phase is RebuildPhase.DONE:
            return 1.0
        expected = max(1, self.journals_expected, self.journals if self.phase is RebuildPhase.PROVING else 0)
        built = min(1.0, self.journals / expected) if self.phase is RebuildPhase.BUILDING else 1.0
        # The end is only told by the phase.
        return min(0.99, round((built + min(1.0, self.compared / expected)) / 2, 3))

    def view(self) -> dict[str, Any]:
        """Return the rebuild as operators see it, JSON-ready."""
        return {
            "rebuild_id": str(self.id),
            "state": str(self.state),
            "phase": str(self.phase),
            "progress": self.progress,
            "equal": self.equal,
            "book": self.book,
            "live_book": self.live_book,
            "rules_version": self.rules_version,
            "events": self.events,
            "journals": self.journals,
            "unreadable_events": self.unreadable,
            "first_unreadable_event": None if self.first_unreadable is None else str(self.first_unreadable),
            "compared_journals": self.compared,
            "waiting_for_live_book": self.waiting_since is not None and self.phase is RebuildPhase.PROVING,
            "differences": self.differences,
            "first_difference": self.first_difference,
            "live_hash": self.live_hash,
            "rebuilt_hash": self.rebuilt_hash,
            "failure": self.failure,
            "created_at": format_time(self.created_at),
            "created_by": self.actor,
            "finished_at": _time(self.finished_at),
            "switch_wanted": self.switch_wanted,
            "switched_at": _time(self.switched_at),
            "switched_by": self.switched_by,
            "switch_reason": self.switch_reason,
            "switch_refusal": self.switch_refusal,
        }


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
