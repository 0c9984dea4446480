from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from pamqp import body, commands, frame, header, heartbeat

from paybridge.rabbitmq.fast import deliveries
from paybridge.rabbitmq.fast.deliveries import BrokerDelivery, _Splitter
from paybridge.rabbitmq.fast.properties import read_properties

PROPERTIES = commands.Basic.Properties(content_type="application/json", message_id="m-1", delivery_mode=2)
ACK_OK = frame.marshal(commands.Basic.QosOk(), 1)
HEARTBEAT = frame.marshal(heartbeat.Heartbeat(), 0)


def delivered(tag: int, *parts: bytes, redelivered: bool = False) -> bytes:
    """The frames of one message whose body comes in these parts."""
    deliver = commands.Basic.Deliver("ctag", tag, redelivered, "payments", "payments.new")
    content = header.ContentHeader(0, sum(map(len, parts)), PROPERTIES)
    frames = [frame.marshal(deliver, 1), frame.marshal(content, 1)]
    return b"".join([*frames, *(frame.marshal(body.ContentBody(part), 1) for part in parts)])


class Stream:
    """A splitter with what came out of it at both ends."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(loop=loop)
        self.deliveries: list[BrokerDelivery] = []
        self.splitter = _Splitter(self.reader, loop, self.deliveries.append)

    def feed(self, data: bytes, piece_bytes: int) -> None:
        for at in range(0, len(data), piece_bytes):
            self.splitter.data_received(data[at : at + piece_bytes])

    async def rest(self) -> bytes:
        """What the reader was given, without the heartbeats."""
        self.reader.feed_eof()
        return (await self.reader.read()).replace(HEARTBEAT, b"")


class TestSplitter:
    @pytest.mark.parametrize("piece_bytes", [1, 2, 7, 8, 50, 10_000])
    async def test_takes_messages_out_and_hands_on_the_rest(self, piece_bytes: int) -> None:
        stream = Stream()
        messages = delivered(1, b"one") + ACK_OK + delivered(2, b"tw", b"o", redelivered=True) + delivered(3) + ACK_OK
        stream.feed(messages, piece_bytes)
        found = [(one.tag, one.body, one.redelivered) for one in stream.deliveries]
        assert found == [(1, b"one", False), (2, b"two", True), (3, b"", False)]
        assert await stream.rest() == ACK_OK * 2

    async def test_gives_the_properties_as_they_were_published(self) -> None:
        stream = Stream()
        stream.feed(delivered(1, b"x"), 10_000)
        properties = read_properties(stream.deliveries[0].properties)
        assert {name: value for name, value in properties.items() if value is not None} == {
            "contentType": "application/json",
            "deliveryMode": 2,
            "messageId": "m-1",
        }

    @pytest.mark.parametrize(("seconds", "heartbeats"), [((100.0, 100.9), 1), ((100.0, 100.9, 101.0, 101.9), 2)])
    async def test_tells_aiormq_that_the_broker_is_alive_once_a_second(
        self, monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, ...], heartbeats: int
    ) -> None:
        clock = iter(second for second in seconds for _ in range(100))
        monkeypatch.setattr(deliveries, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        stream = Stream()
        for tag in range(100 * len(seconds)):
            stream.feed(delivered(tag, b"x"), 10_000)
        stream.reader.feed_eof()
        assert await stream.reader.read() == HEARTBEAT * heartbeats

    async def test_hands_on_what_is_not_amqp(self) -> None:
        stream = Stream()
        stream.feed(b"AMQP\x00\x00\x09\x01" + b"HTTP/1.1 400 Bad Request\r\n\r\n", 10_000)
        assert (await stream.rest()).startswith(b"AMQP\x00\x00\x09\x01HTTP")


class TestReadProperties:
    @pytest.mark.parametrize("flags", [b"\xff\xfc", b"\x20\x00", b"\x10\x00", b"\x00\x40", b"\x80\x00"])
    def test_values_that_are_missing_are_none_or_empty(self, flags: bytes) -> None:
        assert not any(read_properties(flags).values())

    def test_reads_on_after_one_that_cannot_be_read(self) -> None:
        flags, headers, message_id = b"\x20\x80", b"\x00\x00\x00\x04\x01\xfft\x01", b"\x03m-1"
        found = read_properties(flags + headers + message_id)
        assert (found["headers"], found["messageId"]) == (None, "m-1")
