"""Whose address a request comes from, as far as it can be believed.

Whoever connects can write what it likes into `x-forwarded-for`; only what a trusted proxy appended to it is true. So it
is read from its end, and the first address that is no trusted proxy's is the client's (as RFC 7239, section 8.1 warns).
Addresses of IPv6 count by the network of 64 bits that a single customer is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

FORWARDED = b"x-forwarded-for"
MAX_HOPS = 16
"""Addresses that are read of that field, from its end."""
MAX_KNOWN = 4096
"""Addresses whose origin is remembered."""


class Origins:
    """`trusted`: networks of proxies, as `10.0.0.0/8`. Raises ValueError for what is none."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: tuple[Network, ...] = tuple(ip_network(each, strict=False) for each in trusted)
        self._known: dict[str, str] = {}

    def of(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Where a request comes from that came over a connection from `peer`; "" where nobody knows."""
        if self._trusted and self._trusts(peer):
            said = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
            for hop in reversed(said.split(",")[-MAX_HOPS:]):
                if hop.strip():
                    peer = hop.strip()
                if not self._trusts(peer):
                    break
        origin = self._known.get(peer)
        if origin is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            origin = self._known[peer] = _grouped(peer)
        return origin

    def _trusts(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _grouped(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
