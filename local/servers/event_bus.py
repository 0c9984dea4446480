"""Watch an EventBridge bus as another system does: by a rule that sends the events to an SQS queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from local.servers import aws
from local.settings import LocalSettings

SOURCE = "paybridge"
# The endpoint is on this machine, or there is none. It loads each service with the first request for it.
_PATIENCE = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 0}}


@dataclass(frozen=True, slots=True)
class Watched:
    """A queue that gets the events of a bus."""

    queue_url: str
    _sqs: Any

    def take(self) -> list[dict[str, Any]]:
        """Remove all events that are there and return them as EventBridge delivers them."""
        taken = []
        while messages := self._sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            taken += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                self._sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return taken


@contextmanager
def watch(settings: LocalSettings, bus: str, name: str, pattern: dict[str, Any] | None = None) -> Iterator[Watched]:
    """Let the events of the bus that match the pattern go to a queue, by default all of Paybridge.

    `name` is that of rule and queue. Both are removed afterwards.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    events, sqs = aws.client(settings, "events", **_PATIENCE), aws.client(settings, "sqs", **_PATIENCE)
    queue_url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern or {"source": [SOURCE]}))
    try:
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        yield Watched(queue_url, sqs)
    finally:
        # An endpoint that is gone has no rule any more.
        with suppress(BotoCoreError, ClientError):
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
            events.delete_rule(Name=name, EventBusName=bus)
            sqs.delete_queue(QueueUrl=queue_url)
