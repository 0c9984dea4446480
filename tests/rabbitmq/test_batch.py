"""Sorting a batch of messages into events and poison."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from paybridge.core.events import NESTING_MAX, Event, parse_envelope
from paybridge.rabbitmq import batch as batch_module
from paybridge.rabbitmq.batch import RETURNS_MAX, Batch, parse_batch
from tests.support.envelopes import an_envelope
from tests.support.item_errors import ITEM_ERRORS, name_of

CARD = "4111111111111111"
ATTRIBUTES = [
    "specversion", "source", "id", "type", "subject", "merchantid", "correlationid", "time", "sequence", "traceparent",
    "data",
]  # fmt: skip


def batch_of(*bodies: bytes) -> Batch:
    messages = [{"data": base64.b64encode(body).decode(), "basicProperties": {"messageId": "m-1"}} for body in bodies]
    return parse_batch({"rmqMessagesByQueue": {"webhooks::/": messages}}, frozenset({"payment.succeeded"}))


def reason_of(body: bytes) -> str:
    batch = batch_of(body)
    assert batch.events == []
    (poison,) = batch.poison
    assert poison.body == body
    return poison.reason


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels):
        data = {"in": data}
    return data


class TestReasons:
    @pytest.mark.parametrize("name", ATTRIBUTES)
    @pytest.mark.parametrize("value", [CARD, int(CARD), [CARD], {CARD: CARD}, f"card {CARD}", f"{CARD}é"])
    def test_no_value_of_any_attribute_is_repeated(self, name: str, value: Any) -> None:
        batch = batch_of(orjson.dumps(an_envelope(**{name: value})))
        assert len(batch.events) + len(batch.poison) == 1
        assert not any("4111" in poison.reason for poison in batch.poison)

    @pytest.mark.parametrize("body", [CARD.encode() + b"x", b'{"' + CARD.encode(), b"\xff" + CARD.encode()])
    def test_no_part_of_what_is_not_json_is_repeated(self, body: bytes) -> None:
        reason = reason_of(body)
        assert "JSONDecodeError" in reason
        assert "4111" not in reason

    def test_the_attribute_and_the_kind_of_fault_are_named(self) -> None:
        assert "time: ValueError" in reason_of(orjson.dumps(an_envelope(time=CARD)))
        assert "subject: AttributeError" in reason_of(orjson.dumps(an_envelope(subject=7)))
        envelope = an_envelope()
        del envelope["merchantid"]
        assert "merchantid: KeyError" in reason_of(orjson.dumps(envelope))

    def test_an_unknown_type_is_named_if_it_is_a_name(self) -> None:
        assert reason_of(orjson.dumps(an_envelope(type="payment.exploded"))) == "unknown type payment.exploded"
        for type_ in ("Payment!", "4111.1111.1111.1111", "a" * 65, "card-4111-1111-1111-1111"):
            assert reason_of(orjson.dumps(an_envelope(type=type_))) == "unknown type [no name]"


class TestDepth:
    def test_an_event_that_is_nested_too_deeply_is_poison(self) -> None:
        for levels in (NESTING_MAX + 1, 300, 1000):
            body = b'{"in":' * levels + b"{}" + b"}" * levels
            envelope = orjson.dumps(an_envelope(data={"x": 1})).replace(b'{"x":1}', body)
            assert "nested" in reason_of(envelope)

    def test_what_the_api_takes_is_none(self) -> None:
        batch = batch_of(orjson.dumps(an_envelope(data=nested(NESTING_MAX))))
        assert (len(batch.events), batch.poison) == (1, [])

    def test_an_event_keeps_its_message_byte_for_byte(self) -> None:
        body = orjson.dumps(an_envelope(), option=orjson.OPT_INDENT_2) + b"\n "
        (received,) = batch_of(body).events
        poison = received.poison("because")
        assert (poison.body, poison.queue, poison.message_id, poison.reason) == (body, "webhooks", "m-1", "because")


class TestReturns:
    @pytest.mark.parametrize("header", ["x-acquired-count", "x-delivery-count"])
    @pytest.mark.parametrize(("count", "is_poison"), [(0, False), (RETURNS_MAX, False), (RETURNS_MAX + 1, True)])
    def test_a_message_that_was_returned_too_often_is_poison(self, header: str, count: int, is_poison: bool) -> None:
        batch = batch_with_headers({header: count})
        assert (len(batch.poison), len(batch.events)) == (int(is_poison), int(not is_poison))
        if is_poison:
            assert batch.poison[0].reason == f"returned to its queue {count} times"

    @pytest.mark.parametrize("headers", [None, {}, {"x-acquired-count": None}, {"x-acquired-count": {"bytes": [57]}}])
    def test_headers_that_tell_no_number_make_no_poison(self, headers: Any) -> None:
        assert batch_with_headers(headers).poison == []


def batch_with_headers(headers: Any) -> Batch:
    message = {"data": base64.b64encode(orjson.dumps(an_envelope())).decode(), "basicProperties": {"headers": headers}}
    return parse_batch({"rmqMessagesByQueue": {"webhooks::/": [message]}}, frozenset({"payment.succeeded"}))


class TestIsolation:
    @pytest.mark.parametrize("error", ITEM_ERRORS, ids=name_of)
    def test_a_body_that_breaks_the_reading_is_poison_and_the_others_are_events(
        self, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def parse(envelope: dict[str, Any]) -> Event:
            if envelope["correlationid"] == "odd":
                raise error
            return parse_envelope(envelope)

        monkeypatch.setattr(batch_module, "parse_envelope", parse)
        good, odd = orjson.dumps(an_envelope()), orjson.dumps(an_envelope(correlationid="odd"))
        batch = batch_of(good, odd, good)
        assert [received.body for received in batch.events] == [good, good]
        assert [(poison.body, poison.reason.partition(":")[0]) for poison in batch.poison] == [(odd, name_of(error))]
