"""What every answer wears: the security headers, made once, for pages and for everything else."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

RawHeaders = list[tuple[bytes, bytes]]

DROPPED = frozenset({b"server", b"x-powered-by", b"x-request-id"})  # no versions (ASVS 13.4.6); the id is ours

PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS = "max-age=31536000; includeSubDomains"
ALWAYS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Dress:
    """The headers that every answer wears, made once."""

    def __init__(self, public_url: str, form_action: Iterable[str]) -> None:
        common = ALWAYS | ({"strict-transport-security": HSTS} if wants_hsts(public_url) else {})
        page_policy = " ".join((f"{PAGE_POLICY}; form-action 'self'", *form_action))
        self._page = encode(common | {"content-security-policy": page_policy})
        self._data = encode(common | {"content-security-policy": DATA_POLICY})
        self._contested = DROPPED.union(name for name, _ in self._page)

    def __call__(self, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        given = list(headers)
        own = dict(given)
        ours = self._page if own.get(b"content-type", b"").startswith(b"text/html") else self._data
        if self._contested.isdisjoint(own):
            return given + ours
        kept = [pair for pair in given if pair[0] not in DROPPED]
        return kept + [pair for pair in ours if pair[0] not in own]


def encode(headers: dict[str, str]) -> RawHeaders:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def wants_hsts(public_url: str) -> bool:
    """On https, but not for names of this machine: there it would lock every other project out of http."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if parts.scheme != "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False  # an address is no known HSTS host (RFC 6797 section 8.1.1)
