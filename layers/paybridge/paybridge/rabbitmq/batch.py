"""Parse a batch of messages, from Lambda's event source mapping for RabbitMQ or from a worker.

The mapping knows no partial failure: raising returns the whole batch. So one bad message is taken out here, handed to
the dead-letter exchange with a confirm and its reason, and the others go on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from paybridge.core.errors import BrokerUnavailable, MalformedMessage
from paybridge.core.events import Event, parse_envelope
from paybridge.core.isolation import run_each_item
from paybridge.observability.redaction import redact_type
from paybridge.outbox.ports import Message
from paybridge.outbox.routes import (
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_KEY,
    NEW_PAYMENTS_KEY,
    REDRIVE_EXCHANGE,
    SHARD_HEADER,
)
from paybridge.rabbitmq.logins import FreshUrls, no_fresh_urls
from paybridge.rabbitmq.publisher import open_publisher

if TYPE_CHECKING:
    from paybridge.rabbitmq.subscription import TakenMessage

REASON_HEADER = "x-paybridge-reason"
QUEUE_HEADER = "x-paybridge-queue"
DEAD_LETTER_DEADLINE_SECONDS = 10.0
HAND_BACK_DEADLINE_SECONDS = 10.0
REASON_CHARACTERS_MAX = 250
SHORT_STRING_BYTES_MAX = 255
# How often the mapping may have returned a message before it counts as the one that ends the function. A broker before
# 4.3 ends it earlier, by the delivery limit of its queue; 4.3 counts a mapping's returns toward no limit. As many as
# RabbitMQ 4 allows by default: an outage returns batches as well.
RETURNS_MAX = 20
# By which broker tells how often: 4.3 in the first, those before in the second.
RETURNS_HEADERS = ("x-acquired-count", "x-delivery-count")


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that no retry can fix, with the reason, which is logged and so repeats nothing of the content."""

    queue: str
    message_id: str
    body: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """An event that can be worked on, and the message it came in, byte for byte."""

    queue: str
    event: Event
    message_id: str
    body: bytes

    def poison(self, reason: str) -> Poison:
        """Return the message as poison, for a fault found later; `reason` must repeat nothing of its content."""
        return Poison(self.queue, self.message_id, self.body, reason)

    def handed_back(self) -> Message:
        """Return the message to publish when its queue shall have it again."""
        event = self.event
        # A shard is no routing key. The broker hashes the payment's id, so the message returns to the shard it came
        # from.
        is_sharded = self.queue.startswith(f"{NEW_PAYMENTS_KEY}.")
        queue = NEW_PAYMENTS_KEY if is_sharded else self.queue
        return Message(
            id=self.message_id or str(event.id),
            type=event.type,
            exchange=REDRIVE_EXCHANGE,
            routing_key=queue,
            body=self.body,
            correlation_id=event.correlation_id,
            headers={SHARD_HEADER: str(event.payment_id)} if queue == NEW_PAYMENTS_KEY else None,
        )


class Returnable(Protocol):
    """A message that can be handed back to its queue."""

    def handed_back(self) -> Message:
        """Return the message to publish."""
        ...


class AnyBatch(Protocol):
    """Messages that are processed together: those that can be worked on, and the poison, to which work may add."""

    @property
    def events(self) -> Sequence[Returnable]:
        """Return the messages that can be worked on."""
        ...

    @property
    def poison(self) -> list[Poison]:
        """Return the messages that no retry can fix."""
        ...


@dataclass(slots=True)
class Batch:
    """Messages that are processed together: the events that can be worked on, and the poison."""

    events: list[Received] = field(default_factory=list)
    poison: list[Poison] = field(default_factory=list)


def parse_batch(lambda_event: Mapping[str, Any], known_types: frozenset[str]) -> Batch:
    """Parse the batch in an `aws:rmq` event.

    A message that is no CloudEvent of ours, or of a type not in `known_types`, or that was returned to its queue more
    than RETURNS_MAX times, is poison. Raises MalformedMessage only if the invocation is no RabbitMQ batch.
    """
    by_queue = lambda_event.get("rmqMessagesByQueue")
    if not isinstance(by_queue, Mapping):
        raise MalformedMessage("the invocation is no aws:rmq event")
    batch = Batch()
    for queue_and_vhost, messages in by_queue.items():
        queue = queue_and_vhost.partition("::")[0]
        for message in messages:
            _sort_into(batch, queue, message, known_types)
    return batch


def batch_of(deliveries: Sequence[TakenMessage], known_types: frozenset[str]) -> Batch:
    """Parse the messages that a worker has taken from its queues; see `parse_batch` for what is poison."""
    batch = Batch()
    for delivery in deliveries:
        _sort_body_into(batch, delivery.queue, delivery.message_id, delivery.body, known_types)
    return batch


async def hand_back(url: str, received: Sequence[Returnable], fresh_urls: FreshUrls = no_fresh_urls) -> None:
    """Publish the messages to their queues again; return once the broker has confirmed all of them.

    Unlike a return by the broker this uses up none of their deliveries. The caller then acknowledges the batch. If it
    dies before that, the queue holds a message twice, and the second one finds nothing to do. Raises BrokerUnavailable
    if the broker did not take all of them.
    """
    messages = [one.handed_back() for one in received]
    async with open_publisher(url, fresh_urls) as publisher:
        refusals = await publisher.publish(messages, HAND_BACK_DEADLINE_SECONDS)
    refused = [refusal for refusal in refusals if refusal is not None]
    if refused:
        raise BrokerUnavailable(f"The broker did not take {len(refused)} messages back: {refused[0]}.")


async def dead_letter(url: str, poison: Sequence[Poison], fresh_urls: FreshUrls = no_fresh_urls) -> None:
    """Publish poison to the dead-letter exchange; return once the broker has confirmed all of it.

    `fresh_urls` are tried when the broker refuses the login of `url`. Raises BrokerUnavailable if it did not: the
    caller then lets the whole batch return, so that nothing is lost.
    """
    messages = [_dead_letter_message(number, one) for number, one in enumerate(poison)]
    async with open_publisher(url, fresh_urls) as publisher:
        refusals = await publisher.publish(messages, DEAD_LETTER_DEADLINE_SECONDS)
    refused = [refusal for refusal in refusals if refusal is not None]
    if refused:
        raise BrokerUnavailable(f"The dead-letter exchange did not take {len(refused)} messages: {refused[0]}.")


def returns_of(headers: Mapping[str, Any]) -> int:
    """Return how often the mapping has returned a message with these headers to its queue."""
    counts = (headers.get(name) for name in RETURNS_HEADERS)
    return max((count for count in counts if isinstance(count, int)), default=0)


def short_string(text: str) -> str:
    """Return as much of the text as AMQP's short string holds: a stranger's may be longer once it is replaced."""
    return text.encode(errors="replace")[:SHORT_STRING_BYTES_MAX].decode(errors="ignore")


def _sort_into(batch: Batch, queue: str, message: Mapping[str, Any], known_types: frozenset[str]) -> None:
    try:
        body = base64.b64decode(message["data"], validate=True)
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        batch.poison.append(Poison(queue, _message_id(message), b"", f"no body: {type(error).__name__}"))
        return
    returns = returns_of((message.get("basicProperties") or {}).get("headers") or {})
    if returns > RETURNS_MAX:
        batch.poison.append(Poison(queue, _message_id(message), body, f"returned to its queue {returns} times"))
    else:
        _sort_body_into(batch, queue, _message_id(message), body, known_types)


def _sort_body_into(batch: Batch, queue: str, message_id: str, body: bytes, known_types: frozenset[str]) -> None:
    def on_bad_body(_: bytes, error: Exception) -> None:
        detail = f": {error}" if isinstance(error, MalformedMessage) else ""
        batch.poison.append(Poison(queue, message_id, body, f"{type(error).__name__}{detail}"))

    for event in run_each_item(_event_of, (body,), on_bad_body):
        if event.type in known_types:
            batch.events.append(Received(queue, event, message_id, body))
        else:
            batch.poison.append(Poison(queue, message_id, body, f"unknown type {redact_type(event.type)}"))


def _event_of(body: bytes) -> Event:
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedMessage(f"JSONDecodeError at character {error.pos}") from None
    return parse_envelope(envelope)


def _message_id(message: Mapping[str, Any]) -> str:
    properties = message.get("basicProperties") or {}
    return str(properties.get("messageId") or "")


def _dead_letter_message(number: int, poison: Poison) -> Message:
    # A stranger's message may have no id.
    message_id = short_string(poison.message_id or f"poison-{number}")
    return Message(
        id=message_id,
        type="dead-letter",
        exchange=DEAD_LETTER_EXCHANGE,
        routing_key=DEAD_LETTER_KEY,
        body=poison.body,
        correlation_id=message_id,
        headers={
            REASON_HEADER: poison.reason[:REASON_CHARACTERS_MAX],
            QUEUE_HEADER: poison.queue,
        },
    )
