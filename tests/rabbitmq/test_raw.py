"""Reading messages of any sender: nothing in them is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import MalformedMessage
from paybridge.rabbitmq.raw import HEADER_LEVELS_MAX, TOO_DEEP, json_headers, raw_messages_of, raw_messages_of_event
from paybridge.rabbitmq.subscription import TakenMessage
from tests.support.dead_letters import ANY_VALUE


def lambda_text(text: bytes) -> dict[str, list[int]]:
    """Return a text as Lambda writes it: its bytes, signed."""
    return {"bytes": [byte - 256 if byte > 127 else byte for byte in text]}


def event(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"eventSource": "aws:rmq", "rmqMessagesByQueue": {"payments.dead::/": list(messages)}}


class TestRawMessagesOfEvent:
    def test_the_texts_of_lambda_are_read_as_texts(self) -> None:
        death = {"queue": lambda_text(b"payments.new"), "count": 1, "routing-keys": [lambda_text(b"k")]}
        headers = {"origin": lambda_text("caf\u00e9".encode()), "x-death": [death]}
        properties = {"messageId": "m", "type": "t", "correlationId": "c", "headers": headers}
        (message,) = raw_messages_of_event(
            event({"basicProperties": properties, "data": base64.b64encode(b"\xff\0").decode(), "redelivered": True})
        )
        assert message.headers == {
            "origin": "caf\u00e9",
            "x-death": [{"queue": "payments.new", "count": 1, "routing-keys": ["k"]}],
        }
        assert (message.queue, message.body, message.redelivered) == ("payments.dead", b"\xff\0", True)
        assert (message.message_id, message.type, message.correlation_id) == ("m", "t", "c")

    @pytest.mark.parametrize(
        "message",
        [
            {},
            {"basicProperties": None, "data": None},
            {"basicProperties": {"headers": None, "messageId": None}, "data": ""},
            {"basicProperties": {"headers": "none", "messageId": 7}, "data": "no base64!"},
        ],
    )
    def test_what_is_missing_or_broken_is_kept_in_the_nearest_form(self, message: dict[str, Any]) -> None:
        (raw,) = raw_messages_of_event(event(message))
        assert raw.headers == {}
        assert raw.body in {b"", b"no base64!"}

    @pytest.mark.parametrize("invocation", [{}, {"Records": []}, {"rmqMessagesByQueue": []}])
    def test_another_invocation_is_refused(self, invocation: dict[str, Any]) -> None:
        with pytest.raises(MalformedMessage):
            raw_messages_of_event(invocation)


class TestRawMessagesOf:
    def test_the_messages_of_a_worker_read_the_same(self) -> None:
        properties = {"headers": {"n": Decimal("1.5"), "b": b"\xff"}, "type": "t", "correlationId": None}
        (message,) = raw_messages_of([TakenMessage(1, "payments.dead", "m", b"x", properties, redelivered=True)])
        assert message.headers == {"n": "1.5", "b": {"base64": "/w=="}}
        assert (message.message_id, message.type, message.correlation_id) == ("m", "t", "")
        assert message.redelivered


class TestJsonHeaders:
    @pytest.mark.parametrize(
        ("value", "safe"),
        [
            ("plain", "plain"),
            ("nul\0", {"base64": base64.b64encode(b"nul\0").decode()}),
            ("\ud800", "?"),
            (lambda_text(b"\xff"), {"base64": "/w=="}),
            (2**63, str(2**63)),
            (float("nan"), "nan"),
            (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
            (None, None),
            (True, True),
        ],
    )
    def test_odd_values_become_json(self, value: Any, safe: Any) -> None:
        assert json_headers({"h": value}) == {"h": safe}

    def test_deep_nesting_is_cut(self) -> None:
        nested: Any = "end"
        for _ in range(2000):
            nested = {"in": nested}
        text = json.dumps(json_headers(nested))
        assert TOO_DEEP in text
        assert text.count("{") == HEADER_LEVELS_MAX

    @given(st.dictionaries(st.text(max_size=8), ANY_VALUE, max_size=4))
    def test_any_headers_are_storable(self, headers: dict[str, Any]) -> None:
        text = json.dumps(json_headers(headers), allow_nan=False)
        assert "\\u0000" not in text
        text.encode()
