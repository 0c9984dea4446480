"""Recording deaths in a real database: one row for each message, and no message that cannot be stored."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paybridge.core.errors import LockTimeout
from paybridge.core.raw_messages import RawMessage
from paybridge.database import counters
from paybridge.database.database import Statement
from paybridge.dead_letters import record as use_case
from paybridge.dead_letters.domain import DEAD_LETTERS_RECORDED
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.record import record_dead_letters
from paybridge.rabbitmq.raw import json_headers, raw_messages_of
from paybridge.rabbitmq.subscription import TakenMessage
from tests.support.dead_letters import ANY_VALUE, raw, rows

pytestmark = pytest.mark.integration

_SET_STATE = Statement("""
    WITH redrive AS (
        INSERT INTO dead_letter_redrives (id, actor, selection, rate_per_second, matched, answer, created_at)
        VALUES (gen_random_uuid(), 'tests', '{}', 1, 1, '{}', now()) RETURNING id
    ), redriving AS (
        UPDATE dead_letters SET state = 'redriving', redrives = 1, redrive_id = (SELECT id FROM redrive),
            outbox_id = gen_random_uuid()
        WHERE :state::text LIKE 'redri%'
    ), discarded AS (
        UPDATE dead_letters SET state = 'discarded', closed_at = now(), closed_by = 'tests', note = 'seen'
        WHERE :state::text = 'discarded'
    )
    SELECT
""")
_REDRIVEN = Statement("UPDATE dead_letters SET state = 'redriven', outbox_id = NULL WHERE state = 'redriving'")


def record(services: DeadLetterServices, *messages: RawMessage) -> list[int]:
    """Record the messages, and return their counts."""
    return [one.count for one in record_dead_letters(services, messages)]


class TestRecordDeadLetters:
    def test_all_that_a_message_says_is_kept(self, services: DeadLetterServices) -> None:
        payment_id = uuid4()
        body = orjson.dumps({"subject": str(payment_id), "type": "payment.succeeded"})
        headers = {"x-paybridge-reason": "because", "x-paybridge-queue": "webhooks", "n": 1}
        message = raw(body, message_id="m", type="payment.succeeded", correlation_id="c", headers=headers)
        (recorded,) = record_dead_letters(services, [message])
        (row,) = rows(services.database)
        assert row == {
            **row,
            "id": str(recorded.id),
            "queue": "webhooks",
            "dead_letter_queue": "payments.dead",
            "reason": "because",
            "state": "dead",
            "count": 1,
            "message_id": "m",
            "message_type": "payment.succeeded",
            "correlation_id": "c",
            "payment_id": str(payment_id),
            "headers": headers,
            "deaths": [],
        }
        assert bytes.fromhex(row["body"][2:]) == body
        assert row["first_seen_at"] == row["last_seen_at"]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\0",
            b"\xff\xfe",
            "\u0000\ud800".encode("utf-8", "surrogatepass"),
            b"[" * 5000,
            bytes(range(256)) * 40_000,
        ],
        ids=["empty", "nul", "no-utf8", "surrogate", "deep", "ten-megabytes"],
    )
    def test_any_body_is_kept_byte_for_byte(self, services: DeadLetterServices, body: bytes) -> None:
        assert record(services, raw(body)) == [1]
        (row,) = rows(services.database)
        assert bytes.fromhex(row["body"][2:]) == body

    def test_the_same_message_again_is_counted_in_its_row(self, services: DeadLetterServices) -> None:
        assert record(services, raw(message_id="m")) == [1]
        assert record(services, raw(message_id="m")) == [2]
        (row,) = rows(services.database)
        assert row["count"] == 2
        assert row["first_seen_at"] < row["last_seen_at"]

    def test_copies_in_one_batch_are_counted_in_one_row(self, services: DeadLetterServices) -> None:
        assert record(services, raw(), raw(b"other"), raw()) in ([2, 1], [1, 2])
        assert sorted(row["count"] for row in rows(services.database)) == [1, 2]

    def test_the_counter_grows_with_the_counts(self, services: DeadLetterServices) -> None:
        before = counters.read(services.database).get(DEAD_LETTERS_RECORDED, 0)
        record(services, raw(b"a"), raw(b"a"), raw(b"a"), raw(b"b"))
        record(services, raw(b"a", redelivered=True), raw(b"b"))
        assert counters.read(services.database)[DEAD_LETTERS_RECORDED] - before == 5

    def test_a_second_delivery_of_a_recorded_death_changes_nothing(self, services: DeadLetterServices) -> None:
        headers = {"x-paybridge-reason": "because"}
        record(services, raw(headers=headers))
        before = rows(services.database)
        assert record(services, raw(headers=headers, redelivered=True)) == [1]
        assert rows(services.database) == before

    def test_a_new_death_is_counted_even_if_its_first_delivery_failed(self, services: DeadLetterServices) -> None:
        record(services, raw(headers={"x-paybridge-reason": "because"}))
        assert record(services, raw(headers={"x-paybridge-reason": "another"}, redelivered=True)) == [2]

    @pytest.mark.parametrize("state", ["redriving", "redriven", "discarded"])
    @pytest.mark.parametrize("redelivered", [True, False])
    def test_a_message_that_dies_again_is_dead_again(
        self, services: DeadLetterServices, state: str, redelivered: bool
    ) -> None:
        record(services, raw())
        services.database.run(_SET_STATE, state=state)
        if state == "redriven":
            services.database.run(_REDRIVEN)
        assert rows(services.database)[0]["state"] == state
        assert record(services, raw(redelivered=redelivered)) == [2]
        (row,) = rows(services.database)
        assert (row["state"], row["outbox_id"], row["note"], row["closed_by"]) == ("dead", None, None, None)

    def test_properties_that_the_database_refuses_are_left_out(self, services: DeadLetterServices) -> None:
        # Reading a message makes its properties safe. This one did not go that way.
        bad = raw(b"bad", message_id="nul\0", headers={"a": 1})
        assert record(services, raw(b"good", headers={"a": 1}), bad) == [1, 1]
        found = {bytes.fromhex(row["body"][2:]): row["headers"] for row in rows(services.database)}
        assert found == {b"good": {"a": 1}, b"bad": {}}

    def test_a_locked_row_returns_the_batch_after_the_others_are_recorded(self, services: DeadLetterServices) -> None:
        record(services, raw(b"locked", message_id="m"))
        services.database.run(Statement("SET lock_timeout = '200ms'"))
        with closing(services.database.another()) as operator, operator.transaction() as change:
            change.run(Statement("SELECT FROM dead_letters FOR UPDATE"))
            with pytest.raises(LockTimeout):
                record(services, raw(b"locked", message_id="m"), raw(b"free"))
        assert {bytes.fromhex(row["body"][2:]) for row in rows(services.database)} == {b"locked", b"free"}
        record(services, raw(b"locked", message_id="m", redelivered=True), raw(b"free", redelivered=True))
        assert [row["count"] for row in rows(services.database)] == [1, 1]

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(headers=st.dictionaries(st.text(max_size=8), ANY_VALUE, max_size=4), message_id=st.text(max_size=9))
    def test_headers_of_any_kind_are_stored(
        self, services: DeadLetterServices, headers: dict[str, Any], message_id: str
    ) -> None:
        taken = TakenMessage(1, "payments.dead", message_id, message_id.encode(errors="replace"), {"headers": headers})
        (message,) = raw_messages_of([taken])
        record(services, message)
        assert json_headers(headers) in [row["headers"] for row in rows(services.database)]

    def test_a_large_batch_is_one_transaction_in_several_statements(
        self, services: DeadLetterServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use_case, "STATEMENT_BYTES_MAX", 100)
        assert record(services, *(raw(b"%d" % number * 60) for number in range(10))) == [1] * 10
        assert len(rows(services.database)) == 10


def test_each_distinct_message_is_counted_once(services: DeadLetterServices) -> None:
    before = counters.read(services.database).get(DEAD_LETTERS_RECORDED, 0)
    record(services, raw(b"1"), raw(b"2"), raw(b"3"))
    assert counters.read(services.database)[DEAD_LETTERS_RECORDED] - before == 3
