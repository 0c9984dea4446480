"""Resolving names to addresses that webhooks may be sent to."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest

from paybridge.webhooks.checked_connections import (
    AddressNotAllowed,
    Resolver,
    SystemResolver,
    checked_addresses,
    checked_socket,
)
from paybridge.webhooks.domain.address import IpAddress, is_public


def resolving(*addresses: str) -> Resolver:
    """Return a resolver that gives these addresses to every name."""

    async def resolve(_host: str) -> list[IpAddress]:
        return [ip_address(text) for text in addresses]

    return resolve


class TestCheckedAddresses:
    async def test_one_refused_address_refuses_the_name(self) -> None:
        with pytest.raises(AddressNotAllowed):
            await checked_addresses("example.test", resolving("8.8.8.8", "10.0.0.1"), is_public)

    async def test_allowed_addresses_are_given_in_order(self) -> None:
        addresses = await checked_addresses("example.test", resolving("8.8.8.8", "2606:4700::1111"), is_public)
        assert list(map(str, addresses)) == ["8.8.8.8", "2606:4700::1111"]

    @pytest.mark.parametrize("host", ["10.0.0.1", "::1", "::ffff:10.0.0.1"])
    async def test_an_address_is_checked_without_being_resolved(self, host: str) -> None:
        with pytest.raises(AddressNotAllowed):
            await checked_addresses(host, resolving("8.8.8.8"), is_public)


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
    def test_the_address_to_connect_to_is_checked_as_well(self) -> None:
        with pytest.raises(AddressNotAllowed):
            checked_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 443)), is_public)
