"""An audit: which part of the log, how far it is, and what it has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.errors import InvalidInput
from paybridge.core.gaps import Gap
from paybridge.core.times import format_time, lowest_id

# What is published by then may still be on its way to its consumer.
GRACE_SECONDS = 300.0
GRACE_SECONDS_MAX = 86_400.0


class Phase(StrEnum):
    """What an audit goes through, in this order: subjects with their events, then the outbox with its consumers."""

    PAYMENTS = "payments"
    PAYOUTS = "payouts"
    ENDPOINTS = "endpoints"
    ROWS = "rows"


_PHASES = tuple(Phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrder:
    """What to audit: payments and payouts created, and rows written, at or after `begin_at` and before `end_at`.

    Webhook endpoints live for long, so those that have changed since `begin_at` are compared, however old they are.
    """

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

    def begin_of(self, phase: Phase) -> AuditPosition:
        """Return the position of a phase that has done nothing yet."""
        return AuditPosition(phase, UUID(int=0) if phase is Phase.ENDPOINTS else self.begin_id)

    def after_phase(self, phase: Phase) -> AuditPosition | None:
        """Return where the next phase begins; None after the last."""
        place = _PHASES.index(phase) + 1
        return self.begin_of(_PHASES[place]) if place < len(_PHASES) else None


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
    """What an audit has found up to `position`, which is None once it is complete.

    `checked` counts rows of the outbox, `payments` and `others` the subjects that were compared with their events.
    """

    order: AuditOrder
    position: AuditPosition | None
    checked: int = 0
    payments: int = 0
    others: int = 0
    gaps: Sequence[Gap] = field(default_factory=tuple)

    def followed_by(self, page: AuditPage) -> AuditPage:
        """Return what was found up to the end of the next page. A gap that both have counts once.

        The next page begins where this one ends, and rows of both may be about one older subject.
        """
        return replace(
            page,
            checked=self.checked + page.checked,
            payments=self.payments + page.payments,
            others=self.others + page.others,
            gaps=(*self.gaps, *(gap for gap in page.gaps if gap not in self.gaps)),
        )

    @property
    def progress(self) -> float:
        """Return which part of all phases is done, from 0 to 1."""
        if self.position is None:
            return 1.0
        begin, end = self.order.begin_of(self.position.phase).after.int, self.order.end_id.int
        part = min(max((self.position.after.int - begin) / max(end - begin, 1), 0.0), 1.0)
        return round((part + _PHASES.index(self.position.phase)) / len(_PHASES), 4)

    @property
    def kinds(self) -> dict[str, int]:
        """Return how many gaps there are of each kind that was found."""
        return dict(sorted(Counter(str(gap.kind) for gap in self.gaps).items()))

    def view(self) -> dict[str, Any]:
        """Return the page as operators see it, JSON-ready."""
        return {
            "from": format_time(self.order.begin_at),
            "to": format_time(self.order.end_at),
            "grace_seconds": self.order.grace_seconds,
            "checked": self.checked,
            "payments": self.payments,
            "others": self.others,
            "gaps": [gap.view() for gap in self.gaps],
            "kinds": self.kinds,
            "complete": self.position is None,
            "progress": self.progress,
            "next_cursor": None if self.position is None else str(self.position),
        }


@dataclass(frozen=True, slots=True)
class NightlyAudit:
    """The audit of a night, and what it has found so far. It is complete if it has ended without a position."""

    id: UUID
    page: AuditPage
    created_at: datetime
    finished_at: datetime | None = None

    @classmethod
    def begin(cls, id_: UUID, order: AuditOrder, position: AuditPosition, now: datetime) -> NightlyAudit:
        """Return an audit that has done nothing yet."""
        return cls(id_, AuditPage(order=order, position=position), now)

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more is audited for this night."""
        return self.finished_at is not None

    def with_page(self, page: AuditPage) -> NightlyAudit:
        """Return the audit once it has gone on to the end of the page."""
        return replace(self, page=self.page.followed_by(page))

    def view(self) -> dict[str, Any]:
        """Return the audit as operators see it, JSON-ready."""
        return {
            "audit_id": str(self.id),
            "created_at": format_time(self.created_at),
            "finished_at": None if self.finished_at is None else format_time(self.finished_at),
            **self.page.view(),
        }
