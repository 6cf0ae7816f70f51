"""Which IP addresses are public, by a list of our own: `ipaddress.is_global` differs from Python to Python.

3.11 takes NAT64 and 6to4 forms of 127.0.0.1, and multicast, for global.
"""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

__all__ = ["Address", "is_public", "meant"]

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_SPECIAL = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # behind a carrier's NAT; clouds have services there
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the host of an Azure machine
            "169.254.0.0/16",  # link-local; metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)
_UNICAST = ipaddress.IPv6Network(
    "2000::/3"
)  # all that is given out: loopback, fc00::/7, fe80::/10 and more are outside
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)
# Networks whose addresses mean an IPv4 address, and by how many bits that is from the right. That of 64:ff9b:1::/48 can
# be at several places, so it is left out, and not public.
_EMBEDDED = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
)


def meant(text: str) -> Address:
    """Give the address of a text like ``fe80::1%eth0``; an IPv4 address in IPv6 form as what it is.

    Examples
    --------
    >>> meant("::ffff:127.0.0.1"), meant("64:ff9b::7f00:1")
    (IPv4Address('127.0.0.1'), IPv4Address('127.0.0.1'))
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    for network, shift in _EMBEDDED:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Tell whether an address, as `meant` gives it, is one of the public internet."""
    if address.version == 4:
        return not any(address in network for network in _SPECIAL)
    return address in _UNICAST and not any(address in network for network in _SPECIAL_6)
