"""What the relay needs from a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """A message to publish; `headers` are AMQP headers with text values.

    A tuple, because the relay makes many thousands a second.
    """

    id: str
    type: str
    exchange: str
    routing_key: str
    body: bytes
    correlation_id: str
    headers: dict[str, str] | None = None


class Publisher(Protocol):
    """Hands messages to the broker and waits until it has taken responsibility for them."""

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        """Publishes all of them at once.

        Returns for each message, in order, None once the broker has confirmed and routed it, or the reason why it
        was not taken. Raises BrokerUnavailable when the broker is away: then none may be taken as published.
        """
        ...
