"""Where a callback really goes: a name may lead into our own network, today or at the next look.

So the address is looked up and judged before each call, and the call goes to that very address; the
certificate is still asked for the name. (cheatsheetseries.owasp.org, "Server Side Request Forgery".)
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST = 3
"""Addresses of a name that are tried."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in other clothes."""


class NotAllowedAddressError(Exception):
    """A name leads nowhere that a call may go."""


async def addresses_of(host: str, port: int, *, inside: bool) -> list[str]:
    """The addresses of a host that may be called, in the order in which the system offers them.

    Raises:
        NotAllowedAddressError: it has none of those.
        OSError: the name is not known just now.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    offered = list(dict.fromkeys(str(one[4][0]) for one in found))
    allowed = [one for one in offered if is_allowed(one, inside=inside)]
    if not allowed:
        raise NotAllowedAddressError
    return allowed[:MOST]


def is_allowed(written: str, *, inside: bool) -> bool:
    """Whether a call may go there: to the open internet, or also into the force's own network."""
    try:
        address = _unwrapped(ipaddress.ip_address(written.partition("%")[0]))
    except ValueError:
        return False
    if address.is_loopback:
        return inside
    if address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved:
        # Not even inside: where machines of a cloud tell their secrets is a link-local address.
        return False
    return address.is_global or (inside and address.is_private)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return inner
    return address
