"""Claims by dotted path: `realm_access.roles` is a member of a member, unless a claim has that very name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def look_up(claims: Mapping[str, Any], path: str) -> Any:
    """The value, or None. A name that holds dots, such as `https://example.com/roles`, is found as it is."""
    if path in claims:
        return claims[path]
    head, dot, rest = path.partition(".")
    while dot:
        inner = claims.get(head)
        if isinstance(inner, Mapping):
            return look_up(inner, rest)
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None


def sibling(path: str, name: str) -> str:
    """The path of another member beside the one at `path`."""
    head, dot, _ = path.rpartition(".")
    return f"{head}{dot}{name}"
