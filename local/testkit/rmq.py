"""Events as Lambda's mapping for RabbitMQ hands them over."""

from __future__ import annotations

import base64
from typing import Any

from paybridge.database.database import Database, Statement

_BODIES = Statement("SELECT id::text, body FROM outbox WHERE payment_id = ANY(:ids::uuid[]) AND type = :type::text")


def rmq_event(queue: str, bodies: list[bytes], message_ids: list[str | None] | None = None) -> dict[str, Any]:
    """An `aws:rmq` event with these bodies, as AWS documents it."""
    ids = message_ids or [None] * len(bodies)
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": "arn:aws:mq:eu-central-1:123456789012:broker:paybridge:b-1",
        "rmqMessagesByQueue": {
            f"{queue}::/": [
                {
                    "basicProperties": {
                        "contentType": "application/cloudevents+json",
                        "headers": {"origin": {"bytes": [116, 101, -61, -97]}},
                        "deliveryMode": 2,
                        "messageId": message_id,
                        "bodySize": len(body),
                    },
                    "redelivered": False,
                    "data": base64.b64encode(body).decode(),
                }
                for body, message_id in zip(bodies, ids, strict=True)
            ]
        },
    }


def outbox_bodies(database: Database, payment_ids: list[Any], type_: str) -> list[bytes]:
    """The messages of that type that the relay would publish for these payments."""
    ids = "{" + ",".join(map(str, payment_ids)) + "}"
    return [row[1].encode() for row in database.run(_BODIES, ids=ids, type=type_)]
