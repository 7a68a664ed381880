"""Client assertions: an application's signed word for who it is (RFC 7523 section 3, OpenID Connect Core section 9)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode

from gateway.settings.private_keys import CURVES

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE = 300  # seconds from now until `exp`
LEEWAY = 60  # seconds that the application's clock may differ
LONGEST_ID = 255  # characters of a `jti`
RSA_ALGS = ["PS256", "RS256"]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What is left to do with a verified one: to spend its `jti`, remembered until `forget_at` (epoch seconds)."""

    jti: str
    forget_at: int


def claimant(token: str) -> str:
    """Whom the assertion names as its subject, believed by nobody yet; "" where it names nobody."""
    try:
        said = json.loads(urlsafe_b64decode(token.split(".")[1].encode("ascii")))
        return str(said["sub"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def verify(token: str, public_key: str, client_id: str, audiences: Collection[str], now: float) -> Assertion:
    """The assertion, if this application's key made it, now, for us. ValueError names what does not hold.

    `public_key`: PEM. `audiences`: the names we go by; each that the assertion gives must be one of them. The
    algorithm follows from the key; `typ` is not looked at, libraries differ.
    """
    key, algs = read_public_key(public_key)
    try:
        opened = deserialize_compact(token, key, registry=JWSRegistry(algorithms=algs, strict_check_header=False))
        claims = json.loads(opened.payload or b"", object_pairs_hook=unique)
    except (JoseError, ValueError, TypeError, RecursionError) as error:  # TypeError: a `crit` that lists no names
        raise ValueError(f"not signed as it should be: {type(error).__name__}") from error
    if "crit" in opened.headers() or not isinstance(claims, dict):
        raise ValueError("a critical header, or no claims")
    return judge(claims, client_id, audiences, now)


def judge(claims: Mapping[str, Any], client_id: str, audiences: Collection[str], now: float) -> Assertion:
    """The claims of RFC 7523 section 3. ValueError names the one that is wrong."""
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise ValueError("iss or sub is another")
    named = claims.get("aud")
    meant_for = named if isinstance(named, list) else [named]
    if not meant_for or not all(isinstance(one, str) and one in audiences for one in meant_for):
        raise ValueError("aud is another")
    expires_at, jti = moment(claims, "exp"), claims.get("jti")
    if not now - LEEWAY < expires_at <= now + LONGEST_LIFE + LEEWAY:
        raise ValueError("exp has passed or is too far away")
    for name in ("iat", "nbf"):
        if name in claims and moment(claims, name) > now + LEEWAY:
            raise ValueError(f"{name} is in the future")
    if not isinstance(jti, str) or not 0 < len(jti) <= LONGEST_ID:
        raise ValueError("jti is missing or too long")
    return Assertion(jti, int(expires_at) + 2 * LEEWAY)


def moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"{name} is wrong")
    return value


@lru_cache(maxsize=64)
def read_public_key(pem: str) -> tuple[RSAKey | ECKey, list[str]]:
    """The key, and the algorithms that it may sign with. ValueError when it is none."""
    native = load_pem_public_key(pem.encode())
    match native:
        case RSAPublicKey():
            return RSAKey.import_key(native), RSA_ALGS
        case EllipticCurvePublicKey():
            return ECKey.import_key(native), [CURVES[native.curve.name]]
        case _:
            raise ValueError("neither RSA nor EC")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members
