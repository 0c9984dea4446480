"""A ledger that dies at any statement, or works beside another: nothing is lost, doubled or half written."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from typing import Any

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.ledger import MoneyEvents, all_balances
from local.testkit.payments import new_merchant
from paybridge.core.events import Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.ledger.post import post_events

pytestmark = [pytest.mark.integration, pytest.mark.faults]

_COUNTS = Statement("""
    SELECT (SELECT count(*) FROM ledger.journals), (SELECT count(*) FROM ledger.transfers),
           (SELECT count(*) FROM ledger.accounts), (SELECT sum(debits_minor)::text FROM ledger.daily_totals)
""")


def events_of(database: Database, currency: str) -> list[Event]:
    """A batch that opens accounts, of two merchants."""
    made = []
    for events in (MoneyEvents(new_merchant(database), currency), MoneyEvents(new_merchant(database), currency)):
        made += [events.authorized("9.00"), events.succeeded("9.00", type="capture"), events.refunded("2.00")]
    return made


class TestDeaths:
    def test_a_batch_is_written_whole_or_not_at_all(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        batch = events_of(database, "EUR")

        def look() -> Any:
            return database.run(_COUNTS), all_balances(database)

        steps = die_at_every_step(database_address, lambda dying: post_events(dying, batch) and None, look)
        # The fees, the book, the accounts, those missing, those again, the batch, the counters, and the commit.
        assert steps == 8
        whole = look()
        assert post_events(database, batch).repeated == len(batch)
        assert look() == whole


class TestNeighbors:
    def test_batches_of_the_same_events_in_any_order_never_deadlock(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        batch = events_of(database, "USD")
        posted: list[int] = []

        def post(seed: int) -> None:
            mine = batch * 2
            random.Random(seed).shuffle(mine)
            with closing(Database(database_address)) as own:
                for start in range(0, len(mine), 4):
                    report = post_events(own, mine[start : start + 4])
                    assert report.refused == []
                    # A lock that lasted is handed back and comes again.
                    again = post_events(own, report.locked)
                    posted.append(report.posted + again.posted)

        threads = [threading.Thread(target=post, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(posted) == len(batch)
        found = all_balances(database).items()
        assert [minor for (_, kind, currency), minor in found if (kind, currency) == ("available", "USD")] == [700, 700]
