"""An audit: which part of the log, how far it is, and what it has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.errors import InvalidInput
from paybridge.core.gaps import Gap, lowest_id
from paybridge.core.times import format_time

# What is published by then may still be on its way to its consumer.
GRACE_SECONDS = 300.0
GRACE_SECONDS_MAX = 86_400.0


class Phase(StrEnum):
    """What an audit goes through: payments with their events, then the rows of the outbox with their consumers."""

    PAYMENTS = "payments"
    ROWS = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrder:
    """What to audit: payments created, and rows written, at or after `begin_at` and before `end_at`."""

    begin_at: datetime
    end_at: datetime
    grace_seconds: float = GRACE_SECONDS

    @property
    def begin_id(self) -> UUID:
        """Return an id below all of the range."""
        return UUID(int=max(lowest_id(self.begin_at).int - 1, 0))

    @property
    def end_id(self) -> UUID:
        """Return the lowest id after the range."""
        return lowest_id(self.end_at)


@dataclass(frozen=True, slots=True)
class AuditPosition:
    """How far an audit is: ids up to `after` are done in this phase."""

    phase: Phase
    after: UUID

    def __str__(self) -> str:
        """Return the position as text, which `parse_position` reads."""
        return f"{self.phase}:{self.after}"


def parse_position(text: str) -> AuditPosition:
    """Return the position that `str` made the text of. Raises InvalidInput (`cursor_invalid`)."""
    phase, _, after = text.partition(":")
    try:
        return AuditPosition(Phase(phase), UUID(after))
    except ValueError:
        raise InvalidInput("cursor_invalid", "Send a next_cursor of this audit unchanged, or none.", "cursor") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """What an audit has found up to `position`, which is None once it is complete."""

    order: AuditOrder
    position: AuditPosition | None
    checked: int = 0
    payments: int = 0
    gaps: Sequence[Gap] = field(default_factory=tuple)

    @property
    def progress(self) -> float:
        """Return which part of both phases is done, from 0 to 1."""
        if self.position is None:
            return 1.0
        begin, end = self.order.begin_id.int, self.order.end_id.int
        part = min(max((self.position.after.int - begin) / max(end - begin, 1), 0.0), 1.0)
        return round((part + (self.position.phase is Phase.ROWS)) / 2, 4)

    def view(self) -> dict[str, Any]:
        """Return the page as operators see it, JSON-ready."""
        return {
            "from": format_time(self.order.begin_at),
            "to": format_time(self.order.end_at),
            "grace_seconds": self.order.grace_seconds,
            "checked": self.checked,
            "payments": self.payments,
            "gaps": [gap.view() for gap in self.gaps],
            "kinds": dict(sorted(Counter(str(gap.kind) for gap in self.gaps).items())),
            "complete": self.position is None,
            "progress": self.progress,
            "next_cursor": None if self.position is None else str(self.position),
        }
