"""The authorization request as a stand-in reads it, and everything that can be wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.testing.calls import Call, Refused
from gateway.testing.clients import Client
from gateway.testing.people import Person


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request whose client and redirect URI are right, so that it can be answered there."""

    client: Client
    redirect_uri: str
    params: Mapping[str, str]
    authority: str  # Microsoft: the tenant in the path; empty elsewhere

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(self.params.get("scope", "").split())

    @property
    def prompt(self) -> str:
        return self.params.get("prompt", "")

    @property
    def form_post(self) -> bool:
        return self.params.get("response_mode") == "form_post"


@dataclass(slots=True)
class Grant:
    """What an authorization code, and later an access token, stands for."""

    asked: Asked
    person: Person
    issued_at: int
    access_token: str
    spent: bool = False


def read(call: Call, clients: Iterable[Client], authority: str = "") -> Asked:
    """Refused where the browser must not be sent back: nobody knows whose redirect URI that is."""
    call.check_single()
    params = call.params
    client = next((one for one in clients if one.id == params.get("client_id")), None)
    if client is None:
        raise Refused("invalid_client", "the client is unknown")
    redirect_uri = params.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris or urlsplit(redirect_uri).fragment:
        raise Refused("redirect_uri_mismatch", "the redirect URI is not registered exactly so")
    return Asked(client, redirect_uri, params, authority)


def objections(asked: Asked) -> Iterator[Refused]:
    """What is wrong and is told at the redirect URI (RFC 6749 section 4.1.2.1, OpenID Connect Core 3.1.2.6)."""
    params = asked.params
    if params.get("response_type") != "code":
        yield Refused("unsupported_response_type", "response_type is not code")
    if "openid" not in asked.scopes:
        yield Refused("invalid_scope", "openid is not in scope")
    if "request" in params:
        yield Refused("request_not_supported", "request is not supported")
    if "request_uri" in params:
        yield Refused("request_uri_not_supported", "request_uri is not supported")
    if params.get("response_mode", "query") not in ("query", "form_post"):
        yield Refused("invalid_request", "response_mode is neither query nor form_post")
    if "code_challenge" in params and params.get("code_challenge_method") != "S256":
        yield Refused("invalid_request", "a code_challenge without the method S256")
    if not _claims_well_formed(params.get("claims")):
        yield Refused("invalid_request", "claims does not hold JSON objects")


def oddities(asked: Asked) -> Iterator[str]:
    """What is answered all the same, and noted."""
    nonce = asked.params.get("nonce")
    if nonce is not None and not re.fullmatch(r"[A-Za-z0-9\-_.~]{1,43}", nonce):
        yield "the nonce is longer than 43 characters or holds characters that need encoding"
    if asked.params.get("max_age") == "0" and asked.prompt == "none":
        yield "max_age=0 and prompt=none together can never succeed"


def _claims_well_formed(value: str | None) -> bool:
    if value is None:
        return True
    try:
        wanted = json.loads(value)
    except ValueError:
        return False
    return isinstance(wanted, dict) and all(isinstance(wanted.get(part, {}), dict) for part in ("userinfo", "id_token"))
