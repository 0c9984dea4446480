"""A wrong journal is taken back by a new one, once, and both stay."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256

import pytest

from local.testkit.ledger import MoneyEvents, balances
from local.testkit.payments import new_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.errors import ConstraintViolated, InvalidInput
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.ledger.correct_journal import Corrected, CorrectionKeyTaken, CorrectionOrder, correct_journal
from paybridge.ledger.domain.corrections import Correction, CorrectionKey
from paybridge.ledger.domain.entries import entry_view
from paybridge.ledger.post import post_events
from paybridge.ledger.read_balances import read_balances
from paybridge.ledger.read_corrections import list_corrections, read_correction
from paybridge.ledger.read_entries import EntryFilters, list_entries
from paybridge.ledger.store import corrections

pytestmark = pytest.mark.integration

CLOCK = SystemClock()


def correct(
    database: Database, event_id: uuid.UUID, reason: str, key: str | None = None
) -> Corrected | CorrectionKeyTaken:
    """Take a journal back in the name of ann, under a new key unless one is given."""
    fingerprint = sha256(f"{event_id} {reason}".encode()).digest()
    given = CorrectionKey(key or str(uuid.uuid4()), fingerprint)
    order = CorrectionOrder(event_id=event_id, reason=reason, actor="ann", key=given)
    return correct_journal(database, CLOCK, Uuid7Ids(), order)


def corrected(result: Corrected | CorrectionKeyTaken) -> Correction:
    assert isinstance(result, Corrected)
    return result.correction


def run_at_once(target: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def events(database: Database) -> MoneyEvents:
    return MoneyEvents(new_merchant(database))


class TestCorrectJournal:
    def test_every_transfer_is_reversed_with_a_reason(self, database: Database, events: MoneyEvents) -> None:
        post_events(database, [events.authorized("10.00")])
        wrong = events.succeeded("8.00", type="capture", authorized="10.00")
        post_events(database, [wrong])
        correction = corrected(correct(database, wrong.id, "captured twice"))
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
        correct(database, wrong.id, "test")
        assert post_events(database, [wrong]).repeated == 1
        assert balances(database, events.merchant_id) == {("available", "EUR"): 0}

    def test_says_who_ordered_it_and_why(self, database: Database, events: MoneyEvents) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        made = corrected(correct(database, wrong.id, "captured twice", key="who"))
        assert (made.event_id, made.actor, made.reason) == (wrong.id, "ann", "captured twice")
        assert read_correction(database, made.id) == made
        assert list_corrections(database, cursor=None, limit=1).corrections == [made]
        view = made.view()
        assert (view["rule"], view["created_by"]) == ("capture", "ann")

    def test_the_same_key_orders_one(self, database: Database, events: MoneyEvents) -> None:
        wrong, other = events.succeeded("8.00"), events.succeeded("9.00")
        post_events(database, [wrong, other])
        first = correct(database, wrong.id, "test", key="once")
        assert correct(database, wrong.id, "test", key="once") == Corrected(corrected(first), replayed=True)
        assert correct(database, other.id, "test", key="once") == CorrectionKeyTaken(corrected(first).id)
        assert balances(database, events.merchant_id) == {("available", "EUR"): 900}

    def test_of_several_at_once_under_one_key_all_say_the_same(
        self, database: Database, database_address: DatabaseAddress, events: MoneyEvents
    ) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        found: list[Corrected | CorrectionKeyTaken] = []

        def order() -> None:
            with closing(Database(database_address)) as own:
                found.append(correct(own, wrong.id, "test", key="together"))

        run_at_once(order)
        assert len({corrected(each).id for each in found}) == 1
        assert [each.replayed for each in found if isinstance(each, Corrected)].count(False) == 1
        assert balances(database, events.merchant_id) == {("available", "EUR"): 0}

    def test_of_several_at_once_one_is_made(
        self, database: Database, database_address: DatabaseAddress, events: MoneyEvents
    ) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        codes: list[str] = []

        def order() -> None:
            with closing(Database(database_address)) as own:
                try:
                    correct(own, wrong.id, "test")
                    codes.append("done")
                except InvalidInput as error:
                    codes.append(error.code)

        run_at_once(order)
        assert sorted(codes) == ["done", *["journal_corrected"] * 3]
        assert balances(database, events.merchant_id) == {("available", "EUR"): 0}

    @pytest.mark.parametrize("what", ["created", "paid", "failed"])
    def test_a_payout_is_settled_and_not_corrected(self, database: Database, events: MoneyEvents, what: str) -> None:
        payout_id = uuid.uuid4()
        event = events.payout(what, "8.00", payout_id)
        post_events(database, [event])
        before = balances(database, events.merchant_id)
        with pytest.raises(InvalidInput, match=f"payout {payout_id} did not leave, settle it as failed") as refused:
            correct(database, event.id, "ordered twice")
        assert refused.value.code == "journal_of_payout"
        assert balances(database, events.merchant_id) == before

    def test_no_statement_can_order_the_correction_of_a_payout(self, database: Database, events: MoneyEvents) -> None:
        wrong = events.succeeded("8.00")
        post_events(database, [wrong])
        made = corrected(correct(database, wrong.id, "test"))
        key = CorrectionKey(str(uuid.uuid4()), bytes(32))
        with pytest.raises(ConstraintViolated, match="corrections_of_no_payout"), database.transaction() as transaction:
            corrections.add(transaction, replace(made, id=uuid.uuid4(), rule=10), key)

    def test_an_event_without_a_journal(self, database: Database) -> None:
        with pytest.raises(InvalidInput, match="no journal"):
            correct(database, uuid.uuid4(), "test")

    @pytest.mark.parametrize("reason", ["", " ", "x" * 501, "a\x00b"], ids=["empty", "blank", "long", "nul"])
    def test_a_reason_is_needed(self, database: Database, reason: str) -> None:
        with pytest.raises(InvalidInput, match="reason"):
            correct(database, uuid.uuid4(), reason)
