"""Drop what the bridge has recorded of months whose events have left the database."""

from __future__ import annotations

from datetime import date

from paybridge.bridge.store import sent_months
from paybridge.database.database import Database, Transaction


class SentEventsByMonth:
    """The port of the archive to the bridge."""

    def find_months(self, database: Database) -> list[date]:
        """Return the months of which there are records, oldest first. Raises DatabaseUnavailable."""
        return sent_months.find_months(database)

    def drop_month(self, transaction: Transaction, month: date) -> None:
        """Drop the records of a month. Raises LockTimeout and DatabaseUnavailable."""
        sent_months.drop_month(transaction, month)
