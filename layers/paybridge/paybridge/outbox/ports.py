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
        """Publish all of them at once.

        Return for each message, in order, None once the broker has confirmed and routed it, or the reason why the
        broker refused it. Raises BrokerUnavailable if the broker is away: then none counts as published.
        """
        ...
