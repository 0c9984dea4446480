"""A channel that counts the broker's confirms by the batch; the one module that touches what is private to aiormq.

aiormq makes a future for every message and, for a confirm of many, looks at every message in flight. We publish
batches, so a batch has one future, and the numbers of its messages that are not settled yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiormq.abc import AbstractConnection, ChannelFrame, ConfirmationFrameType
from aiormq.channel import Channel
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from paybridge.outbox.ports import Message

REFUSED = "refused by the broker"
UNROUTABLE = "unroutable: no queue is bound for this exchange and key"


class SentBatch:
    """Messages in flight: delivery tags from `first_tag` on, in the order of the messages."""

    __slots__ = ("_first_tag", "_last_tag", "_lowest_tag", "_messages", "_unsettled", "all_settled", "refusals")

    def __init__(self, messages: Sequence[Message], first_tag: int, all_settled: asyncio.Future[None]) -> None:
        self._messages = messages
        self._first_tag = self._lowest_tag = first_tag
        self._last_tag = first_tag + len(messages) - 1
        self._unsettled = set(range(first_tag, self._last_tag + 1))
        # Done once the broker has answered for every message; fails with the channel.
        self.all_settled = all_settled
        # For each message, why the broker refused it.
        self.refusals: list[str | None] = [None] * len(messages)

    def settle(self, tag: int, *, with_all_before: bool, refusal: str | None) -> None:
        """Record the broker's answer for one message, or for it and all before it; skip messages of other batches."""
        first = self._lowest_tag if with_all_before else tag
        settled = self._unsettled.intersection(range(first, min(tag, self._last_tag) + 1))
        self._unsettled -= settled
        if with_all_before:
            # The next confirm of many need not look at these again.
            self._lowest_tag = max(self._lowest_tag, tag + 1)
        if refusal is not None:
            self._refuse(settled, refusal)
        if not self._unsettled and not self.all_settled.done():
            self.all_settled.set_result(None)

    def returned(self, message_id: str | None, frame: Basic.Return) -> bool:
        """Record that the message reached no queue, before its confirm; return False if it is of another batch.

        Of several with one id, exchange and key it is the first that has not come back: they come back in order.
        """
        for number, message in enumerate(self._messages):
            if (
                message.id == message_id
                and self.refusals[number] is None
                and (message.exchange, message.routing_key) == (frame.exchange, frame.routing_key)
            ):
                self.refusals[number] = UNROUTABLE
                return True
        return False

    def refuse_unsettled(self, reason: str) -> None:
        """Record the reason for every message that the broker has not answered for."""
        self._refuse(self._unsettled, reason)

    def _refuse(self, tags: set[int], reason: str) -> None:
        for tag in tags:
            self.refusals[tag - self._first_tag] = reason


class ConfirmChannel(Channel):
    """aiormq's channel that counts confirms by the batch: publish by `send` only."""

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        super().__init__(connection, number)
        self._batches: list[SentBatch] = []

    async def send(self, messages: Sequence[Message], payload: bytes) -> SentBatch:
        """Hand the frames of the batch to the connection's writer; batches arrive in the order of the calls.

        Wait while the writer has too much to write. The caller sets the deadline, and calls `forget` at the end.
        """
        batch = SentBatch(messages, self.delivery_tag + 1, self.create_future())
        self.delivery_tag += len(messages)
        self._batches.append(batch)
        await self.write_queue.put(ChannelFrame(payload, should_close=False))
        return batch

    def forget(self, batch: SentBatch) -> None:
        """Ignore what the broker says of the batch from now on."""
        self._batches.remove(batch)

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        refusal = None if isinstance(frame, Basic.Ack) else REFUSED
        for batch in self._batches:
            batch.settle(frame.delivery_tag or 0, with_all_before=getattr(frame, "multiple", False), refusal=refusal)

    async def _on_return_frame(self, frame: Basic.Return) -> None:
        header = await self._get_frame()
        assert isinstance(header, ContentHeader)
        await self._read_content(frame, header)
        message_id = header.properties.message_id
        any(batch.returned(message_id, frame) for batch in self._batches)


async def open_confirm_channel(connection: AbstractConnection) -> ConfirmChannel:
    """Open a new channel with confirms on the connection, under a free number."""
    number = max(connection.channels, default=0) + 1
    channel = ConfirmChannel(connection, number)
    connection.channels[number] = channel
    await channel.open()
    return channel
