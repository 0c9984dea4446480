"""What a user of the broker can do there, tried out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import httpx
from aio_pika.exceptions import AMQPError, ChannelClosed

from local.servers.broker_users import url_of
from local.testkit.servers import Vhost


@dataclass(frozen=True, slots=True)
class User:
    """A user in a virtual host, by both doors of the broker."""

    name: str
    password: str
    vhost: Vhost

    @property
    def amqp_url(self) -> str:
        """The virtual host's URL with this user's login."""
        return url_of(self.vhost.amqp_url, self.name, self.password)

    def ask(self, method: str, *path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """What the management API answers to this user."""
        parts = urlsplit(self.vhost.management_url)
        url = urlunsplit((parts.scheme, f"{parts.hostname}:{parts.port}", "/".join(["/api", *_quoted(path)]), "", ""))
        return httpx.request(method, url, json=body, auth=(self.name, self.password), timeout=20, trust_env=False)

    def take(self, queue: str) -> httpx.Response:
        """Takes one message out of a queue through the management API."""
        body = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
        return self.ask("POST", "queues", self.vhost.name, queue, "get", body=body)

    def publish(self, exchange: str, key: str) -> httpx.Response:
        """Publishes a message through the management API."""
        body = {"properties": {}, "routing_key": key, "payload": "x", "payload_encoding": "string"}
        return self.ask("POST", "exchanges", self.vhost.name, exchange, "publish", body=body)

    def can_connect_to(self, vhost: Vhost) -> bool:
        """Whether the broker lets this login into a virtual host."""

        async def connect() -> bool:
            try:
                connection = await aio_pika.connect(url_of(vhost.amqp_url, self.name, self.password))
            except AMQPError:
                return False
            await connection.close()
            return True

        return asyncio.run(connect())

    async def refusal(self, method: str, **arguments: Any) -> str:
        """The broker's reason for closing the channel after this AMQP method; empty when it did as it was told."""
        connection = await aio_pika.connect(self.amqp_url)
        async with connection:
            channel = await (await connection.channel()).get_underlay_channel()
            try:
                await getattr(channel, method)(**arguments)
            except ChannelClosed as error:
                return str(error)
        return ""


def _quoted(parts: tuple[str, ...]) -> list[str]:
    return [quote(part, safe="") for part in parts]
