"""HTTP to Stripe's API: one pool of connections, the secret key, and limits on what an answer may be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import httpx

from paybridge.payments.gateways.stripe_reading import StripeAnswer
from paybridge.payments.gateways.stripe_requests import StripeOrder

# The shapes of requests and answers change with it.
API_VERSION = "2026-10-28.endive"
# As many calls as the largest batch of the event source mapping that one environment takes at a time.
CONNECTIONS_MAX = 1000
KEEPALIVE_SECONDS = 15.0
# A page of 100 PaymentIntents is the largest answer, with 3 to 10 KB each.
ANSWER_BYTES_MAX = 2 * 1024 * 1024
_HEADERS = {
    "User-Agent": "Paybridge",
    "Accept": "application/json",
    # A compressed answer could unpack to any size, so none is asked for.
    "Accept-Encoding": "identity",
    "Stripe-Version": API_VERSION,
}
_UNAUTHORIZED = 401


class ApiKey(Protocol):
    """Stripe's secret key. Its methods may block, and raise SecretUnavailable and SettingsInvalid."""

    def read(self) -> str:
        """Return the key that was last read."""
        ...

    def read_again(self) -> str:
        """Return the key that is valid now."""
        ...


class StripeAnswerTooLarge(ValueError):
    """Stripe's answer is larger than ANSWER_BYTES_MAX."""


class StripeApi:
    """Stripe's API at `url`. The pool opens on first use, or by `open`, and the caller sets the deadlines.

    Certificates are verified against the system's authorities, or by `tls` if it is given. A call that Stripe does not
    take for its key, and so does not execute, is made again with the key that is valid now. Every call raises
    httpx.HTTPError, StripeAnswerTooLarge, SecretUnavailable and SettingsInvalid.
    """

    def __init__(self, url: str, key: ApiKey, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._key = key
        self._tls = tls
        self._known_key: str | None = None
        self._reading_key = asyncio.Lock()
        self._pool: httpx.AsyncHTTPTransport | None = None

    def open(self) -> httpx.AsyncHTTPTransport:
        """Open the pool, unless it is open, and return it. This reads the certificates of the system's authorities.

        The pool knows no redirects, cookies, proxies or logins of the environment.
        """
        if self._pool is None:
            self._pool = httpx.AsyncHTTPTransport(
                verify=self._tls or ssl.create_default_context(),
                trust_env=False,
                limits=httpx.Limits(
                    max_connections=CONNECTIONS_MAX,
                    max_keepalive_connections=CONNECTIONS_MAX,
                    keepalive_expiry=KEEPALIVE_SECONDS,
                ),
            )
        return self._pool

    async def get(self, path: str, parameters: Mapping[str, str]) -> StripeAnswer:
        """Return the answer to a GET with these parameters."""
        return await self._call(httpx.Request("GET", f"{self._url}{path}", params=parameters, headers=_HEADERS))

    async def post(self, order: StripeOrder, idempotency_key: str) -> StripeAnswer:
        """Return the answer to a POST under this idempotency key."""
        headers = {**_HEADERS, "Idempotency-Key": idempotency_key}
        return await self._call(httpx.Request("POST", f"{self._url}{order.path}", data=order.form, headers=headers))

    async def close(self) -> None:
        """Close the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def _call(self, request: httpx.Request) -> StripeAnswer:
        key = await self._read_key(refused=None)
        answer = await self._send(request, key)
        if answer.status != _UNAUTHORIZED:
            return answer
        valid_key = await self._read_key(refused=key)
        return answer if valid_key == key else await self._send(request, valid_key)

    async def _read_key(self, refused: str | None) -> str:
        """Return the key, read again if it is still the one that was refused. A thousand calls read it once."""
        async with self._reading_key:
            if self._known_key is None:
                self._known_key = await asyncio.to_thread(self._key.read)
            elif self._known_key == refused:
                self._known_key = await asyncio.to_thread(self._key.read_again)
            return self._known_key

    async def _send(self, request: httpx.Request, key: str) -> StripeAnswer:
        request.headers["Authorization"] = f"Bearer {key}"
        response = await self.open().handle_async_request(request)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise StripeAnswerTooLarge
        finally:
            # Before the end of the answer this closes the connection.
            await response.aclose()
        is_replayed = response.headers.get("idempotent-replayed") == "true"
        retry_after = response.headers.get("retry-after")
        return StripeAnswer(response.status_code, bytes(body), retry_after, is_replayed, datetime.now(UTC))
