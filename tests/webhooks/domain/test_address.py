"""Which addresses webhooks may go to."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.webhooks.domain.address import LOOPBACK, is_public, is_within

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::5",
    # These carry 8.8.8.8.
    "::808:808",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::808:808",
    "64:ff9b:1::808:808",
    "64:ff9b:1:808:8:800::",
    "2002:808:808::1",
    "2001:0:808:808:8000:63bf:f7f7:f7f7",
    "2a00:1450::5efe:808:808",
]
REFUSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:a00:0:100::",
    "64:ff9b:1:a00:0:100:808:808",
    "64:ff9b:1:a::100:808:808",
    "64:ff9b:2::808:808",
    "2001:0:a00:1:8000:63bf:f7f7:f7f7",
    "2001:0:808:808:8000:63bf:80ff:fffe",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1111%1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2a00:1450::5efe:7f00:1",
    "2a00:1450::200:5efe:a00:1",
]


class TestIsPublic:
    @pytest.mark.parametrize("text", PUBLIC)
    def test_allows_hosts_on_the_internet(self, text: str) -> None:
        assert is_public(ip_address(text))

    @pytest.mark.parametrize("text", REFUSED)
    def test_refuses_everything_else(self, text: str) -> None:
        assert not is_public(ip_address(text))

    @given(st.integers(0, 2**32 - 1).map(IPv4Address))
    def test_is_never_laxer_than_the_standard_library_for_ipv4(self, address: IPv4Address) -> None:
        # Refusing more than the library is fine, as in 192.0.0.0/24; allowing more is not.
        if is_public(address):
            assert address.is_global
            assert not address.is_multicast

    @given(st.integers(0, 2**125 - 1).map(lambda low: IPv6Address(1 << 125 | low)))
    def test_is_never_laxer_than_the_standard_library_for_ipv6(self, address: IPv6Address) -> None:
        if is_public(address) and not address.sixtofour and not address.teredo:
            assert address.is_global
            assert not any((address.is_multicast, address.is_site_local))

    @given(
        st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.sampled_from(REFUSED[:22]).map(IPv4Address)),
        st.sampled_from(
            [
                lambda ipv4: ipv4,
                lambda ipv4: 0xFFFF << 32 | ipv4,
                lambda ipv4: 0xFFFF << 48 | ipv4,
                lambda ipv4: 0x64FF9B << 96 | ipv4,
                lambda ipv4: 0x64FF9B0001 << 80 | ipv4,
                lambda ipv4: 0x2002 << 112 | ipv4 << 80 | 1,
                lambda ipv4: 0x2001 << 112 | 0x08080808 << 64 | ipv4 ^ 0xFFFFFFFF,
                lambda ipv4: 0x2001 << 112 | ipv4 << 64 | 0x08080808 ^ 0xFFFFFFFF,
                lambda ipv4: 0x2A001450 << 96 | 0x5EFE << 32 | ipv4,
            ]
        ),
    )
    def test_an_ipv4_address_inside_decides(self, ipv4: IPv4Address, carry: Callable[[int], int]) -> None:
        assert is_public(IPv6Address(carry(int(ipv4)))) == is_public(ipv4)


class TestIsWithin:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("127.0.0.1", True),
            ("127.9.9.9", True),
            ("::1", True),
            ("::ffff:127.0.0.1", False),
            ("::1%lo", False),
            ("0.0.0.0", False),
            ("8.8.8.8", False),
        ],
    )
    def test_knows_the_plain_spellings_only(self, text: str, expected: bool) -> None:
        assert is_within(ip_address(text), LOOPBACK) is expected

    def test_knows_other_networks_and_no_mapped_spelling_of_theirs(self) -> None:
        networks = (IPv4Network("172.17.0.0/16"), IPv6Network("fd00::/8"))
        inside = ("172.17.0.1", "fd00::1")
        outside = ("172.18.0.1", "127.0.0.1", "::ffff:172.17.0.1", "fd00::1%docker0", "fe80::1")
        assert all(is_within(ip_address(text), networks) for text in inside)
        assert not any(is_within(ip_address(text), networks) for text in outside)
