"""Batches of messages that strangers sent, and that the work itself reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paybridge.core.raw_messages import RawMessage
from paybridge.outbox.ports import Message
from paybridge.outbox.routes import REDRIVE_EXCHANGE
from paybridge.rabbitmq.batch import RETURNS_MAX, Poison, returns_of, short_string
from paybridge.rabbitmq.raw import raw_messages_of, raw_messages_of_event

if TYPE_CHECKING:
    from paybridge.rabbitmq.subscription import TakenMessage


@dataclass(frozen=True, slots=True)
class Unread:
    """A message as it came."""

    message: RawMessage

    def poison(self, reason: str) -> Poison:
        """Return the message as poison; `reason` must repeat nothing of its content."""
        return Poison(self.message.queue, self.message.message_id, self.message.body, reason)

    def handed_back(self) -> Message:
        """Return the message to publish when its queue shall have it again. Its headers mean nothing and stay away."""
        return Message(
            id=short_string(self.message.message_id),
            type=short_string(self.message.type),
            exchange=REDRIVE_EXCHANGE,
            routing_key=self.message.queue,
            body=self.message.body,
            correlation_id=short_string(self.message.correlation_id),
        )


@dataclass(slots=True)
class UnreadBatch:
    """Messages that are processed together, and the poison among them."""

    events: list[Unread] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)


def parse_unread(lambda_event: Mapping[str, Any]) -> UnreadBatch:
    """Return the messages of an `aws:rmq` event. One that was returned more than RETURNS_MAX times is poison.

    Raises MalformedMessage only if the invocation is no RabbitMQ batch.
    """
    batch = UnreadBatch()
    for message in raw_messages_of_event(lambda_event):
        unread, returns = Unread(message), returns_of(message.headers)
        if returns > RETURNS_MAX:
            batch.poison.append(unread.poison(f"returned to its queue {returns} times"))
        else:
            batch.events.append(unread)
    return batch


def unread_of(deliveries: Sequence[TakenMessage]) -> UnreadBatch:
    """Return the messages that a worker has taken from its queues."""
    return UnreadBatch([Unread(message) for message in raw_messages_of(deliveries)])
