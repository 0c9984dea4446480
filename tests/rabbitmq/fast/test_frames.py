"""Frames built here are what pamqp would have built, and pamqp reads them as the messages they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import frame as amqp_frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from paybridge.core.events import CONTENT_TYPE
from paybridge.outbox.ports import Message
from paybridge.rabbitmq.fast import frames

NOW = datetime(2026, 11, 21, 12, 30, 45, tzinfo=UTC)
SHORT_STRING_BYTES_MAX = 255


def fits(text: str) -> bool:
    return len(text.encode()) <= SHORT_STRING_BYTES_MAX


# Anything that UTF-8 can carry; surrogates are no text.
short_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=SHORT_STRING_BYTES_MAX).filter(fits)
# pamqp itself refuses exchanges and keys with other characters.
names = st.text("abcdefghijklmnopqrstuvwxyz.-_:0123456789", max_size=127)
messages = st.builds(
    Message,
    id=short_strings,
    type=short_strings,
    exchange=names,
    routing_key=names,
    body=st.binary(max_size=2_000),
    correlation_id=short_strings,
    headers=st.none() | st.dictionaries(names.filter(bool), st.text(max_size=300), max_size=3),
)


def read_back(data: bytes) -> list[tuple[int, object]]:
    """Every frame of the data, with its channel."""
    found = []
    while data:
        size, channel, frame = amqp_frame.unmarshal(data)
        found.append((channel, frame))
        data = data[size:]
    return found


def by_pamqp(message: Message, channel: int, content_bytes_max: int) -> bytes:
    properties = Basic.Properties(
        content_type=CONTENT_TYPE,
        headers=dict(message.headers or {}),
        delivery_mode=2,
        correlation_id=message.correlation_id,
        message_id=message.id,
        timestamp=NOW,
        message_type=message.type,
    )
    publish = Basic.Publish(exchange=message.exchange, routing_key=message.routing_key, mandatory=True)
    starts = range(0, len(message.body), content_bytes_max)
    parts = [ContentBody(message.body[start : start + content_bytes_max]) for start in starts]
    header = ContentHeader(properties=properties, body_size=len(message.body))
    return b"".join(amqp_frame.marshal(one, channel) for one in [publish, header, *parts])


def told(found: Sequence[tuple[int, object]]) -> list[Message]:
    """The messages that the frames are about."""
    made: list[Message] = []
    for _, frame in found:
        match frame:
            case Basic.Publish():
                assert frame.mandatory
                assert not frame.immediate
                made.append(Message("", "", frame.exchange, frame.routing_key, b"", ""))
            case ContentHeader(properties=properties):
                assert (properties.content_type, properties.delivery_mode) == (CONTENT_TYPE, 2)
                assert properties.timestamp == NOW
                made[-1] = made[-1]._replace(
                    id=properties.message_id,
                    type=properties.message_type,
                    correlation_id=properties.correlation_id,
                    headers=properties.headers or None,
                )
            case ContentBody():
                made[-1] = made[-1]._replace(body=made[-1].body + frame.value)
    return made


@given(st.lists(messages, min_size=1, max_size=3), st.integers(1, 65_535), st.integers(1, 1_000))
@example([Message("", "", "", "", b"", "")], 1, 131_064)
@example([Message("ö" * 127 + "x", "€" * 85, "e" * 127, "k" * 127, b"x" * 255, "\U0001f600" * 63)], 65_535, 1)
def test_pamqp_reads_the_messages_back(made: list[Message], channel: int, content_bytes_max: int) -> None:
    found = read_back(frames.marshal(made, channel, content_bytes_max, NOW))
    assert told(found) == [message._replace(headers=message.headers or None) for message in made]
    assert {number for number, _ in found} == {channel}
    assert all(len(frame.value) <= content_bytes_max for _, frame in found if isinstance(frame, ContentBody))


@given(messages, st.integers(1, 65_535), st.integers(1, 1_000))
def test_the_bytes_are_those_of_pamqp(message: Message, channel: int, content_bytes_max: int) -> None:
    # pamqp leaves out a property that is empty, where we send it as empty.
    full = message._replace(
        id=message.id or "i", type=message.type or "t", correlation_id=message.correlation_id or "c"
    )
    assert frames.marshal([full], channel, content_bytes_max, NOW) == by_pamqp(full, channel, content_bytes_max)


@pytest.mark.parametrize("body_bytes", [0, 1, 131_063, 131_064, 131_065, 3 * 131_064, 1_000_001])
def test_a_large_body_is_split_at_the_size_of_a_frame(body_bytes: int) -> None:
    message = Message("id", "type", "exchange", "key", bytes(body_bytes), "c")
    data = frames.marshal([message], 1, 131_064, NOW)
    assert data == by_pamqp(message, 1, 131_064)
    assert told(read_back(data)) == [message]


@pytest.mark.parametrize("field", ["id", "type", "correlation_id", "exchange", "routing_key"])
def test_what_amqp_cannot_carry_is_named(field: str) -> None:
    fine = Message("id", "type", "exchange", "key", b"", "c")
    with pytest.raises(frames.Unsendable) as raised:
        frames.marshal([fine, fine._replace(**{field: "x" * 256}), fine], 1, 131_064, NOW)
    assert raised.value.number == 1
