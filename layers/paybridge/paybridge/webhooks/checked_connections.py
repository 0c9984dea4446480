"""Connections whose addresses are checked: the defence against server-side request forgery (SSRF).

Every address that a name resolves to is checked, and so is the address that a socket is about to connect to. A name
that resolves differently a moment later changes nothing. However an address is spelled (decimal, octal, hexadecimal,
shortened, fullwidth, with a trailing dot), the check sees the address that the spelling resolves to.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from paybridge.webhooks.domain.address import IpAddress

CONNECTIONS_MAX = 500
# Receivers close idle connections after 5 s or more. A request on a connection that is being closed would look like the
# receiver's failure.
KEEPALIVE_SECONDS = 2.0
ADDRESSES_TRIED_MAX = 4
# A name server that hangs occupies a thread until it times out; the names of other receivers still need one.
RESOLVER_THREADS_MAX = 64

Resolver = Callable[[str], Awaitable[list[IpAddress]]]
AddressRule = Callable[[IpAddress], bool]
SocketAddress = tuple[int, int, int, str, tuple[str | int, ...]]


class AddressNotAllowed(OSError):
    """Webhooks are not sent to this address."""


def checked_connector(resolve: Resolver, rule: AddressRule, tls: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Return a connector that connects only to addresses that the rule allows.

    A kept connection is not checked again, so every rule needs a separate connector.
    """
    return aiohttp.TCPConnector(
        limit=CONNECTIONS_MAX,
        keepalive_timeout=KEEPALIVE_SECONDS,
        ssl=tls,
        use_dns_cache=False,
        resolver=CheckedResolver(resolve, rule),
        socket_factory=lambda address: checked_socket(address, rule),
    )


class CheckedResolver(AbstractResolver):
    """Resolves a name only if the rule allows every address of it."""

    def __init__(self, resolve: Resolver, rule: AddressRule) -> None:
        self._resolve = resolve
        self._rule = rule

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses to try, in order. Raises OSError if there are none, AddressNotAllowed if one is bad."""
        try:
            addresses = await self._resolve(host)
        except ValueError as error:
            raise OSError(f"{host} is not a name") from error
        if not addresses:
            raise OSError(f"{host} has no address")
        if not all(map(self._rule, addresses)):
            raise AddressNotAllowed(f"{host} resolves to an address that webhooks are not sent to")
        resolved = [_resolved(host, port, address) for address in addresses[:ADDRESSES_TRIED_MAX]]
        return [address for address in resolved if family in (socket.AF_UNSPEC, address["family"])]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def checked_socket(address: SocketAddress, rule: AddressRule) -> socket.socket:
    """Return the socket for a connection to the address. Raises AddressNotAllowed unless the rule allows it.

    This check decides: addresses that need no resolving pass no other.
    """
    family, kind, protocol, _, sockaddr = address
    if not rule(ip_address(str(sockaddr[0]))):
        raise AddressNotAllowed(f"webhooks are not sent to {sockaddr[0]}")
    return socket.socket(family, kind, protocol)


class SystemResolver:
    """Resolves names by the system, in separate threads; simultaneous requests for a name share one look-up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS_MAX, thread_name_prefix="resolver")
        self._running: dict[str, asyncio.Task[list[IpAddress]]] = {}

    async def __call__(self, host: str) -> list[IpAddress]:
        """Return every address of the host. Raises OSError or UnicodeError if it has none."""
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda _: self._running.pop(host, None))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Let the threads end, without waiting for name servers that hang."""
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
