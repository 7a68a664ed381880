"""ID tokens and signed userinfo: putting a header and claims under a stand-in's signature."""

from __future__ import annotations

import hashlib
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from gateway.testing.behaviour import Behaviour
from gateway.testing.keys import Key, PrivateKey, base64url


def sign(header: dict[str, Any], claims: dict[str, Any], key: PrivateKey | OctKey) -> str:
    registry = JWSRegistry(algorithms=[header["alg"]])
    return jwt.encode(header, claims, key, registry=registry, default_type=None)


def half_hash(alg: str, value: str) -> str:
    """`at_hash` (OpenID Connect Core section 3.1.3.6): the left half of the digest the algorithm uses."""
    digest = hashlib.new(f"sha{alg[-3:]}" if alg[-3:].isdigit() else "sha256", value.encode()).digest()
    return base64url(digest[: len(digest) // 2])


def sign_id_token(
    claims: dict[str, Any], *, key: Key | None, behaviour: Behaviour, secret: str | None, typ: str | None
) -> str:
    """The token after all the behaviour's edits; without a key the client's secret signs."""
    kid = {"kid": key.kid} if key is not None and key.kid is not None else {}
    header = {"alg": behaviour.signing_alg, **({"typ": typ} if typ else {}), **kid}
    signer = OctKey.import_key(secret or "") if key is None else key.private
    token = sign(behaviour.id_token_header(header), behaviour.id_token(claims), signer)
    return behaviour.id_token_compact(token)
