"""Tell analytics which months have left the database."""

from __future__ import annotations

from datetime import date

from paybridge.archive.store import months
from paybridge.database.database import Database


class GoneMonths:
    """The port of analytics to the archive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_gone(self) -> list[date]:
        """Return the archived months of which every table was dropped, oldest first. Raises DatabaseUnavailable."""
        return months.find_dropped(self._database)
