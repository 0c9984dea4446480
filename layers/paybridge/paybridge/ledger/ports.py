"""What rebuilds of the books work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from paybridge.core.archived_months import AwayMonth
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.ledger.domain.rules import RULES, RULES_VERSION, PostingRule

# The live book may be so far behind the log.
BEHIND_SECONDS_MAX = 120
# Before every event.
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class MonthsOfLog(Protocol):
    """Where the facts of old months are."""

    def find_away(self, transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[AwayMonth]:
        """Return the months from `begin_at` to before `end_at` whose events cannot all be read.

        Until the end of the transaction no other month leaves the database.
        """
        ...


@dataclass(frozen=True, slots=True)
class RebuildServices:
    """The adapters, where old months are, and the rules by which events are posted."""

    database: Database
    clock: Clock
    ids: Ids
    old_months: MonthsOfLog
    rules: Sequence[PostingRule] = RULES
    rules_version: int = RULES_VERSION


def find_away(services: RebuildServices, transaction: Transaction) -> list[AwayMonth]:
    """Return every month whose events a rebuilt book would lack, and keep the others until the transaction ends."""
    return services.old_months.find_away(transaction, FIRST_MOMENT, services.clock.now())
