"""What a trusted proxy says a browser asked it for: X-Forwarded-Host, -Proto, -Uri and -Method.

From anybody else these headers say nothing. A header that came twice says nothing either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope

from gateway.settings.model import Network

from .addresses import is_proxied

HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
NAMES = {
    b"x-forwarded-host": "host",
    b"x-forwarded-proto": "proto",
    b"x-forwarded-uri": "uri",
    b"x-forwarded-method": "method",
}
READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Forwarded:
    """`host`, `proto` and `uri` are None where nothing usable was said."""

    host: str | None = None
    proto: str | None = None
    uri: str | None = None
    method: str = "GET"

    def target(self, origin: str) -> str | None:
        """The address that was asked for; on `origin` where no host was named."""
        if self.uri is None:
            return None
        return f"{self.proto or origin.partition(':')[0]}://{self.host}{self.uri}" if self.host else self.uri


def forwarded(scope: Scope, trusted: Sequence[Network]) -> Forwarded:
    """What the peer says, if it is a trusted proxy."""
    if not is_proxied(scope, trusted):
        return Forwarded()
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name in NAMES:
            found.setdefault(NAMES[name], []).append(value.decode("latin-1"))
    said = {name: values[0] if len(values) == 1 else "" for name, values in found.items()}
    host, proto, uri = said.get("host"), said.get("proto"), said.get("uri", "")
    garbled = host is not None and not HOST.fullmatch(host)  # then nobody knows whose address the rest is
    return Forwarded(
        host=host.lower() if host and not garbled else None,
        proto=proto if proto in ("http", "https") else None,
        uri=uri if uri.startswith("/") and not garbled else None,
        method=said.get("method", "GET"),
    )


def is_navigation(scope: Scope, asked: Forwarded) -> bool:
    """Whether a person is looking at an address that can be asked for again (Fetch Metadata, else Accept)."""
    headers = dict(scope["headers"])
    if asked.method not in READING or b"x-requested-with" in headers:
        return False
    mode = headers.get(b"sec-fetch-mode")
    return b"text/html" in headers.get(b"accept", b"") and mode in (None, b"navigate")
