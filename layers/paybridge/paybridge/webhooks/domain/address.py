"""Which network addresses a webhook may be sent to.

Python's `ipaddress.is_global` does not answer this: it accepts NAT64, 6to4, IPv4-compatible, site-local and
multicast addresses, behind which a private IPv4 address or a neighbour can hide. So we keep a list, drawn from the
IANA special-purpose registries. IPv6 is refused outside the one block that is assigned for global unicast.
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
# Everything outside is refused: loopback, IPv4-mapped, IPv4-compatible, NAT64 (64:ff9b::), discard, SRv6, unique local,
# link-local, site-local, multicast and everything unassigned.
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)
# ISATAP: an interface identifier that carries an IPv4 address, after either of these 32 bits.
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)


def is_public(address: IpAddress) -> bool:
    """Return whether the address belongs to a host on the public internet and to nothing else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST_V6:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_MARKS:
        return False
    return not any(address in network for network in _REFUSED_V6)


def is_within(address: IpAddress, networks: Iterable[IpNetwork]) -> bool:
    """Return whether the address lies in one of the networks; mapped and scoped spellings do not."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    return any(address in network for network in networks)
