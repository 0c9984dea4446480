"""Sends webhooks over HTTP to addresses that merchants chose, and so trusts neither the address nor the answer.

The name is resolved here, every address it resolves to is checked, and the connection goes to a checked address: a name
that resolves otherwise a moment later changes nothing. However an address is spelled (decimal, octal, hexadecimal,
shortened, fullwidth, with a trailing dot), the resolver turns it into an address object before the check sees it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address

import httpcore
import httpx

from paybridge.domain.address import IpAddress, is_loopback, is_public
from paybridge.domain.webhook import URL_NOT_ALLOWED, SendResult, is_target_allowed

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


class AddressNotAllowed(httpcore.ConnectError):
    """The name resolves to an address that webhooks are not sent to."""


class HttpWebhookSender:
    """Sends each webhook once, within its deadline; must be used and closed inside one event loop.

    With `allow_loopback`, for a developer's machine, loopback addresses may be reached too, there by plain http and on
    any port. `resolve` replaces the system's name resolution in tests.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        self._system_resolver = SystemResolver() if resolve is None else None
        resolver = resolve or self._system_resolver
        assert resolver is not None
        context = tls or httpx.create_ssl_context(trust_env=False)
        self._timeout = httpx.Timeout(None, connect=connect_timeout_seconds)
        self._allow_loopback = allow_loopback
        self._client = _client(CheckedBackend(resolver, self._is_address_allowed), context)
        self._loopback_client = _client(CheckedBackend(resolver, is_loopback), context) if allow_loopback else None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POSTs the body and reads the beginning of the answer. Never raises for the receiver's fault."""
        started = time.perf_counter()

        def result(status: int | None = None, error: str | None = None, **more: str | None) -> SendResult:
            latency_ms = round((time.perf_counter() - started) * 1000)
            return SendResult(status_code=status, error=error, latency_ms=latency_ms, **more)  # type: ignore[arg-type]

        target = self._target(url)
        if target is None:
            return result(error=URL_NOT_ALLOWED)
        client, parsed = target
        try:
            async with asyncio.timeout(timeout_seconds):
                response, content = await self._post(client, parsed, headers, body)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, OSError, ValueError, *_CORE_ERRORS) as error:
            return result(error=_kind_of(error))
        retry_after = response.headers.get("retry-after")
        return result(
            response.status_code,
            excerpt=_excerpt(content),
            retry_after=retry_after[:RETRY_AFTER_LENGTH_MAX] if retry_after else None,
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._client.aclose()
        if self._loopback_client is not None:
            await self._loopback_client.aclose()
        if self._system_resolver is not None:
            self._system_resolver.close()

    async def __aenter__(self) -> HttpWebhookSender:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def _target(self, url: str) -> tuple[httpx.AsyncClient, httpx.URL] | None:
        """The parsed URL and the client that may reach it: checked on the very object that is then connected to."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            return None
        if not parsed.host or parsed.userinfo or parsed.scheme not in ("http", "https"):
            return None
        if is_target_allowed(parsed.scheme, parsed.port or {"https": 443, "http": 80}[parsed.scheme]):
            return self._client, parsed
        return (self._loopback_client, parsed) if self._loopback_client is not None else None

    async def _post(
        self, client: httpx.AsyncClient, url: httpx.URL, headers: Mapping[str, str], body: bytes
    ) -> tuple[httpx.Response, bytes]:
        async with client.stream("POST", url, headers=dict(headers), content=body, timeout=self._timeout) as response:
            content = bytearray()
            # Raw, because a small compressed answer may unfold without end. Leaving the block before the end of the
            # answer closes the connection.
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) >= RESPONSE_BYTES_MAX:
                    break
            return response, bytes(content[:RESPONSE_BYTES_MAX])

    def _is_address_allowed(self, address: IpAddress) -> bool:
        return is_public(address) or (self._allow_loopback and is_loopback(address))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to names all of whose addresses are allowed, and to those addresses only."""

    def __init__(self, resolve: Resolver, is_allowed: Callable[[IpAddress], bool]) -> None:
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects within `timeout` seconds; raises AddressNotAllowed, httpcore.ConnectError or ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed_addresses(host)
                return await self._connect_first(addresses, port, timeout, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host} within {timeout} s") from error

    async def _allowed_addresses(self, host: str) -> list[IpAddress]:
        try:
            addresses = await self._resolve(host)
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(f"cannot resolve {host}") from error
        if not addresses:
            raise httpcore.ConnectError(f"{host} has no address")
        if not all(map(self._is_allowed, addresses)):
            raise AddressNotAllowed(f"{host} resolves to an address that webhooks are not sent to")
        return addresses[:ADDRESSES_TRIED_MAX]

    async def _connect_first(
        self,
        addresses: list[IpAddress],
        port: int,
        timeout_seconds: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        share_seconds = None if timeout_seconds is None else timeout_seconds / len(addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(str(address), port, share_seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


class SystemResolver:
    """The system's name resolution, in threads of its own; names asked for at the same time share one look-up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS_MAX, thread_name_prefix="resolver")
        self._under_way: dict[str, asyncio.Task[list[IpAddress]]] = {}

    async def __call__(self, host: str) -> list[IpAddress]:
        """Every address of the host; raises OSError or UnicodeError when it has none."""
        try:
            return [ip_address(host)]
        except ValueError:
            pass  # A name, or an address in one of the spellings that only the system understands.
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


class _Transport(httpx.AsyncBaseTransport):
    """httpx over an httpcore pool with a network backend of ours, which httpx's own transport does not take."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        core_url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                core_url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Stream(response))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


_CORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


def _client(backend: CheckedBackend, tls: ssl.SSLContext) -> httpx.AsyncClient:
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls,
        max_connections=CONNECTIONS_MAX,
        max_keepalive_connections=CONNECTIONS_MAX // 2,
        keepalive_expiry=KEEPALIVE_SECONDS,
        network_backend=backend,
    )
    return httpx.AsyncClient(
        transport=_Transport(pool),
        trust_env=False,
        follow_redirects=False,
        # Receivers on one domain belong to different merchants: no cookie of one is sent to another.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": USER_AGENT, "Content-Type": "application/json", "Accept-Encoding": "identity"},
    )


def _kind_of(error: Exception) -> str:
    if isinstance(error, AddressNotAllowed):
        return "address_not_allowed"
    if isinstance(error, TimeoutError | httpcore.TimeoutException | httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpcore.ConnectError):
        return "tls_failed" if _has_tls_cause(error) else "connect_failed"
    return "protocol_error"


def _has_tls_cause(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _excerpt(content: bytes) -> str:
    text = content[:EXCERPT_LENGTH_MAX].decode("utf-8", "replace")
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return escaped[:EXCERPT_LENGTH_MAX]
