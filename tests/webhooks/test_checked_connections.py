"""Resolving names to addresses that webhooks may be sent to."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest

from paybridge.webhooks.checked_connections import (
    AddressNotAllowed,
    CheckedResolver,
    Resolver,
    SystemResolver,
    checked_socket,
)
from paybridge.webhooks.domain.address import IpAddress, is_public


def resolving(*addresses: str) -> Resolver:
    """Return a resolver that gives these addresses to every name."""

    async def resolve(_host: str) -> list[IpAddress]:
        return [ip_address(text) for text in addresses]

    return resolve


class TestCheckedResolver:
    async def test_one_refused_address_refuses_the_name(self) -> None:
        with pytest.raises(AddressNotAllowed):
            await CheckedResolver(resolving("8.8.8.8", "10.0.0.1"), is_public).resolve("example.test", 443)

    async def test_allowed_addresses_are_given_in_order_as_numbers(self) -> None:
        resolved = await CheckedResolver(resolving("8.8.8.8", "2606:4700::1111"), is_public).resolve(
            "example.test", 443
        )
        assert [(address["host"], address["port"], address["family"]) for address in resolved] == [
            ("8.8.8.8", 443, socket.AF_INET),
            ("2606:4700::1111", 443, socket.AF_INET6),
        ]


class TestSystemResolver:
    async def test_names_asked_for_together_share_a_look_up(self) -> None:
        resolver = SystemResolver()
        answers = await asyncio.gather(*(resolver("localhost") for _ in range(5)))
        assert all(address.is_loopback for answer in answers for address in answer)
        resolver.close()

    async def test_an_unknown_name_is_an_os_error(self) -> None:
        resolver = SystemResolver()
        with pytest.raises(OSError, match=r"."):
            await resolver("no-such-name.invalid")
        resolver.close()


class TestCheckedSocket:
    def test_an_address_that_needs_no_resolving_is_checked_as_well(self) -> None:
        with pytest.raises(AddressNotAllowed):
            checked_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 443)), is_public)
