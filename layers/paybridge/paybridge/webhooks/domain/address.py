"""Which network addresses a webhook may be sent to.

Python's `ipaddress.is_global` does not answer this: it accepts NAT64, 6to4, IPv4-compatible, site-local and multicast
addresses, behind which a private IPv4 address or a neighbour can hide. So we keep a list, drawn from the IANA
special-purpose registries.

An IPv6 address that carries an IPv4 address leads there, through a translator or a tunnel, so the IPv4 address decides.
In a network with DNS64 every receiver without IPv6 has such an address. Other IPv6 addresses are refused outside the
one block that is assigned for global unicast.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's platform service, a public address that every virtual machine reaches privately
        "169.254.0.0/16",  # link-local; the metadata services of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunneling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
# Everything outside is refused: loopback, discard, SRv6, unique local, link-local, site-local, multicast and everything
# unassigned.
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)
# Networks whose addresses carry one IPv4 address, with how many bits are to the right of it.
_CARRIERS = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64's well-known prefix
    (IPv6Network("2002::/16"), 80),  # 6to4
)
_TEREDO = IPv6Network("2001::/32")
# For a network's own NAT64. The prefix that it uses inside this one may end at any of these bits (RFC 6052), and only
# the network knows which: an address must be harmless by each of them.
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_LOCAL_NAT64_PREFIX_BITS = (48, 56, 64, 96)
# A translator does not send to these: a prefix that yields one is not the one in use.
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
# ISATAP: an interface identifier that carries an IPv4 address, after either of these 32 bits.
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


def is_public(address: IpAddress) -> bool:
    """Return whether the address belongs to a host on the public internet and to nothing else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None:
        return False
    carried = _carried(address)
    if carried:
        return all(map(is_public, carried))
    if address not in _GLOBAL_UNICAST_V6 or any(address in network for network in _REFUSED_V6):
        return False
    is_isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_MARKS
    return not is_isatap or is_public(_ipv4_at(address, 0))


def _carried(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that the address leads to, none if it is an IPv6 address in its own right."""
    for network, bits_after in _CARRIERS:
        if address in network:
            return [_ipv4_at(address, bits_after)]
    if address in _TEREDO:
        # The server, and the client with all bits inverted.
        return [_ipv4_at(address, 64), IPv4Address(int(_ipv4_at(address, 0)) ^ 0xFFFFFFFF)]
    if address in _LOCAL_NAT64:
        possible = [_ipv4_after(address, bits) for bits in _LOCAL_NAT64_PREFIX_BITS]
        return [ipv4 for ipv4 in possible if ipv4 not in _THIS_NETWORK] or possible
    return []


def _ipv4_at(address: IPv6Address, bits_after: int) -> IPv4Address:
    return IPv4Address((int(address) >> bits_after) & 0xFFFFFFFF)


def _ipv4_after(address: IPv6Address, prefix_bits: int) -> IPv4Address:
    """Return the IPv4 address after a NAT64 prefix: RFC 6052 leaves out the bits 64 to 71."""
    octets = address.packed
    after = [octet for place, octet in enumerate(octets) if place >= prefix_bits // 8 and place != 8]
    return IPv4Address(bytes(after[:4]) if prefix_bits < 96 else octets[12:])


def is_within(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    """Return whether the address lies in one of the networks; mapped and scoped spellings do not."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    return any(address in network for network in networks)
