"""Read the deliveries that have ended, for those who count them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Transaction
from paybridge.webhooks.domain.delivery_log import EndedDelivery
from paybridge.webhooks.store import ended


class EndedDeliveries:
    """The deliveries in the order in which they ended. One that is sent again ends again, later."""

    def __init__(self, database: Database) -> None:
        """Look for open transactions by `database`, which works with the rights of the login."""
        self._database = database

    def next_after(
        self, transaction: Transaction, after: tuple[datetime | str, UUID], limit: int
    ) -> Sequence[EndedDelivery]:
        """Return the first `limit` that ended after this end and id. None is ever skipped.

        The newest wait until no transaction is open that may still end a delivery before them.
        """
        return ended.ended_between(transaction, after, ended.horizon(self._database), limit)
