"""Who is calling: the client's address behind the proxies that are trusted, whatever others claim."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from gateway.settings.model import Network

Address = IPv4Address | IPv6Address

UNKNOWN = "unknown"
LOOPBACK = IPv4Address("127.0.0.1")
LONGEST = 64  # characters; "[" + 45 + "%zone]:65535" fits
ZONE = r"(?:%[\w.-]+)?"
FORMS = re.compile(
    rf"\[(?P<bracketed>[0-9A-Fa-f:.]+{ZONE})\](?::\d{{1,5}})?"
    rf"|(?P<four>[\d.]+)(?::\d{{1,5}})?"
    rf"|(?P<six>[0-9A-Fa-f:.]+{ZONE})",
    re.ASCII,
)


def client_ip(scope: MutableMapping[str, Any], trusted: Sequence[Network]) -> str:
    """The rightmost hop of X-Forwarded-For that is no trusted proxy; the peer itself when it is not trusted.

    An entry that is no address ends the walk at the proxy that wrote it. A peer on a unix socket is a process
    of this machine and counts as 127.0.0.1. `unknown` when the server names a peer that is no address.
    """
    address = peer(scope)
    if address is None:
        return UNKNOWN
    if trusted:
        for hop in hops(scope):
            if not is_trusted(address, trusted):
                break
            if (previous := parse(hop)) is None:
                break
            address = previous
    return spell(address)


def is_proxied(scope: MutableMapping[str, Any], trusted: Sequence[Network]) -> bool:
    """Whether the peer is a trusted proxy, so that what it says in headers is believed."""
    address = peer(scope) if trusted else None
    return address is not None and is_trusted(address, trusted)


def peer(scope: MutableMapping[str, Any]) -> Address | None:
    """The address at the other end of the connection."""
    client = scope.get("client")
    return parse(client[0]) if client and client[0] else LOOPBACK


def hops(scope: MutableMapping[str, Any]) -> Iterator[str]:
    """The entries of every X-Forwarded-For header, the nearest first."""
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            yield from reversed(value.decode("latin-1").split(","))


def is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def parse(text: str) -> Address | None:
    """An address as proxies write it: with or without port, brackets, zone. None for anything else."""
    text = text.strip(" \t")
    return read(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=4096)
def read(text: str) -> Address | None:
    form = FORMS.fullmatch(text)
    if form is None:
        return None
    try:
        return plain(IPv6Address(form["bracketed"]) if form["bracketed"] else ip_address(form["four"] or form["six"]))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def spell(address: Address) -> str:
    return str(address)


def plain(address: Address) -> Address:
    """Without zone, and IPv4 as such: one client has one address, however the socket shows it."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


@lru_cache(maxsize=4096)
def household(ip: str) -> str:
    """What one subscriber holds: an IPv4 address, or the /64 around an IPv6 address."""
    return around(ip, 64) or ip


@lru_cache(maxsize=4096)
def site(ip: str) -> str | None:
    """The /48 around an IPv6 address: what a customer of a network is given at most (RFC 6177). None for others."""
    return around(ip, 48)


def around(ip: str, prefix: int) -> str | None:
    address = parse(ip)
    return str(IPv6Network((int(address), prefix), strict=False)) if isinstance(address, IPv6Address) else None
