"""The broker as the features use it: batches, subscriptions, publishers and queue depths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from paybridge import wiring
from paybridge.wiring import addresses

if TYPE_CHECKING:
    from paybridge.core.raw_messages import RawMessage
    from paybridge.rabbitmq.batch import Batch, Poison, Returnable
    from paybridge.rabbitmq.depths import AmqpQueueDepths
    from paybridge.rabbitmq.publisher import RabbitPublisher
    from paybridge.rabbitmq.subscription import Subscription, TakenMessage
    from paybridge.rabbitmq.unread import UnreadBatch


def rabbitmq_url() -> str:
    """Return the broker's URL with the login that last worked. Keep it out of logs."""
    settings = wiring.environment()
    return addresses.broker_url(settings, wiring.logins().read(settings.BROKER_SECRET_ID))


def fresh_rabbitmq_urls() -> Iterator[str]:
    """Return the URLs to try once the broker refuses the login of `rabbitmq_url`. Each is read when it is asked for."""
    settings = wiring.environment()
    for login in wiring.logins().read_again(settings.BROKER_SECRET_ID):
        yield addresses.broker_url(settings, login)


def parse_batch(lambda_event: Mapping[str, Any], known_types: frozenset[str]) -> Batch:
    """Return the messages of an `aws:rmq` event; see `paybridge.rabbitmq.batch.parse_batch`."""
    from paybridge.rabbitmq import batch

    return batch.parse_batch(lambda_event, known_types)


def batch_of(deliveries: Sequence[TakenMessage], known_types: frozenset[str]) -> Batch:
    """Return the batch of a worker's messages; see `paybridge.rabbitmq.batch.batch_of`."""
    from paybridge.rabbitmq import batch

    return batch.batch_of(deliveries, known_types)


def parse_unread(lambda_event: Mapping[str, Any]) -> UnreadBatch:
    """Return the messages of an `aws:rmq` event for work that reads them; see `paybridge.rabbitmq.unread`."""
    from paybridge.rabbitmq import unread

    return unread.parse_unread(lambda_event)


def unread_of(deliveries: Sequence[TakenMessage]) -> UnreadBatch:
    """Return a worker's messages for work that reads them; see `paybridge.rabbitmq.unread`."""
    from paybridge.rabbitmq import unread

    return unread.unread_of(deliveries)


def parse_raw(lambda_event: Mapping[str, Any]) -> list[RawMessage]:
    """Return the messages of an `aws:rmq` event unread; see `paybridge.rabbitmq.raw.raw_messages_of_event`."""
    from paybridge.rabbitmq import raw

    return raw.raw_messages_of_event(lambda_event)


def raw_messages_of(deliveries: Sequence[TakenMessage]) -> list[RawMessage]:
    """Return a worker's messages unread; see `paybridge.rabbitmq.raw.raw_messages_of`."""
    from paybridge.rabbitmq import raw

    return raw.raw_messages_of(deliveries)


def subscribe(queues: Sequence[str], prefetch: int) -> AbstractAsyncContextManager[Subscription]:
    """Return a subscription to the queues, with its own connection."""
    from paybridge.rabbitmq import subscription

    return subscription.subscribe(rabbitmq_url(), queues, prefetch, fresh_rabbitmq_urls)


async def hand_back(received: Sequence[Returnable]) -> None:
    """Publish messages to their queues again. Raises BrokerUnavailable unless all are confirmed."""
    from paybridge.rabbitmq import batch

    await batch.hand_back(rabbitmq_url(), received, fresh_rabbitmq_urls)


async def dead_letter(poison: Sequence[Poison]) -> None:
    """Publish poison messages to the dead-letter exchange. Raises BrokerUnavailable unless all are confirmed."""
    from paybridge.rabbitmq import batch

    await batch.dead_letter(rabbitmq_url(), poison, fresh_rabbitmq_urls)


def queue_depths() -> AmqpQueueDepths:
    """Return the reader of queue depths, with its own connection. Use it only in coroutines given to `wiring.run`."""
    from paybridge.rabbitmq.depths import AmqpQueueDepths

    return AmqpQueueDepths(rabbitmq_url(), fresh_rabbitmq_urls)


def open_publisher() -> AbstractAsyncContextManager[RabbitPublisher]:
    """Return a publisher with its own connection."""
    from paybridge.rabbitmq.publisher import open_publisher as open_rabbit_publisher

    return open_rabbit_publisher(rabbitmq_url(), fresh_rabbitmq_urls)


def payment_shards() -> int:
    """Return the number of shards of the queue `payments.new`; 1 is the queue itself."""
    return wiring.environment().PAYMENT_SHARDS
