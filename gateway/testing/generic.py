"""What the generic stand-in says: the base provider of the OpenID conformance suite, word for word."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.testing.behaviour import Document
from gateway.testing.people import Person

ASYMMETRIC = [f"{family}{bits}" for family in ("RS", "ES", "PS") for bits in (256, 384, 512)] + ["ES256K", "EdDSA"]
ENCRYPTION_ALGS = ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW", "dir"]
ENCRYPTION_ENCS = ["A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM"]

METADATA: Document = {
    "scopes_supported": ["openid", "phone", "profile", "email", "address", "offline_access"],
    "response_types_supported": [
        "code",
        "id_token code",
        "token code id_token",
        "id_token",
        "token id_token",
        "token code",
        "token",
    ],
    "response_modes_supported": ["query", "fragment", "form_post"],
    "grant_types_supported": ["authorization_code", "implicit"],
    "token_endpoint_auth_signing_alg_values_supported": ["HS256", "HS384", "HS512", *ASYMMETRIC],
    "claims_parameter_supported": True,
    "acr_values_supported": ["PASSWORD"],
    "subject_types_supported": ["public", "pairwise"],
    "claim_types_supported": ["normal", "aggregated", "distributed"],
    "id_token_signing_alg_values_supported": ["none", *ASYMMETRIC],
    "id_token_encryption_alg_values_supported": ENCRYPTION_ALGS,
    "id_token_encryption_enc_values_supported": ENCRYPTION_ENCS,
    "userinfo_signing_alg_values_supported": ["none", *ASYMMETRIC],
    "userinfo_encryption_alg_values_supported": ENCRYPTION_ALGS,
    "userinfo_encryption_enc_values_supported": ENCRYPTION_ENCS,
    "request_object_signing_alg_values_supported": ["none", *ASYMMETRIC],
    "request_object_encryption_alg_values_supported": ENCRYPTION_ALGS,
    "request_object_encryption_enc_values_supported": ENCRYPTION_ENCS,
}

PROFILE: Document = {
    "middle_name": "Theresa",
    "nickname": "Dee",
    "preferred_username": "d.tu",
    "profile": "https://example.com/user",
    "website": "https://www.example.com/",
    "gender": "female",
    "birthdate": "2000-02-03",
    "zoneinfo": "Asia/Hong_Kong",
    "locale": "en-US",
    "updated_at": 1580000000,
}
ADDRESS: Document = {
    "street_address": "100 Universal City Plaza",
    "locality": "Hollywood",
    "region": "CA",
    "postal_code": "91608",
    "country": "USA",
}


def default_people() -> list[Person]:
    """The suite's one user, whose address is not verified, and one whose address is."""
    return [
        Person(subject="user-subject-1234531", name="Demo T. User", email="user@example.com"),
        Person(subject="user-subject-2", name="Rosa Meyer", email="rosa@example.org", email_verified=True),
    ]


def document(issuer: str, urls: Document, auth_methods: Collection[str]) -> Document:
    names = [*profile_names(), "sub", "email", "email_verified", "phone_number", "phone_number_verified", "address"]
    methods = {"token_endpoint_auth_methods_supported": list(auth_methods)}
    return {"issuer": issuer, **urls, **METADATA, **methods, "claims_supported": names}


def profile_names() -> list[str]:
    return ["name", "given_name", "family_name", *PROFILE]


def claims(person: Person, scopes: Collection[str]) -> Document:
    """Userinfo, filtered by scope (OpenID Connect Core section 5.4)."""
    names = {"name": person.name, "given_name": person.given_name, "family_name": person.family_name}
    by_scope: dict[str, dict[str, Any]] = {
        "profile": {**names, **PROFILE},
        "email": {"email": person.email, "email_verified": person.email_verified} if person.email else {},
        "phone": {"phone_number": "+1 555 5550000", "phone_number_verified": False},
        "address": {"address": ADDRESS},
    }
    wanted = [part for scope, part in by_scope.items() if scope in scopes]
    return {"sub": person.subject, **{name: value for part in wanted for name, value in part.items()}}
