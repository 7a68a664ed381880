"""Verified claims to an Identity, by the declared mapping. Odd attributes are left out, never an error."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import InvalidIdToken
from gateway.identity import Identity

from .id_token import Verified, check_subject
from .lookup import look_up, sibling
from .openid import OpenID

MAX_EMAIL = 254  # characters (RFC 5321 §4.5.3.1.3)
MAX_NAME = 200
MAX_PICTURE = 2048
MAX_GROUPS = 1000
MAX_GROUP = 255

Claims = Mapping[str, Any]
NOTHING: Claims = {}
SPECIALS = frozenset('<>()[],;:\\" ')  # only a quoted local part may hold them; nobody has one
BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Email:
    address: str | None = None
    verified: bool = False
    authority: bool = False


def to_identity(verified: Verified, userinfo: Claims, rules: OpenID) -> Identity:
    """`userinfo` fills in what the ID token leaves out; key, tenant and proofs come from the ID token alone.

    Raises InvalidIdToken where the claim that `subject_claim` names is not there.
    """
    settings, claims = rules.settings, verified.claims
    email = judge_email(claims, userinfo, rules)

    def attribute(path: str) -> Any:
        value = look_up(claims, path)
        return look_up(userinfo, path) if value is None else value

    return Identity(
        provider=settings.name,
        issuer=verified.issuer,
        subject=read_subject(verified, settings.subject_claim),
        email=email.address,
        email_verified=email.verified,
        email_authority=email.authority,
        name=clean_name(attribute(settings.name_claim)),
        picture=clean_picture(attribute("picture")),
        groups=clean_list(attribute(settings.groups_claim)) if rules.may_grant() else (),
        roles=clean_list(attribute(settings.roles_claim)) if rules.may_grant() else (),
        ids={name: value for name in rules.id_claims if (value := short(claims.get(name))) is not None},
        provider_session=short(claims.get("sid")),
        auth_time=read_time(claims.get("auth_time")),
    )


def read_subject(verified: Verified, path: str) -> str:
    if path == "sub":
        return verified.subject
    value = look_up(verified.claims, path)
    if value is None:
        raise InvalidIdToken(
            f'no {path} claim; ask for the scope that brings it (oid comes with profile), or set subject_claim = "sub"'
        )
    return check_subject(value, path)


def judge_email(claims: Claims, userinfo: Claims, rules: OpenID) -> Email:
    """The address, whether it is verified, and whether by an authority for it (`email_trust`)."""
    source = email_source(claims, userinfo, rules)
    address = clean_email(rules.address(source))
    trust = rules.settings.email_trust
    if address is None or trust == "never":
        return Email(address)
    if isinstance(trust, tuple):
        listed = address.rpartition("@")[2].lower() in {domain.lower() for domain in trust}
        good = listed and not rules.disowns(source) and not rules.disowns(claims)
        return Email(address, good, good)
    verified = rules.vouches(source, address)
    return Email(address, verified, verified and rules.is_authority(claims, address))


def email_source(claims: Claims, userinfo: Claims, rules: OpenID) -> Claims:
    """Address and proof come from one source: a proof for one address must not cover another."""
    address, path = rules.address(claims), rules.settings.email_claim
    if address is None:
        return userinfo
    flag = sibling(path, "email_verified")
    if flag not in claims and flag in userinfo and look_up(userinfo, path) == address:
        return {**claims, flag: userinfo[flag]}
    return claims


def clean_email(value: object) -> str | None:
    """The address, if it looks like one that people have: no invisible or ambiguous characters."""
    if not isinstance(value, str) or not 3 <= len(value) <= MAX_EMAIL or value.count("@") != 1:
        return None
    if not value.isprintable() or not SPECIALS.isdisjoint(value) or unicodedata.normalize("NFKC", value) != value:
        return None
    local, _, domain = value.partition("@")
    return value if local and domain and not domain.startswith(".") and ".." not in domain else None


def clean_name(value: object) -> str | None:
    """At most 200 characters without controls and direction marks, white space joined."""
    if not isinstance(value, str):
        return None
    visible = "".join(char for char in value[: 4 * MAX_NAME] if char.isspace() or is_visible(char))
    return " ".join(visible.split())[:MAX_NAME].strip() or None


def is_visible(char: str) -> bool:
    return char not in BIDI and unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn")


def clean_picture(value: object) -> str | None:
    """An https URL of at most 2048 characters."""
    if not isinstance(value, str) or len(value) > MAX_PICTURE or not value.isprintable() or not value.isascii():
        return None
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return None
    good = parts.scheme == "https" and host and parts.username is None and " " not in value and "\\" not in value
    return value if good else None


def clean_list(value: object) -> tuple[str, ...]:
    """Groups or roles: a list of strings, or one string. Each once, in their order."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        return ()
    kept = (item for item in items if isinstance(item, str) and 0 < len(item) <= MAX_GROUP and item.isprintable())
    return tuple(dict.fromkeys(kept))[:MAX_GROUPS]


def short(value: object) -> str | None:
    """An identifier worth keeping: a printable string of at most 255 characters."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_GROUP and value.isprintable() else None


def read_time(value: object) -> int | None:
    """Epoch seconds, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        return None
    return int(value)
