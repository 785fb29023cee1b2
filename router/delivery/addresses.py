"""Which addresses are public, and a resolver that answers with no others.

Against server-side request forgery: a URL that somebody who is not an admin may set must not reach
what only this machine and its network can (OWASP, "Server Side Request Forgery Prevention"). Names
are judged by what they resolve to at the moment of connecting, so a name that answers differently
the second time (DNS rebinding) gets no further.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_THREADS = 16
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_NOT_PUBLIC_4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
"""IANA IPv4 Special-Purpose Address Registry (RFC 6890), and multicast."""

_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out for use in public."""

_NOT_PUBLIC_6 = [
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
"""What within it is not: IANA IPv6 Special-Purpose Address Registry; Teredo and 6to4 among it."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""An IPv4 address as networks of IPv6 alone write it (RFC 6052)."""


class NotPublic(OSError):
    """The address is one that only this machine or its network can reach."""


def is_public(address: Address) -> bool:
    """False for loopback, link-local, private, shared (CGNAT), multicast, unspecified and reserved
    addresses, also where IPv6 wraps one of IPv4."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def literal(host: str) -> Address | None:
    """The address that `host` spells, also as `0x7f.1`, `0177.0.0.1` or `2130706433` (what
    inet_aton(3) reads and so every resolver does); None where it is a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text.rstrip(".")))
    except (OSError, UnicodeEncodeError):
        return None


class Resolver(AbstractResolver):
    """getaddrinfo(3) in threads of its own, so that a name server which does not answer holds up
    neither the disk's threads nor, before 16 names hang, the other destinations.

    With `public_only`, a name that has any address which is not public is refused.
    """

    def __init__(self, public_only: bool) -> None:
        self._public_only = public_only
        self._threads = ThreadPoolExecutor(_THREADS, "dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises `NotPublic`, or `OSError` where there is no such name."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        results = [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=proto, flags=_NUMERIC
            )
            for kind, proto, address in found
        ]
        if self._public_only:
            for result in results:
                spelled = literal(result["host"])
                if spelled is None or not is_public(spelled):
                    raise NotPublic("the host has an address that is not public")
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[tuple[int, int, str]]:
    infos: list[Any] = socket.getaddrinfo(
        host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
    )
    found = []
    for kind, _, proto, _, address in infos:
        name = address[0]
        if kind == socket.AF_INET6 and address[3] and "%" not in name:
            name = f"{name}%{address[3]}"
        found.append((kind, proto, name))
    return found
