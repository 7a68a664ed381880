"""The discovery document: which of its members are believed, and when (OpenID Discovery §3, §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import IssuerMisconfigured, ProviderUnavailable

from .words import quotable

Document = Mapping[str, Any]

REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL = ("userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of a discovery document. Members not named here never reach an HTTP client.

    NOTE: `id_token_signing_alg_values_supported` and `code_challenge_methods_supported` are not read: what is
    acceptable is for the configuration to say, and S256 is always sent.
    """

    document: Mapping[str, Any]
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    iss_parameter: bool  # RFC 9207 §3
    auth_methods: tuple[str, ...]


def read_metadata(document: Document, discovery_url: str, issuer_fits: Callable[[str], bool]) -> Metadata:
    """Raises IssuerMisconfigured where it names another issuer, ProviderUnavailable where it is unusable."""
    issuer = document.get("issuer")
    if not isinstance(issuer, str) or not issuer:
        raise ProviderUnavailable("the document names no issuer")
    if not issuer_fits(issuer):
        raise IssuerMisconfigured(f"the document names issuer {quotable(issuer)}")
    plain = urlsplit(discovery_url).scheme == "http"
    endpoints = {name: endpoint(document.get(name), plain=plain) for name in REQUIRED + OPTIONAL}
    for name in REQUIRED:
        if endpoints[name] is None:
            raise ProviderUnavailable(f"the document has no usable {name}")
    return Metadata(
        document=MappingProxyType(dict(document)),
        issuer=issuer,
        authorization_endpoint=endpoints["authorization_endpoint"] or "",
        token_endpoint=endpoints["token_endpoint"] or "",
        jwks_uri=endpoints["jwks_uri"] or "",
        userinfo_endpoint=endpoints["userinfo_endpoint"],
        end_session_endpoint=endpoints["end_session_endpoint"],
        iss_parameter=document.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=strings(document.get("token_endpoint_auth_methods_supported")),
    )


def endpoint(value: object, *, plain: bool) -> str | None:
    """The URL, if it is https (or http on loopback, where the discovery document itself came that way)."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.fragment or parts.username is not None or parts.password is not None:
        return None
    secure = parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(host))
    return value if secure else None


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
