"""What an event looks like as a row of the outbox."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from local.testkit.payments import new_merchant, new_payment, outbox_rows
from paybridge.core.events import (
    PAYMENT_PROCESSING,
    PAYMENT_SUCCEEDED,
    PROCESS_PAYMENT,
    REFUND_SUBJECT,
    REFUND_SUCCEEDED,
    Event,
    parse_envelope,
)
from paybridge.database import counters
from paybridge.database.database import Database
from paybridge.outbox import store as outbox

pytestmark = pytest.mark.integration


def an_event(**changes: Any) -> Event:
    event = Event(
        id=uuid.uuid4(),
        type=PAYMENT_SUCCEEDED,
        payment_id=uuid.uuid4(),
        merchant_id=uuid.uuid4(),
        correlation_id="c",
        time=datetime.now(UTC),
        data={},
        sequence=3,
    )
    return replace(event, **changes)


def added(database: Database, event: Event) -> dict[str, Any]:
    with database.transaction() as transaction:
        outbox.add(transaction, [event])
    [row] = outbox_rows(database, event.payment_id)
    return row


def subject_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["subject_type"], row["subject_id"]


class TestAdd:
    def test_an_event_of_the_payment_has_the_payment_as_its_subject(self, database: Database) -> None:
        event = an_event()
        row = added(database, event)
        assert subject_of(row) == ("payment", str(event.payment_id))
        assert parse_envelope(orjson.loads(row["body"])) == event

    def test_a_command_is_about_its_payment(self, database: Database) -> None:
        command = an_event(type=PROCESS_PAYMENT, sequence=None)
        assert subject_of(added(database, command)) == ("payment", str(command.payment_id))

    def test_an_event_of_a_refund_has_the_refund_as_its_subject(self, database: Database) -> None:
        refund_id = uuid.uuid4()
        event = an_event(type=REFUND_SUCCEEDED, subject_type=REFUND_SUBJECT, subject_id=refund_id)
        row = added(database, event)
        assert subject_of(row) == ("refund", str(refund_id))
        assert row["payment_id"] == str(event.payment_id)
        assert parse_envelope(orjson.loads(row["body"])) == event


class TestCounts:
    @pytest.mark.parametrize(
        ("changes", "counted"),
        [
            ({"type": PAYMENT_SUCCEEDED}, 1),
            ({"type": REFUND_SUCCEEDED}, 1),
            ({"type": PAYMENT_PROCESSING}, 0),
            ({"type": PROCESS_PAYMENT, "sequence": None, "data": {"attempt": 1, "ask": 0}}, 0),
            ({"type": PROCESS_PAYMENT, "sequence": None, "data": {"attempt": 2, "ask": 0}}, 1),
            ({"type": PROCESS_PAYMENT, "sequence": None, "data": {"attempt": 1, "ask": 1}}, 1),
        ],
        ids=["an outcome", "of a refund", "too frequent", "a first command", "a retry", "asking again"],
    )
    def test_events_are_counted_by_type_and_commands_as_retries(
        self, database: Database, changes: dict[str, Any], counted: int
    ) -> None:
        event = an_event(**changes)
        before = counters.read(database).get(event.type, 0)
        added(database, event)
        assert counters.read(database).get(event.type, 0) - before == counted


class TestAcceptedPayment:
    def test_its_event_has_the_payment_as_its_subject(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        [row] = outbox_rows(database, payment_id)
        assert subject_of(row) == ("payment", str(payment_id))
