"""What the use cases of replays work with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from paybridge.core.archived_months import AwayMonth
from paybridge.core.clock import Clock
from paybridge.core.events import Event
from paybridge.core.ids import Ids

if TYPE_CHECKING:
    from paybridge.database.database import Database, Transaction


class Consumer(Protocol):
    """A consumer of events, which tells what it has not processed."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        """Return the ids of the events that would do something now: send, deliver or post."""
        ...


class OldMonths(Protocol):
    """Where the facts of old months are."""

    def find_away(self, transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[AwayMonth]:
        """Return the months from `begin_at` to before `end_at` that a replay would not read whole.

        Until the end of the transaction no other month leaves the database.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReplayServices:
    """Database, clock, source of ids, the consumers by the names of their queues, and the old months."""

    database: Database
    clock: Clock
    ids: Ids
    consumers: Mapping[str, Consumer]
    old_months: OldMonths
