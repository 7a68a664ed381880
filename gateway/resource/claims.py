"""Claims read with their types: who a token is for, when it holds, and what its members hold (RFC 7519 section 4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .errors import InvalidToken, quoted
from .principal import EMPTY

Claims = Mapping[str, Any]

FAR = 1 << 53  # no time is later: beyond it, numbers of JSON are not exact


def check_audience(claims: Claims, audiences: Collection[str], hint: str = "") -> None:
    """One of `audiences` must be in `aud`."""
    aud = claims.get("aud")
    meant_for = [aud] if isinstance(aud, str) else aud
    if not isinstance(meant_for, list) or not all(isinstance(one, str) for one in meant_for):
        raise InvalidToken("the token names no audience (aud)")
    if not any(one in audiences for one in meant_for):
        wanted = " or ".join(audiences)
        seen = ", ".join(map(quoted, meant_for[:3]))
        raise InvalidToken(
            f"the token's audience is {seen}, this API's is {wanted}: ask the issuer for a token with that audience, "
            f"or set audience{hint}"
        )


def check_times(claims: Claims, now: float, leeway: int) -> int:
    """When it expires. `leeway` seconds are for the issuer's clock being ahead; the end is taken literally."""
    expires_at = whole(claims, "exp")
    if expires_at <= now:
        raise InvalidToken(f"the token expired {int(now - expires_at)} seconds ago")
    for name in ("nbf", "iat"):
        if (at := optional_whole(claims, name)) is not None and at > now + leeway:
            raise InvalidToken(f"the token holds from {int(at - now)} seconds on ({name}): are the clocks right?")
    return expires_at


def text(claims: Claims, name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f"the token has no {name}")
    return value


def optional_text(claims: Claims, name: str) -> str | None:
    return text(claims, name) if name in claims else None


def whole(claims: Claims, name: str) -> int:
    """A time; fractions of a second, which RFC 7519 allows, are cut off."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= FAR:
        raise InvalidToken(f"the token has no {name}, or none that is a time")
    return int(value)


def optional_whole(claims: Claims, name: str) -> int | None:
    return whole(claims, name) if name in claims else None


def words(claims: Claims, name: str) -> frozenset[str]:
    """Delimited by spaces (RFC 8693 section 4.2); some issuers write an array."""
    value = claims.get(name, "")
    if isinstance(value, str):
        return frozenset(value.split(" ")) - {""}
    return strings(claims, name)


def strings(claims: Claims, name: str) -> frozenset[str]:
    return checked(claims.get(name, []), name) if name in claims else EMPTY


def strings_at(claims: Claims, path: str) -> frozenset[str]:
    """By dotted path, unless there is a claim of that very name; what is not there is empty."""
    if path in claims:
        return strings(claims, path)
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return EMPTY if value is None else checked(value, path)


def checked(value: object, name: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidToken(f"the token's {name} is not a list of strings")
    return frozenset(value)
