"""A replay: which facts go to which consumer again, how fast, and how far it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time, lowest_id

RATE_PER_SECOND = 200.0
RATE_PER_SECOND_MIN = 0.1
# The relay also publishes what payments wait for, and has room for several times as much.
RATE_PER_SECOND_MAX = 2_000.0
TYPES_MAX = 20
# A slice is what one pass of the relay publishes beside the messages that are due.
SLICES_PER_SECOND = 4
# An id is made moments before or after the time of its fact. The clocks of two environments differ by far less.
SLACK = timedelta(minutes=10)
HEADER = "replay-id"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BITS_AFTER_TIME = 80
_TYPE = re.compile(r"[a-z_]{1,32}\.(?:[a-z_]{1,32}|\*)")


class ReplayState(StrEnum):
    """The state of a replay."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELED = "canceled"


ENDED = frozenset({ReplayState.FINISHED, ReplayState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """What to replay: facts whose time is at or after `begin_at` and before `end_at`, of `types` or all if empty."""

    consumer: str
    begin_at: datetime
    end_at: datetime
    types: tuple[str, ...]
    rate_per_second: float
    is_dry_run: bool
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A replay and its progress.

    Ids up to `position` have been read, `checked` facts in all, of which `events` were sent by their type. A dry run
    sends none: it counts them, and in `unseen` those that would do something at the consumer. `horizon` is the number
    of the transaction that ordered the replay. `problem` is why the broker refuses.
    """

    id: UUID
    consumer: str
    types: tuple[str, ...]
    begin_at: datetime
    end_at: datetime
    rate_per_second: float
    is_dry_run: bool
    state: ReplayState
    horizon: str
    position: UUID
    created_by: str
    created_at: datetime
    changed_by: str | None = None
    checked: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)
    finished_at: datetime | None = None
    outbox_id: UUID | None = None
    problem: str | None = None

    @property
    def position_at(self) -> datetime:
        """Return the time up to which facts have been read, within the range."""
        return max(self.begin_at, min(time_of(self.position), self.end_at))

    @property
    def progress(self) -> float:
        """Return which part of the range has been read, from 0 to 1."""
        if self.state is ReplayState.FINISHED:
            return 1.0
        # Nothing is finished before its end is recorded.
        return min(round((self.position_at - self.begin_at) / (self.end_at - self.begin_at), 4), 0.9999)

    @property
    def last_id(self) -> UUID:
        """Return the id below which all facts of the range are."""
        return lowest_id(self.end_at + SLACK)

    def after(self, read: SliceRead, unseen: Iterable[str] = ()) -> Replay:
        """Return the replay after one more slice, of which the facts with types `unseen` would do something."""
        return replace(
            self,
            position=read.position,
            checked=self.checked + len(read.facts),
            events=_added(self.events, (fact.type for fact in read.facts)),
            unseen=_added(self.unseen, unseen),
        )

    def view(self) -> dict[str, Any]:
        """Return the replay as operators see it, JSON-ready."""
        return {
            "replay_id": str(self.id),
            "consumer": self.consumer,
            "from": format_time(self.begin_at),
            "to": format_time(self.end_at),
            "types": list(self.types) or None,
            "rate_per_second": self.rate_per_second,
            "dry_run": self.is_dry_run,
            "state": str(self.state),
            "progress": self.progress,
            "position_at": format_time(self.position_at),
            "sent": 0 if self.is_dry_run else self.checked,
            "would": self._would() if self.is_dry_run else None,
            "events": dict(sorted(self.events.items())),
            "problem": self.problem,
            "created_by": self.created_by,
            "changed_by": self.changed_by,
            "created_at": format_time(self.created_at),
            "finished_at": None if self.finished_at is None else format_time(self.finished_at),
        }

    def _would(self) -> dict[str, Any]:
        new = sum(self.unseen.values())
        return {
            "send": self.checked,
            "new": new,
            "already_processed": self.checked - new,
            "new_by_type": dict(sorted(self.unseen.items())),
            "seconds": round(self.checked / self.rate_per_second, 3),
        }


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the event log, as it was published."""

    id: UUID
    type: str
    correlation_id: str
    body: str


@dataclass(frozen=True, slots=True)
class SliceRead:
    """Facts of the range after a position, up to the new `position`. `is_last`: there are none after it."""

    facts: Sequence[Fact]
    position: UUID
    is_last: bool


def slice_size(rate_per_second: float) -> int:
    """Return how many facts one slice has at this rate."""
    return max(1, int(rate_per_second / SLICES_PER_SECOND))


def time_of(id_: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made."""
    return _EPOCH + timedelta(milliseconds=id_.int >> _BITS_AFTER_TIME)


def is_type(text: str) -> bool:
    """Return whether a text is a type of events, or a family such as `payment.*`."""
    return _TYPE.fullmatch(text) is not None


def _added(counts: Mapping[str, int], types: Iterable[str]) -> dict[str, int]:
    return dict(Counter(counts) + Counter(types))
