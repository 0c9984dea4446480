"""A wrong journal is taken back by a new one, once, and both stay."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing

import pytest

from local.testkit.ledger import MoneyEvents, balances
from local.testkit.payments import new_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.errors import InvalidInput
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.ledger.correct_journal import correct_journal
from paybridge.ledger.domain.entries import entry_view
from paybridge.ledger.post import post_events
from paybridge.ledger.read_balances import read_balances
from paybridge.ledger.read_entries import EntryFilters, list_entries

pytestmark = pytest.mark.integration

CLOCK = SystemClock()


@pytest.fixture
def events(database: Database) -> MoneyEvents:
    return MoneyEvents(new_merchant(database))


class TestCorrectJournal:
    def test_every_transfer_is_reversed_with_a_reason(self, database: Database, events: MoneyEvents) -> None:
        post_events(database, [events.authorized("10.00")])
        wrong = events.succeeded("8.00", type="capture", authorized="10.00")
        post_events(database, [wrong])
        correction = correct_journal(database, CLOCK, wrong.id, "captured twice")
        assert correction.corrects == uuid.uuid5(wrong.id, "capture/1")
        assert balances(database, events.merchant_id) == {("pending", "EUR"): 1000, ("available", "EUR"): 0}
        newest = list_entries(database, events.merchant_id, EntryFilters(), cursor=None, limit=2).entries
        views = [entry_view(entry) for entry in newest]
        assert {view["rule"] for view in views} == {"correction_of_capture"}
        assert {view["reason"] for view in views} == {"captured twice"}
        assert {view["corrects"] for view in views} == {str(correction.corrects)}
        # What was known before it stays as it was.
        assert read_balances(database, events.merchant_id, wrong.time)[0].available == "8.00"

    def test_a_redelivery_of_the_event_changes_nothing(self, database: Database, events: MoneyEvents) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        correct_journal(database, CLOCK, wrong.id, "test")
        assert post_events(database, [wrong]).repeated == 1
        assert balances(database, events.merchant_id) == {("available", "EUR"): 0}

    def test_of_several_at_once_one_is_made(
        self, database: Database, database_address: DatabaseAddress, events: MoneyEvents
    ) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        codes: list[str] = []

        def correct() -> None:
            with closing(Database(database_address)) as own:
                try:
                    correct_journal(own, CLOCK, wrong.id, "test")
                    codes.append("done")
                except InvalidInput as error:
                    codes.append(error.code)

        threads = [threading.Thread(target=correct) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(codes) == ["done", *["journal_corrected"] * 3]
        assert balances(database, events.merchant_id) == {("available", "EUR"): 0}

    def test_an_event_without_a_journal(self, database: Database) -> None:
        with pytest.raises(InvalidInput, match="no journal"):
            correct_journal(database, CLOCK, uuid.uuid4(), "test")

    @pytest.mark.parametrize("reason", ["", " ", "x" * 501, "a\x00b"], ids=["empty", "blank", "long", "nul"])
    def test_a_reason_is_needed(self, database: Database, reason: str) -> None:
        with pytest.raises(InvalidInput, match="reason"):
            correct_journal(database, CLOCK, uuid.uuid4(), reason)
