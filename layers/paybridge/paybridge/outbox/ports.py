"""What the relay needs from a broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from paybridge.database.database import Transaction


class Message(NamedTuple):
    """A message to publish; `headers` are AMQP headers.

    A tuple, because the relay makes many thousands a second.
    """

    id: str
    type: str
    exchange: str
    routing_key: str
    body: bytes
    correlation_id: str
    headers: Mapping[str, Any] | None = None


class Redrives(Protocol):
    """The dead letters behind rows of the outbox that publish a message again."""

    def load(self, transaction: Transaction, row_ids: Sequence[str]) -> Mapping[str, Message | None]:
        """Return the messages to publish by the ids of their rows; None for a row that is no longer wanted.

        Rows that are too much for one batch are left out. The first is always there.
        """
        ...

    def settle(self, transaction: Transaction, row_ids: Sequence[str]) -> None:
        """Record that the messages of these rows were published."""
        ...


def _nothing() -> None:
    """Save nothing."""


@dataclass(frozen=True, slots=True)
class ReplaySlice:
    """Messages of a replay, and in how many seconds its row is due again: None if these are the last.

    `save` records in the same transaction that the broker has all of them.
    """

    row_id: str
    messages: Sequence[Message]
    delay_seconds: float | None
    save: Callable[[], None] = _nothing


class Replays(Protocol):
    """The replays behind rows of the outbox that publish facts again."""

    def load(self, transaction: Transaction, row_id: str) -> ReplaySlice | None:
        """Return the next slice of the row's replay, None if it is busy elsewhere."""
        ...


class Publisher(Protocol):
    """Hands messages to the broker and waits until it has taken responsibility for them."""

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        """Publish all of them at once.

        Return for each message, in order, None once the broker has confirmed and routed it, or the reason why the
        broker refused it. Raises BrokerUnavailable if the broker is away: then none counts as published.
        """
        ...
