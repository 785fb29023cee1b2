"""Whose address a request comes from, behind proxies that are trusted and none that is not."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from router.edge.message import Request


class Peers:
    """`trusted`: addresses and networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted: list[str]) -> None:
        self._trusted = [ip_network(text, strict=False) for text in trusted]
        self._resolve = lru_cache(maxsize=4096)(self._find)

    def address(self, request: Request) -> bytes:
        """The client's address as text, b"" where it is not known."""
        forwarded = request.headers.get(b"x-forwarded-for", b"") if self._trusted else b""
        return self._resolve(request.peer, forwarded)

    def _find(self, peer: str, forwarded: bytes) -> bytes:
        """The last address on the way here that no trusted proxy has."""
        address = peer
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            text = _normal(hop)
            if not text or not self._is_trusted(address):
                break
            address = text
        return _normal(address).encode()

    def _is_trusted(self, text: str) -> bool:
        normal = _normal(text)
        return bool(normal) and any(ip_address(normal) in network for network in self._trusted)


def _normal(text: str) -> str:
    """An address without port, brackets, zone and the IPv4-in-IPv6 form; "" if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
