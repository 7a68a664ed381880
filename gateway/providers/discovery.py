"""The discovery document: which of its members are believed, and when (OpenID Discovery §3, §4.3)."""

from __future__ import annotations

import re
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
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)  # the last part of a name that is an address
OPTIONAL = ("userinfo_endpoint", "end_session_endpoint", "revocation_endpoint")


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
    revocation_endpoint: str | None  # RFC 7009
    iss_parameter: bool  # RFC 9207 §3
    auth_methods: tuple[str, ...]


def read_metadata(document: Document, discovery_url: str, issuer_fits: Callable[[str], bool]) -> Metadata:
    """Raises IssuerMisconfigured where it names another issuer, ProviderUnavailable where it is unusable."""
    issuer = document.get("issuer")
    if not isinstance(issuer, str) or not issuer:
        raise ProviderUnavailable("the document names no issuer")
    if not issuer_fits(issuer):
        raise IssuerMisconfigured(f"the document names issuer {quotable(issuer)}")
    source = urlsplit(discovery_url)
    plain, inside = source.scheme == "http", is_inside(source.hostname or "")
    endpoints = {name: endpoint(document.get(name), plain=plain, inside=inside) for name in REQUIRED + OPTIONAL}
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
        revocation_endpoint=endpoints["revocation_endpoint"],
        iss_parameter=document.get("authorization_response_iss_parameter_supported") is True,
        auth_methods=strings(document.get("token_endpoint_auth_methods_supported")),
    )


def endpoint(value: object, *, plain: bool, inside: bool) -> str | None:
    """The URL, if it is https (or http on loopback, where the discovery document itself came that way).

    Addresses of this machine and of private networks are taken from a document that came from there (`inside`), so
    that a provider elsewhere cannot have the gateway ask its neighbours. What a name resolves to is not looked at.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.fragment or parts.username is not None or parts.password is not None:
        return None
    if is_inside(host) and not inside:
        return None
    secure = parts.scheme == "https" or (plain and parts.scheme == "http" and is_loopback(host))
    return value if secure else None


def is_inside(host: str) -> bool:
    """Whether it is this machine, or an address that is nobody's in the Internet. `2130706433`, `127.1` and the like,
    which resolvers take for addresses, count as such.
    """
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return "%" in host or NUMERIC.fullmatch(host.rpartition(".")[2]) is not None
    address = getattr(address, "ipv4_mapped", None) or address
    return not address.is_global or address.is_multicast


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
