"""What an audit asks of the features, each about its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.gaps import AuditedEvent, Gap, GapKind, IdRange

if TYPE_CHECKING:
    from paybridge.database.database import Database, Transaction


class AuditPayments(Protocol):
    """Compares payments with their events."""

    def __call__(
        self, transaction: Transaction, after: UUID, end: UUID, limit: int, /
    ) -> tuple[int, UUID | None, list[Gap]]:
        """Audit the next payments below `end`; return their number, the last id (None if it was all) and the gaps."""
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
    """Database, clock, and what the features tell."""

    database: Database
    clock: Clock
    audit_payments: AuditPayments
    find_dead: FindDead
    consumers: Sequence[AuditedConsumer]
