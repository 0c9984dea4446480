"""What reconciliation works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from paybridge.core.archived_months import AwayMonth
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.payments.ports import StatementSource
from paybridge.reconciliation.domain.run import BreakCounts, Run


class PostedOperation(NamedTuple):
    """An operation whose journals are asked for, and its payment."""

    id: UUID
    payment_id: UUID


class Postings(Protocol):
    """The ledger, as reconciliation asks it."""

    def posted(
        self, transaction: Transaction, operations: Sequence[PostedOperation]
    ) -> Mapping[UUID, Mapping[str, int]]:
        """Return by operation and currency by how many minor units its journals have raised what gateways owe us.

        An operation without a journal is left out.
        """
        ...


class MonthsOfOperations(Protocol):
    """Where the operations of old months are."""

    def find_away(self, transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[AwayMonth]:
        """Return the months from `begin_at` to before `end_at` whose rows cannot all be read.

        Until the end of the transaction no other month leaves the database.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReconciliationServices:
    """What the use cases work with.

    `sources` are the gateways by their names. Where `asks_gateways` is false they are names alone, and their statements
    are left to a process that asks. Without `postings` there is no ledger to compare with. What happened
    within `grace` of midnight may be on the statement of either day, and what is younger than that may not be recorded
    on all sides. An outcome that is unknown for `late_after` is late. The process that ends a day calls `on_end`.
    """

    database: Database
    clock: Clock
    ids: Ids
    sources: Mapping[str, StatementSource | None]
    postings: Postings | None
    old_months: MonthsOfOperations
    grace: timedelta
    late_after: timedelta
    on_end: Callable[[Run, BreakCounts], None]
    asks_gateways: bool = True
