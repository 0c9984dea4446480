"""Connections whose addresses are checked: the defence against server-side request forgery (SSRF).

A name is resolved once. Every address that it resolves to is checked, and so is the address that a socket is about to
connect to. A name that resolves differently a moment later changes nothing. However an address is spelled (decimal,
octal, hexadecimal, shortened, with a trailing dot), the check sees the address that the spelling resolves to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohappyeyeballs import start_connection

from paybridge.webhooks.domain.address import IpAddress
from paybridge.webhooks.domain.webhook_url import is_address

ADDRESSES_TRIED_MAX = 4
# RFC 8305 recommends a quarter of a second.
NEXT_ADDRESS_SECONDS = 0.25
# A name server that hangs occupies a thread until it times out; the names of other receivers still need one.
RESOLVER_THREADS_MAX = 64

Resolver = Callable[[str], Awaitable[list[IpAddress]]]
AddressRule = Callable[[IpAddress], bool]
SocketAddress = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int, ...]]


class AddressNotAllowed(OSError):
    """Webhooks are not sent to this address."""


async def connected_socket(host: str, port: int, resolve: Resolver, rule: AddressRule) -> socket.socket:
    """Return a socket that is connected to an address of the host. Raises AddressNotAllowed if the rule refuses one.

    The addresses of both families are tried in turns, each a little after the one before. Raises OSError if there is no
    address or none answers.
    """
    addresses = await checked_addresses(host, resolve, rule)
    candidates = [_candidate(address, port) for address in addresses[:ADDRESSES_TRIED_MAX]]
    return await start_connection(
        candidates,
        happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
        interleave=1,
        socket_factory=lambda candidate: checked_socket(candidate, rule),
    )


async def checked_addresses(host: str, resolve: Resolver, rule: AddressRule) -> list[IpAddress]:
    """Return the addresses of the host, in order. Raises OSError if there are none, AddressNotAllowed if one is bad."""
    try:
        addresses = [ip_address(host)] if is_address(host) else await resolve(host)
    except ValueError as error:
        raise OSError(f"{host} is not a name") from error
    if not addresses:
        raise OSError(f"{host} has no address")
    if not all(map(rule, addresses)):
        raise AddressNotAllowed(f"{host} resolves to an address that webhooks are not sent to")
    return addresses


def checked_socket(address: SocketAddress, rule: AddressRule) -> socket.socket:
    """Return the socket for a connection to the address. Raises AddressNotAllowed unless the rule allows it."""
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


def _candidate(address: IpAddress, port: int) -> SocketAddress:
    if address.version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port, 0, 0)
