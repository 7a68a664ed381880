"""A signed token taken apart, and its signature (RFC 7515, RFC 8725). Nothing in it is believed before that.

Only the compact form and only asymmetric algorithms. No address or key in a header is ever followed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from .errors import InvalidToken, quoted
from .keys import PublicKey

LONGEST = 32 * 1024  # characters of a token; two hundred groups of Microsoft's come to 10,000
ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448")
)
REFUSED_HEADERS = ("crit", "b64", "zip", "enc", "jwk", "jku", "x5u")
COMPACT, ENCRYPTED = 3, 5  # parts


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token's parts, believed by nobody yet."""

    header: Mapping[str, Any]
    claims: dict[str, Any]
    alg: str
    kid: str | None
    signed: bytes
    signature: bytes

    def is_signed_by(self, key: PublicKey) -> bool:
        """`key` fits `alg`: `keys.PublishedKey.fits` has seen to that."""
        # From the class table, because the lookup warns about the name EdDSA (RFC 9864), which issuers still use.
        algorithm = JWSRegistry.algorithms[self.alg]
        try:
            return algorithm.verify(self.signed, self.signature, key)
        except (JoseError, ValueError):
            return False


def parse(token: str) -> Unverified:
    """Raises InvalidToken for anything but a signed compact JWT of plain headers."""
    raw = as_bytes(token)
    parts = raw.split(b".")
    if len(parts) != COMPACT:
        raise InvalidToken(what_it_is(token, len(parts)))
    try:
        header, claims = read_header(parts[0]), read_part(parts[1])
        signature = urlsafe_b64decode(parts[2])
    except (ValueError, RecursionError) as error:
        raise InvalidToken("the token is not made of base64url and JSON objects") from error
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or ("kid" in header and not isinstance(kid, str)):
        raise InvalidToken("the token's header has no usable alg or kid")
    for name in REFUSED_HEADERS:
        if name in header:
            raise InvalidToken(f"the token's header holds {name}, which is never followed")
    return Unverified(header, claims, alg, kid, parts[0] + b"." + parts[1], signature)


def as_bytes(token: str) -> bytes:
    if len(token) > LONGEST:
        raise InvalidToken(f"the token is longer than {LONGEST} characters")
    try:
        return token.encode("ascii")
    except UnicodeEncodeError as error:
        raise InvalidToken("the token is not ASCII") from error


def what_it_is(token: str, parts: int) -> str:
    """Of what is no JWT, what it probably is."""
    if token.startswith("gwr_"):
        return "this is a refresh token; send the access token"
    if token.startswith("ya29."):
        return "this is an access token for Google's own APIs, which nobody else can check; send an ID token"
    if parts == ENCRYPTED:
        return "this token is encrypted; have the issuer sign its tokens only"
    return "this is no signed JWT in the compact form; opaque tokens cannot be checked here"


@lru_cache(maxsize=64)
def read_header(part: bytes) -> Mapping[str, Any]:
    """An issuer's tokens have the same few headers."""
    return MappingProxyType(read_part(part))


def read_part(part: bytes) -> dict[str, Any]:
    value = read_json(urlsafe_b64decode(part).decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers disagree about members that come twice, so there are none (RFC 7519 section 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


read_json = json.JSONDecoder(object_pairs_hook=unique).decode  # one decoder: to make it takes as long as to use it


def check_header(token: Unverified, algorithms: Collection[str], types: Collection[str]) -> None:
    """`types`: what `typ` may be, in lower case; the empty one is a token without. Raises InvalidToken."""
    if token.alg not in algorithms:
        raise InvalidToken(f"the token is signed with {quoted(token.alg)}; accepted here: {', '.join(algorithms)}")
    typ = token.header.get("typ", "")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in types:
        wanted = " or ".join(sorted(filter(None, types)))
        raise InvalidToken(f"the token's typ is {quoted(typ)} and not {wanted}; is it an ID token?")
