"""Send webhooks over HTTP to URLs that merchants chose, trusting neither the address nor the answer.

checked_connections.py guards the addresses, connection.py speaks HTTP.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from paybridge.core.errors import InvalidInput
from paybridge.webhooks.checked_connections import (
    AddressNotAllowed,
    AddressRule,
    Resolver,
    SystemResolver,
    connected_socket,
)
from paybridge.webhooks.connection import ConnectionEnded, KeptConnections, NotHttp, ReceiverAnswer, ReceiverConnection
from paybridge.webhooks.domain.address import IpNetwork, is_public, is_within
from paybridge.webhooks.domain.webhook import URL_NOT_ALLOWED, SendResult, is_target_allowed
from paybridge.webhooks.domain.webhook_url import URLS_REMEMBERED, WebhookTarget, read_target

USER_AGENT = "Paybridge"
CONNECT_TIMEOUT_SECONDS = 5.0
EXCERPT_LENGTH_MAX = 256
HEADER_LINES = (f"User-Agent: {USER_AGENT}", "Content-Type: application/json", "Accept-Encoding: identity")


class _Route(NamedTuple):
    """What a connection may be used for again: the scheme and port also say which addresses were allowed."""

    scheme: str
    host: str
    port: int


class HttpWebhookSender:
    """Sends each webhook once, within its deadline. Use and close it inside one event loop.

    Addresses in `local_networks` (a developer's machine) may be reached too, by plain http and on any port. `resolve`
    replaces the system's name resolution in tests.
    """

    def __init__(
        self,
        *,
        local_networks: tuple[IpNetwork, ...] = (),
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        self._is_local: AddressRule = lambda address: is_within(address, local_networks)
        self._is_allowed: AddressRule = lambda address: is_public(address) or is_within(address, local_networks)
        self._has_local = bool(local_networks)
        self._connect_timeout_seconds = connect_timeout_seconds
        self._tls = tls or ssl.create_default_context()
        self._system_resolver = SystemResolver()
        self._resolve = resolve or self._system_resolver
        self._kept: KeptConnections[_Route] = KeptConnections()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POST the body and read the beginning of the answer. Never raises for the receiver's fault."""
        started = time.perf_counter()
        answer, error = ReceiverAnswer(), None
        try:
            target = self._target(url)
            request = _request(target, headers, body)
            async with asyncio.timeout(timeout_seconds):
                await self._exchange(_Route(target.scheme, target.host, target.port), target, request, answer)
        except InvalidInput:
            error = URL_NOT_ALLOWED
        except (OSError, ValueError, ConnectionEnded, NotHttp) as failure:
            # A status that has come is the answer, whatever happens to the rest of it.
            error = None if answer.status is not None else _kind_of(failure)
        return SendResult(
            status_code=answer.status,
            error=error,
            latency_ms=round((time.perf_counter() - started) * 1000),
            excerpt=_printable(answer.beginning.decode("utf-8", "replace"))[:EXCERPT_LENGTH_MAX],
            retry_after=answer.retry_after,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        self._kept.close()
        self._system_resolver.close()

    async def __aenter__(self) -> HttpWebhookSender:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def _target(self, url: str) -> WebhookTarget:
        """Return where the URL leads. Raises InvalidInput if webhooks do not go there."""
        target = _read_target(url)
        if not is_target_allowed(target.scheme, target.port) and not self._has_local:
            raise InvalidInput(URL_NOT_ALLOWED, "Webhooks go to https alone.")
        return target

    async def _exchange(self, route: _Route, target: WebhookTarget, request: bytes, answer: ReceiverAnswer) -> None:
        """Send the request on a kept connection, or on a new one if there is none or the receiver has closed it.

        The webhook's id makes it safe to send the request again: a receiver handles each id once.
        """
        kept = self._kept.take(route)
        if kept is not None:
            try:
                await self._exchange_on(kept, route, request, answer)
            except NotHttp:
                pass  # What was left of the answer before.
            except ConnectionEnded as ended:
                if not ended.is_silent:
                    raise
            else:
                return
        await self._exchange_on(await self._connect(target), route, request, answer)

    async def _exchange_on(
        self, connection: ReceiverConnection, route: _Route, request: bytes, answer: ReceiverAnswer
    ) -> None:
        try:
            await connection.exchange(request, answer)
        finally:
            # A kept connection is not checked again; the port says which rule it has passed.
            if answer.is_complete:
                self._kept.put(route, connection)
            else:
                connection.close()

    async def _connect(self, target: WebhookTarget) -> ReceiverConnection:
        """Connect to an address that the rule for the target allows. Raises OSError and TimeoutError."""
        rule = self._is_allowed if is_target_allowed(target.scheme, target.port) else self._is_local
        async with asyncio.timeout(self._connect_timeout_seconds):
            socket = await connected_socket(target.host_name, target.port, self._resolve, rule)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                ReceiverConnection,
                sock=socket,
                ssl=self._tls if target.scheme == "https" else None,
                server_hostname=target.tls_name if target.scheme == "https" else None,
            )
        except BaseException:
            socket.close()
            raise
        return connection


# An endpoint gets the same URL again and again. URLs that raise are not kept.
_read_target = lru_cache(URLS_REMEMBERED)(read_target)


def _request(target: WebhookTarget, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the bytes to send. Raises ValueError for a header that cannot be sent."""
    lines = [f"POST {target.request_target} HTTP/1.1", f"Host: {target.host_header}", *HEADER_LINES]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a header contains the end of a line")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _kind_of(error: Exception) -> str:
    causes = _causes(error)
    if any(isinstance(cause, AddressNotAllowed) for cause in causes):
        return "address_not_allowed"
    if isinstance(error, TimeoutError):
        return "timeout"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "tls_failed"
    return "connect_failed" if isinstance(error, OSError) else "protocol_error"


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return the error and its causes, outermost first."""
    causes: list[BaseException] = []
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
