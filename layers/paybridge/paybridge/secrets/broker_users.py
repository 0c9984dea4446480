"""The functions' two users of the broker, changed through its management API. One of them always works.

Lambda's queue mapping logs in with the secret's current version and no other. With one user, its reconnects would fail
from the moment the password is set until the secret's stages have moved. With two, a rotation changes the password of
the user that is not in use. Terraform creates both with the same rights (`infra/terraform/topology/users.tf`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from paybridge.core.errors import BrokerUnavailable, RotationRefused
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.secrets.ports import Login

TWIN_SUFFIX = "-b"
# For each of connecting, sending and every part of the answer; the answers are a few hundred bytes.
TIMEOUT_SECONDS = 5.0


class BrokerUsers:
    """A RotatedLogin. `url_of` returns the broker's AMQP URL with a login in it."""

    def __init__(self, management_url: str, admin: Login, url_of: Callable[[Login], str]) -> None:
        self._api_url = f"{management_url.rstrip('/')}/api/"
        self._admin = admin
        self._url_of = url_of

    def next_username(self, username: str) -> str:
        """Return the other one of the two users."""
        first = username.removesuffix(TWIN_SUFFIX)
        return first if username != first else first + TWIN_SUFFIX

    def change(self, current: Login, pending: Login) -> None:
        """Set the password of the user that is not in use. Its tags and permissions stay.

        Raises BrokerUnavailable, and RotationRefused if the users are not those of the functions.
        """
        if self._admin.username in {current.username, pending.username}:
            raise RotationRefused("The functions log in as the broker's administrator: give them a separate user.")
        path = f"users/{quote(pending.username, safe='')}"
        with self._client() as client:
            user = self._ask(client, "GET", path)
            if user is None:
                raise RotationRefused(
                    f"The broker has no user {pending.username} to take turns with {current.username}: apply "
                    "infra/terraform/topology."
                )
            tags = user["tags"]
            body = {"password": pending.password, "tags": tags if isinstance(tags, str) else ",".join(tags)}
            self._ask(client, "PUT", path, body)

    def test(self, login: Login) -> None:
        """Log in over AMQP, to the functions' virtual host."""
        asyncio.run(_log_in(self._url_of(login)))

    def _client(self) -> httpx.Client:
        login = httpx.BasicAuth(self._admin.username, self._admin.password)
        # The system's authorities, as for AMQP. Proxies and other settings of the environment stay out.
        authorities = ssl.create_default_context()
        return httpx.Client(
            base_url=self._api_url, auth=login, timeout=TIMEOUT_SECONDS, trust_env=False, verify=authorities
        )

    def _ask(self, client: httpx.Client, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """Return the JSON of the answer, or None if it is empty or there is nothing at the path."""
        try:
            response = client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BrokerUnavailable(f"The broker's management API does not answer: {type(error).__name__}.") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise BrokerUnavailable(f"The broker's management API answers {response.status_code} to {method} {path}.")
        return response.json() if response.content else None


async def _log_in(url: str) -> None:
    async with open_publisher(url):
        return
