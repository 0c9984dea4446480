from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pamqp.commands import Basic

from local.bridge.rabbitmq_events import BatchEvent, message_record, timestamp_text
from paybridge.rabbitmq.fast.properties import read_properties

PROPERTIES = (
    *("contentType", "contentEncoding", "headers", "deliveryMode", "priority", "correlationId", "replyTo"),
    *("expiration", "messageId", "timestamp", "type", "userId", "appId", "clusterId"),
)


def record(properties: Basic.Properties, body: bytes = b"") -> dict[str, object]:
    read = read_properties(properties.marshal())
    parsed: dict[str, object] = json.loads(message_record(read, body, redelivered=False))
    return parsed


class TestMessageRecord:
    def test_gives_null_for_every_unset_property(self) -> None:
        assert record(Basic.Properties(), b"hi") == {
            "basicProperties": {
                **dict.fromkeys(PROPERTIES),
                "bodySize": 2,
            },
            "redelivered": False,
            "data": "aGk=",
        }

    def test_gives_text_headers_as_signed_bytes_and_numbers_raw(self) -> None:
        properties = Basic.Properties(headers={"name": "é", "count": 5, "deaths": [{"queue": "q"}]})
        assert record(properties)["basicProperties"]["headers"] == {  # type: ignore[index]
            "name": {"bytes": [-61, -87]},
            "count": 5,
            "deaths": [{"queue": {"bytes": [113]}}],
        }

    def test_masked_header_bytes_are_the_text_again(self) -> None:
        properties = Basic.Properties(headers={"name": "привет"})
        signed = record(properties)["basicProperties"]["headers"]["name"]["bytes"]  # type: ignore[index]
        assert bytes(byte & 0xFF for byte in signed).decode() == "привет"


class TestTimestampText:
    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC), "Jan 1, 1970, 12:33:41 AM"),
            (datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC), "Nov 21, 2026, 12:00:05 PM"),
            (datetime(2026, 2, 3, 23, 9, 0, tzinfo=UTC), "Feb 3, 2026, 11:09:00 PM"),
        ],
    )
    def test_is_written_as_aws_does(self, moment: datetime, text: str) -> None:
        assert timestamp_text(moment) == text


class TestBatchEvent:
    def test_frames_records_under_queue_and_virtual_host(self) -> None:
        frame = BatchEvent("arn", "payments.new", "/")
        payload = frame.payload([b"1", b"2"])
        assert json.loads(payload) == {
            "eventSource": "aws:rmq",
            "eventSourceArn": "arn",
            "rmqMessagesByQueue": {"payments.new::/": [1, 2]},
        }
        assert len(payload) == frame.size_bytes + len(b"1,2")
