"""Sends webhooks over HTTP to addresses that merchants chose, and so trusts neither the address nor the answer.

Every address that a name resolves to is checked, and so is the very address that a socket is about to be connected to:
a name that resolves otherwise a moment later changes nothing. However an address is spelled (decimal, octal,
hexadecimal, shortened, fullwidth, with a trailing dot), what is checked is the address that comes of it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from paybridge.webhooks.domain.address import IpAddress, IpNetwork, is_public, is_within
from paybridge.webhooks.domain.webhook import URL_NOT_ALLOWED, SendResult, is_target_allowed

USER_AGENT = "Paybridge"
CONNECT_TIMEOUT_SECONDS = 5.0
RESPONSE_BYTES_MAX = 64 * 1024
EXCERPT_LENGTH_MAX = 256
RETRY_AFTER_LENGTH_MAX = 64
CONNECTIONS_MAX = 500
# Receivers close idle connections after 5 s and more; sending into a connection that is being closed would look like a
# failure of theirs.
KEEPALIVE_SECONDS = 2.0
ADDRESSES_TRIED_MAX = 4
# A name server that hangs occupies a thread until it times out; names of other receivers must still find one.
RESOLVER_THREADS_MAX = 64

Resolver = Callable[[str], Awaitable[list[IpAddress]]]
AddressRule = Callable[[IpAddress], bool]
SocketAddress = tuple[int, int, int, str, tuple[str | int, ...]]


class AddressNotAllowed(OSError):
    """Webhooks are not sent to this address."""


class HttpWebhookSender:
    """Sends each webhook once, within its deadline; must be used and closed inside one event loop.

    The addresses of `local_networks`, for a developer's machine, may be reached too, there by plain http and on any
    port. `resolve` replaces the system's name resolution in tests.
    """

    def __init__(
        self,
        *,
        local_networks: tuple[IpNetwork, ...] = (),
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        # Bound once, because sessions are kept by their rule.
        self._is_local: AddressRule = lambda address: is_within(address, local_networks)
        self._is_allowed: AddressRule = lambda address: is_public(address) or is_within(address, local_networks)
        self._has_local = bool(local_networks)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._tls = tls or ssl.create_default_context()
        self._system_resolver = SystemResolver()
        self._resolve = resolve or self._system_resolver
        self._sessions: dict[AddressRule, aiohttp.ClientSession] = {}

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POSTs the body and reads the beginning of the answer. Never raises for the receiver's fault."""
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
        """Closes every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        self._system_resolver.close()

    async def __aenter__(self) -> HttpWebhookSender:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def _target(self, url: str) -> tuple[aiohttp.ClientSession, URL] | None:
        """The parsed URL and the session that may reach it: checked on the very object that is then connected to."""
        # Parsers drop line ends and tabs in silence, and so read another address than a person does.
        if any(character <= " " or character == "\x7f" for character in url):
            return None
        try:
            parsed = URL(url)
            # Each of these is worked out when it is read; the host then fails for an `xn--` label that means nothing.
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
        """The session whose connections all keep the rule: a connection that is kept is not checked again."""
        if rule not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                keepalive_timeout=KEEPALIVE_SECONDS,
                ssl=self._tls,
                use_dns_cache=False,
                resolver=CheckedResolver(self._resolve, rule),
                socket_factory=lambda address: checked_socket(address, rule),
            )
            self._sessions[rule] = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                trust_env=False,
                # A small compressed answer may unfold without end.
                auto_decompress=False,
                # Receivers on one domain belong to different merchants: no cookie of one is sent to another.
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
            # Leaving the block before the end of the answer closes the connection.
            while read_bytes < RESPONSE_BYTES_MAX:
                chunk = await response.content.read(RESPONSE_BYTES_MAX - read_bytes)
                if not chunk:
                    break
                read_bytes += len(chunk)
                beginning = (beginning + chunk)[:EXCERPT_LENGTH_MAX]
            retry_after = response.headers.get("Retry-After")
            return response.status, retry_after[:RETRY_AFTER_LENGTH_MAX] if retry_after else None, beginning


class CheckedResolver(AbstractResolver):
    """Resolves names all of whose addresses keep the rule."""

    def __init__(self, resolve: Resolver, rule: AddressRule) -> None:
        self._resolve = resolve
        self._rule = rule

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses to try, in order; raises OSError when there are none, AddressNotAllowed when one is refused."""
        try:
            addresses = await self._resolve(host)
        except ValueError as error:
            raise OSError(f"{host} is no name") from error
        if not addresses:
            raise OSError(f"{host} has no address")
        if not all(map(self._rule, addresses)):
            raise AddressNotAllowed(f"{host} resolves to an address that webhooks are not sent to")
        resolved = [_resolved(host, port, address) for address in addresses[:ADDRESSES_TRIED_MAX]]
        return [one for one in resolved if family in (socket.AF_UNSPEC, one["family"])]

    async def close(self) -> None:
        """There is nothing to close."""


def checked_socket(address: SocketAddress, rule: AddressRule) -> socket.socket:
    """The socket for a connection to the address; raises AddressNotAllowed unless the address keeps the rule.

    This is the last word: addresses that need no resolving pass here and nowhere else.
    """
    family, kind, protocol, _, sockaddr = address
    if not rule(ip_address(str(sockaddr[0]))):
        raise AddressNotAllowed(f"webhooks are not sent to {sockaddr[0]}")
    return socket.socket(family, kind, protocol)


class SystemResolver:
    """The system's name resolution, in threads of its own; names asked for at the same time share one look-up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS_MAX, thread_name_prefix="resolver")
        self._under_way: dict[str, asyncio.Task[list[IpAddress]]] = {}

    async def __call__(self, host: str) -> list[IpAddress]:
        """Every address of the host; raises OSError or UnicodeError when it has none."""
        task = self._under_way.get(host)
        if task is None:
            task = self._under_way[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda _: self._under_way.pop(host, None))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Lets the threads end without waiting for name servers that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str) -> list[IpAddress]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [ip_address(sockaddr[0]) for *_, sockaddr in found]


def _resolved(host: str, port: int, address: IpAddress) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


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
    """The error and what it came of, outermost first."""
    causes: list[BaseException] = []
    while error is not None:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
