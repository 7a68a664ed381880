"""Every key of `providers.toml`, declared: its name, its parser, and whether its value may be shown.

Defaults stand in `model.py` alone; `docs/configuration.md` is compared with both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import addresses as at
from . import parse as a
from .secret_files import secret_hash, secret_key

# What follows /auth/ in the gateway's own addresses, now or in a later version: no provider can be called so.
# fmt: off
RESERVED_NAMES = frozenset({
    "account", "authorize", "end-session", "identities", "introspect", "invite", "join", "login", "logout",
    "me", "merge", "providers", "refresh", "revocations", "revoke", "sessions", "signed-out", "static",
    "token", "userinfo", "verify",
})
PROVIDER_NAME = r"[a-z][a-z0-9-]{0,31}"

# Parameters of the authorization request that are the gateway's own.
OUR_PARAMETERS = frozenset({
    "client_id", "client_secret", "code_challenge", "code_challenge_method", "nonce", "redirect_uri",
    "request", "request_uri", "response_mode", "response_type", "scope", "state",
})
# fmt: on

ASSERTION_ALGS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
ID_TOKEN_ALGS = (*ASSERTION_ALGS, "EdDSA", "Ed25519", "Ed448")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `secret`: never shown. `path`: relative to the file that names it."""

    name: str
    parse: a.Parser
    secret: bool = False
    path: bool = False


def table(keys: Iterable[Key]) -> dict[str, Key]:
    return {key.name: key for key in keys}


claim = a.matching(r"[^\s.]+(\.[^\s.]+)*", "Write the name of a claim, or a path of names with dots.")
scope = a.matching(r"[\x21\x23-\x5b\x5d-\x7e]+", 'A scope has no space in it; write a list: ["openid", "email"].')
role = a.matching(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", "A role is made of letters, digits and . _ : -")
provider_name = a.matching(PROVIDER_NAME, "A provider's name is made of a to z, 0 to 9 and hyphens.")

GATEWAY = table(
    (
        Key("public_url", at.public_url),
        Key("database_url", at.database_url, secret=True),
        Key("secret_keys", a.listing(secret_key, at_least=1), secret=True),
        Key("access_token_ttl", a.duration(1, 86400)),
        Key("access_token_alg", a.choice("ES256", "EdDSA", "RS256")),
        Key("refresh_token_idle_ttl", a.duration(1)),
        Key("refresh_token_max_ttl", a.duration(1)),
        Key("refresh_token_grace", a.duration(0, 3600)),
        Key("audience", a.text),
        Key("default_redirect", at.redirect_target),
        Key("allowed_redirects", a.listing(at.redirect_prefix)),
        Key("cors_origins", a.listing(at.origin)),
        Key("trusted_proxies", a.listing(at.network)),
        Key("cookie_domain", at.domain),
        Key("signup", a.choice("open", "closed", "domains")),
        Key("signup_domains", a.listing(at.domain)),
        Key("account_linking", a.choice("ask", "verified", "never")),
        Key("reauthentication_max_age", a.duration(1)),
        Key("redis_url", at.redis_url, secret=True),
        Key("rate_limits", a.flag),
        Key("metrics", a.listing(at.network)),
        Key("docs", a.flag),
    )
)

PROVIDER = table(
    (
        Key("preset", a.text),
        Key("label", a.text),
        Key("discovery_url", at.document_url),
        Key("issuer", at.issuer),
        Key("client_id", a.possibly_empty),
        Key("client_secret", a.verbatim, secret=True),
        Key("client_secret_file", a.text, path=True),
        Key("client_auth", a.choice("client_secret_basic", "client_secret_post", "private_key_jwt", "none")),
        Key("private_key_file", a.text, path=True),
        Key("certificate_file", a.text, path=True),
        Key("client_assertion_alg", a.choice(*ASSERTION_ALGS)),
        Key("client_assertion_audience", a.choice("issuer", "token_endpoint")),
        Key("audiences", a.listing(a.text)),
        Key("scopes", a.listing(scope, at_least=1)),
        Key("id_token_algs", a.listing(a.choice(*ID_TOKEN_ALGS), at_least=1)),
        Key("authorize_params", a.parameters(OUR_PARAMETERS)),
        Key("response_mode", a.choice("query", "form_post")),
        Key("tenant", a.either(("common", "organizations", "consumers"), at.tenant)),
        Key("allowed_tenants", a.listing(a.either(("*",), at.tenant_id))),
        Key("authority", at.base_url),
        Key("hosted_domains", a.listing(at.domain)),
        Key("subject_claim", claim),
        Key("email_claim", claim),
        Key("name_claim", claim),
        Key("groups_claim", claim),
        Key("roles_claim", claim),
        Key("email_trust", a.either(("never", "claim"), a.listing(at.domain, at_least=1))),
        Key("userinfo", a.choice("never", "missing", "always")),
        Key("id_token_nonce", a.choice("required", "optional")),
        Key("leeway", a.duration(0, 300)),
        Key("store_tokens", a.flag),
        Key("enabled", a.flag),
        Key("optional", a.flag),
    )
)

APP = table(
    (
        Key("type", a.choice("web", "spa", "native", "service")),
        Key("label", a.text),
        Key("redirect_uris", a.listing(at.return_uri)),
        Key("post_logout_redirect_uris", a.listing(at.return_uri)),
        Key("client_secret", a.verbatim, secret=True),
        Key("client_secret_file", a.text, path=True),
        Key("client_secret_hash", secret_hash, secret=True),
        Key("public_key_file", a.text, path=True),
        Key("scopes", a.listing(scope)),
        Key("audience", a.text),
        Key("providers", a.listing(provider_name)),
        Key("backchannel_logout_url", at.document_url),
        Key("id_token_alg", a.choice("ES256", "RS256")),
        Key("consent", a.flag),
    )
)

ROLE = table(
    (
        Key("role", role),
        Key("emails", a.listing(at.email)),
        Key("domains", a.listing(at.domain)),
        Key("groups", a.listing(a.text)),
        Key("provider", provider_name),
        Key("provider_roles", a.listing(a.text)),
    )
)
