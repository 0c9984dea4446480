"""What an audit asks of the features, each about its own tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from paybridge.audit.domain import Phase
from paybridge.core.clock import Clock
from paybridge.core.gaps import AuditedEvent, AuditedPart, Gap, GapKind, IdRange, SubjectSlice

if TYPE_CHECKING:
    from paybridge.database.database import Database, Transaction


class AuditSubjects(Protocol):
    """Compares what changes, such as payments, with its events."""

    def __call__(self, transaction: Transaction, slice_: SubjectSlice, /) -> AuditedPart:
        """Compare the subjects of the slice with their events."""
        ...


class AuditOlder(Protocol):
    """Compares what was created before the range of the audit, and changed within it."""

    def __call__(self, transaction: Transaction, ids: IdRange, begin: UUID, /) -> list[Gap]:
        """Compare the subjects up to the id `begin` that rows of the range are about."""
        ...


class FindMissing(Protocol):
    """Finds what one consumer has not worked on."""

    def __call__(
        self, transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str, /
    ) -> list[AuditedEvent]:
        """Return the published events of the range that the consumer should have worked on, and has not."""
        ...


class FindDead(Protocol):
    """Finds dead letters."""

    def __call__(self, transaction: Transaction, event_ids: Sequence[UUID], queues: Sequence[str], /) -> set[UUID]:
        """Return those of the events that are dead letters of one of the queues."""
        ...


@dataclass(frozen=True, slots=True)
class AuditedConsumer:
    """A consumer: the kind of its gaps, its queues, the expression of the types it takes, and how to ask it."""

    kind: GapKind
    queues: tuple[str, ...]
    taken: str
    find_missing: FindMissing


@dataclass(frozen=True, slots=True)
class AuditServices:
    """Database, clock, and what the features tell: of each phase but the last its subjects, and of each consumer."""

    database: Database
    clock: Clock
    subjects: Mapping[Phase, AuditSubjects]
    audit_older: AuditOlder
    find_dead: FindDead
    consumers: Sequence[AuditedConsumer]
