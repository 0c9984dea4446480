"""Send webhooks over HTTP to URLs that merchants chose, trusting neither the address nor the answer.

checked_connections.py guards the addresses. docs/decisions/0024-which-http-client.md says why the client is aiohttp.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping

import aiohttp
from yarl import URL

from paybridge.webhooks.checked_connections import (
    AddressNotAllowed,
    AddressRule,
    Resolver,
    SystemResolver,
    checked_connector,
)
from paybridge.webhooks.domain.address import IpNetwork, is_public, is_within
from paybridge.webhooks.domain.webhook import URL_NOT_ALLOWED, SendResult, is_target_allowed

USER_AGENT = "Paybridge"
CONNECT_TIMEOUT_SECONDS = 5.0
RESPONSE_BYTES_MAX = 64 * 1024
EXCERPT_LENGTH_MAX = 256
RETRY_AFTER_LENGTH_MAX = 64


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
        # Bound once, because sessions are kept by rule.
        self._is_local: AddressRule = lambda address: is_within(address, local_networks)
        self._is_allowed: AddressRule = lambda address: is_public(address) or is_within(address, local_networks)
        self._has_local = bool(local_networks)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._tls = tls or ssl.create_default_context()
        self._system_resolver = SystemResolver()
        self._resolve = resolve or self._system_resolver
        self._sessions: dict[AddressRule, aiohttp.ClientSession] = {}

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POST the body and read the beginning of the answer. Never raises for the receiver's fault."""
        started = time.perf_counter()
        status, retry_after, content, error = None, None, b"", None
        target = self._target(url)
        if target is None:
            error = URL_NOT_ALLOWED
        else:
            try:
                async with asyncio.timeout(timeout_seconds):
                    status, retry_after, content = await self._post(*target, headers, body)
            except (aiohttp.ClientError, OSError, ValueError) as failure:
                error = _kind_of(failure)
        return SendResult(
            status_code=status,
            error=error,
            latency_ms=round((time.perf_counter() - started) * 1000),
            excerpt=_printable(content.decode("utf-8", "replace"))[:EXCERPT_LENGTH_MAX],
            retry_after=retry_after,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        self._system_resolver.close()

    async def __aenter__(self) -> HttpWebhookSender:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def _target(self, url: str) -> tuple[aiohttp.ClientSession, URL] | None:
        """Return the session that may reach the URL, and the parsed URL: the very object that is connected to."""
        # Parsers silently drop line ends and tabs, and so read another address than a person does.
        if any(character <= " " or character == "\x7f" for character in url):
            return None
        try:
            parsed = URL(url)
            # These are computed when read. The host then fails for an `xn--` label that means nothing.
            scheme, host, port = parsed.scheme, parsed.host, parsed.port
            has_login = parsed.raw_user is not None or parsed.raw_password is not None
        except (ValueError, TypeError):
            return None
        if scheme not in ("http", "https") or not host or not port or has_login:
            return None
        if is_target_allowed(scheme, port):
            return self._session(self._is_allowed), parsed
        return (self._session(self._is_local), parsed) if self._has_local else None

    def _session(self, rule: AddressRule) -> aiohttp.ClientSession:
        """Return the session whose connections all passed the rule: a kept connection is not checked again."""
        if rule not in self._sessions:
            self._sessions[rule] = aiohttp.ClientSession(
                connector=checked_connector(self._resolve, rule, self._tls),
                timeout=self._timeout,
                trust_env=False,
                # A small compressed answer may expand without end.
                auto_decompress=False,
                # Receivers on one domain may belong to different merchants, who must not get each other's cookies.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT, "Content-Type": "application/json", "Accept-Encoding": "identity"},
            )
        return self._sessions[rule]

    async def _post(
        self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str | None, bytes]:
        async with session.post(url, headers=headers, data=body, allow_redirects=False) as response:
            if not 100 <= response.status <= 599:
                raise ValueError("no HTTP status")
            beginning = b""
            read_bytes = 0
            # Leaving this block before the end of the answer closes the connection.
            while read_bytes < RESPONSE_BYTES_MAX:
                chunk = await response.content.read(RESPONSE_BYTES_MAX - read_bytes)
                if not chunk:
                    break
                read_bytes += len(chunk)
                beginning = (beginning + chunk)[:EXCERPT_LENGTH_MAX]
            retry_after = response.headers.get("Retry-After")
            return response.status, retry_after[:RETRY_AFTER_LENGTH_MAX] if retry_after else None, beginning


def _kind_of(error: Exception) -> str:
    causes = _causes(error)
    if any(isinstance(cause, AddressNotAllowed) for cause in causes):
        return "address_not_allowed"
    if any(isinstance(cause, aiohttp.InvalidURL) for cause in causes):
        return URL_NOT_ALLOWED
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError) or any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "tls_failed"
    return "connect_failed" if isinstance(error, aiohttp.ClientConnectorError) else "protocol_error"


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return the error and its causes, outermost first."""
    causes: list[BaseException] = []
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
