"""Tell replays, reconciliations and rebuilds of the books which months they would not read whole."""

from __future__ import annotations

from datetime import datetime

from paybridge.archive.domain import MonthState, month_text
from paybridge.archive.store import months
from paybridge.core.archived_months import AwayMonth
from paybridge.database.database import Transaction

_THERE = frozenset({MonthState.WAITING, MonthState.RESTORED})


class ArchivedMonths:
    """The port of a replay, a reconciliation or a rebuild to the archive."""

    def find_away(self, transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[AwayMonth]:
        """Return the months that have left the database, are about to, or are not back yet, oldest first."""
        found = months.lock_between(transaction, begin_at, end_at)
        return [
            AwayMonth(month_text(month), is_leaving=state is MonthState.ARCHIVING)
            for month, state in found
            if state not in _THERE
        ]
