"""The one validator for every parameter that can send a browser somewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from gateway.errors import RedirectNotAllowed

LONGEST = 512  # characters: several sign-ins under way each carry one in a cookie
PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without space, control characters and backslash
ABSOLUTE = re.compile(
    r"(?P<origin>https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?)(?P<rest>(?:[/?#].*)?)"
)
DOTS = re.compile(r"(^|/)\.{1,2}(;[^/]*)?(/|$)")  # some servers read "..;x" as ".."


class Redirects:
    """Which targets a browser may be sent to: paths on our own origin, and what `allowed_redirects` names."""

    def __init__(self, public_url: str, allowed: Sequence[str], default: str) -> None:
        self._origin = origin(public_url)
        self._origins = {self._origin, *(entry for entry in allowed if not entry.endswith("/"))}
        self._prefixes = tuple(entry for entry in allowed if entry.endswith("/"))
        self.default = default

    def check(self, target: str | None) -> str:
        """The target as it may stand in `Location`; the default for none. Raises RedirectNotAllowed.

        NOTE: a path is any path of our origin, also outside a path that `public_url` may have.
        """
        if not target:
            return self.default
        if len(target) > LONGEST or not PRINTABLE.fullmatch(target):
            raise RedirectNotAllowed("characters or length")
        if target.startswith("/"):
            return check_path(target)
        match = ABSOLUTE.fullmatch(target)
        if match is None:
            raise RedirectNotAllowed("neither a path nor a plain http(s) URL")
        if match["origin"] in self._origins:
            return target
        if self._in_prefix(target, match["rest"]):
            return target
        raise RedirectNotAllowed("not among the allowed targets")

    def _in_prefix(self, target: str, rest: str) -> bool:
        path = decoded(re.split("[?#]", rest, maxsplit=1)[0])
        return target.startswith(self._prefixes) and not DOTS.search(path) and "\\" not in path


def check_path(target: str) -> str:
    """A path on our own origin that no browser reads as another host."""
    path = decoded(re.split("[?#]", target, maxsplit=1)[0])
    if path.startswith("//") or "\\" in path or DOTS.search(path) or not path.isprintable():
        raise RedirectNotAllowed("a path that could be read as another host")
    return target


def decoded(path: str) -> str:
    """Percent-decoded until nothing changes (at most a few rounds), as the worst reader behind us might do."""
    for _ in range(5):
        once = unquote(path)
        if once == path:
            return path
        path = once
    raise RedirectNotAllowed("encoded too many times")


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as browsers write an origin (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    default_port = {"https": 443, "http": 80}.get(parts.scheme)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default_port) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
