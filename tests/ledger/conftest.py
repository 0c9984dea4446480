"""A database whose books no other test changes, and events that are logged and posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.testkit import servers
from local.testkit.event_log import log_events
from local.testkit.ledger import MoneyEvents
from local.testkit.payments import MovableClock, new_merchant
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.post import post_events
from paybridge.wiring.rebuilds import services_over


@dataclass
class World:
    """Books of a test's own, and the merchants whose events are in them."""

    address: DatabaseAddress
    database: Database
    clock: MovableClock = field(default_factory=MovableClock)

    @property
    def services(self) -> RebuildServices:
        return self.services_over(self.database)

    def services_over(self, database: Database) -> RebuildServices:
        return services_over(database, self.clock, Uuid7Ids())

    def merchant(self) -> MoneyEvents:
        return MoneyEvents(new_merchant(self.database))

    def happen(self, events: Sequence[Event]) -> None:
        """Log the events and post them to the live book."""
        log_events(self.database, events)
        self.post(events)

    def post(self, events: Sequence[Event]) -> None:
        assert not post_events(self.database, events).refused

    def history(self, payments: int = 5) -> list[Event]:
        """Log and post the events of a new merchant, of every kind."""
        merchant = self.merchant()
        events = [merchant.charge_taken("1.00"), merchant.charge_returned("1.00")]
        for number in range(payments):
            events += [
                merchant.succeeded(f"{100 + number}.00"),
                merchant.authorized("50.00"),
                merchant.succeeded("30.00", type="capture", authorized="50.00"),
                merchant.refunded("20.00"),
            ]
        self.happen(events)
        return events


def tamper(database: Database, change: str) -> None:
    """Make a change as the owner of the tables can who has granted the right and switched the triggers off."""
    kept = "ledger.journals, ledger.transfers, ledger.seals"
    with database.transaction() as transaction:
        transaction.run(Statement(f"GRANT UPDATE, DELETE ON {kept} TO CURRENT_USER"))
        for switch in ("DISABLE", "ENABLE"):
            for table in kept.split(", "):
                transaction.run(Statement(f"ALTER TABLE {table} {switch} TRIGGER USER"))
            if switch == "DISABLE":
                transaction.run(Statement(change))
        transaction.run(Statement(f"REVOKE UPDATE, DELETE ON {kept} FROM CURRENT_USER"))


def query(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return [tuple(row) for row in database.run(Statement(sql))]


@pytest.fixture
def world(postgres_server: servers.Postgres) -> Iterator[World]:
    url = postgres_server.fresh_database()
    address = servers.address_of(url)
    with closing(Database(address, "books")) as database:
        yield World(address, database)
    postgres_server.drop_database(url)
