"""The functions' users of the broker, by its management API: two that take turns, so that one always works.

Lambda's mapping logs in by itself, with the secret's current version and no other. With one user its every reconnect
would fail from the moment the password is set until the secret's stages have moved; with two, a rotation changes the
password of the one that nobody uses. The second is named after the first and has the first one's rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import orjson
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import PyreqwestError

from paybridge.adapters.rabbitmq.publisher import open_publisher
from paybridge.domain.errors import BrokerUnavailable, RotationRefused
from paybridge.ports import Login

TWIN_SUFFIX: Final = "-b"
TIMEOUT: Final = timedelta(seconds=5)
_RIGHTS: Final = ("configure", "write", "read")
_TOPIC_RIGHTS: Final = ("exchange", "write", "read")


class BrokerUsers:
    """A RotatedLogin; `url_of` gives the broker's AMQP URL with a login in it."""

    def __init__(self, management_url: str, admin: Login, url_of: Callable[[Login], str]) -> None:
        self._api = f"{management_url.rstrip('/')}/api"
        self._admin = admin
        self._url_of = url_of

    def next_username(self, username: str) -> str:
        """The other one of the two."""
        first = username.removesuffix(TWIN_SUFFIX)
        return first if username != first else first + TWIN_SUFFIX

    def change(self, current: Login, pending: Login) -> None:
        """Sets the password of the user that is not in use, and makes that user if it is missing.

        Everything here can be done again. Raises BrokerUnavailable, and RotationRefused when the users are not those
        of the functions.
        """
        if self._admin.username in {current.username, pending.username}:
            raise RotationRefused("The functions log in as the broker's administrator: give them a user of their own.")
        with _client() as client:
            tags = self._ask(client, "GET", f"users/{_quoted(current.username)}")["tags"]
            user = {"password": pending.password, "tags": tags if isinstance(tags, str) else ",".join(tags)}
            self._ask(client, "PUT", f"users/{_quoted(pending.username)}", user)
            first = pending.username.removesuffix(TWIN_SUFFIX)
            if first != pending.username:
                self._give_rights(client, first, pending.username)

    def test(self, login: Login) -> None:
        """Returns when the login works, over AMQP and in the functions' virtual host."""
        asyncio.run(_log_in(self._url_of(login)))

    def _give_rights(self, client: SyncClient, first: str, twin: str) -> None:
        """Makes the twin's permissions those of the first user, in every virtual host."""
        for kind, fields in (("permissions", _RIGHTS), ("topic-permissions", _TOPIC_RIGHTS)):
            wanted = self._ask(client, "GET", f"users/{_quoted(first)}/{kind}")
            vhosts = {one["vhost"] for one in wanted}
            for one in self._ask(client, "GET", f"users/{_quoted(twin)}/{kind}"):
                if one["vhost"] not in vhosts:
                    self._ask(client, "DELETE", f"{kind}/{_quoted(one['vhost'])}/{_quoted(twin)}")
            for one in wanted:
                rights = {field: one[field] for field in fields}
                self._ask(client, "PUT", f"{kind}/{_quoted(one['vhost'])}/{_quoted(twin)}", rights)

    def _ask(self, client: SyncClient, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        request = client.request(method, f"{self._api}/{path}").basic_auth(self._admin.username, self._admin.password)
        if body is not None:
            request = request.body_json(body)
        try:
            response = request.build().send()
            status, answer = response.status, bytes(response.bytes())
        except (PyreqwestError, TimeoutError) as error:
            raise BrokerUnavailable(f"The broker's management API does not answer: {type(error).__name__}.") from error
        if not 200 <= status < 300:
            # Without the path's names the log would not tell which user is missing.
            raise BrokerUnavailable(f"The broker's management API answers {status} to {method} {path}.")
        return orjson.loads(answer) if answer else None


def _client() -> SyncClient:
    return SyncClientBuilder().timeout(TIMEOUT).no_proxy().follow_redirects(False).build()


def _quoted(name: str) -> str:
    return quote(name, safe="")


async def _log_in(url: str) -> None:
    async with open_publisher(url):
        return
