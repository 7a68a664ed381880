"""How a stand-in departs from its kind: every deviation is a small edit of one thing it says.

    Behaviour(id_token=append("nonce"))                     another nonce than the one sent
    Behaviour(discovery=put(verify=False))                  a hostile member in the discovery document
    Behaviour(answers={"jwks": answers.html()})             a page where keys should be

`StandIn.behaviour` may be replaced while it runs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.testing.keys import Keys, base64url, generic_keys

Document = dict[str, Any]
Edit = Callable[[Document], Document]
Answer = Callable[[Request], Awaitable[Response | None]]  # None: go on as usual


def unchanged(document: Document) -> Document:
    return document


def verbatim(token: str) -> str:
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """The default departs in nothing."""

    discovery: Edit = unchanged
    jwks: Edit = unchanged
    jwks_suffix: str = ""  # put behind the path of the key set, in the discovery document too
    keys: Callable[[], Keys] = generic_keys  # of the generic stand-in
    signing_alg: str = "RS256"  # HS256 signs with the client's secret
    id_token_header: Edit = unchanged
    id_token: Edit = unchanged  # the claims
    id_token_compact: Callable[[str], str] = verbatim  # the finished token
    token_response: Edit = unchanged
    userinfo: Edit = unchanged
    userinfo_signed: bool = False  # application/jwt instead of JSON
    authorization_response: Edit = unchanged  # the parameters that travel to the redirect URI
    rotate_before_signing: bool = False  # every key is replaced at the instant an ID token is signed
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by endpoint: discovery, jwks, authorize, …


def put(**members: Any) -> Edit:
    return lambda document: {**document, **members}


def drop(*names: str) -> Edit:
    return lambda document: {name: value for name, value in document.items() if name not in names}


def append(name: str, suffix: str = "1") -> Edit:
    """The original value with a suffix; `null` stands for one that is absent."""
    return lambda document: {**document, name: f"{document.get(name) or 'null'}{suffix}"}


def chain(*edits: Edit) -> Edit:
    def edit(document: Document) -> Document:
        for one in edits:
            document = one(document)
        return document

    return edit


def break_signature(token: str) -> str:
    """Every byte of the signature turned over (XOR 0x5A); header and payload untouched."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{base64url(bytes(byte ^ 0x5A for byte in decode(signature)))}"


def unsigned(token: str) -> str:
    """The same claims under `alg: none`, without `at_hash`, with an empty signature (RFC 7519 section 6)."""
    claims = drop("at_hash")(json.loads(decode(token.split(".")[1])))
    header = base64url(json.dumps({"alg": "none"}).encode())
    return f"{header}.{base64url(json.dumps(claims).encode())}."


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
