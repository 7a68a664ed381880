"""The configuration as values: what `providers.toml`, the environment and flags come to once checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

Network = IPv4Network | IPv6Network


class Secret:
    """A secret that does not print itself; one that lives in a file is read again when the file changes."""

    __slots__ = ("_read",)

    def __init__(self, read: str | Callable[[], str]) -> None:
        self._read: Callable[[], str] = (lambda: read) if isinstance(read, str) else read

    def get(self) -> str:
        return self._read()

    def __repr__(self) -> str:
        return "Secret(***)"


ClientAuth = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
EmailTrust = Literal["never", "claim"] | tuple[str, ...]  # a tuple: domains whose addresses are verified


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One `[providers.<name>]`, presets already filled in. Durations are seconds."""

    name: str
    label: str
    preset: str | None = None
    quirk: str | None = None  # module under providers/quirks, named by the preset
    posts_from: str | None = None  # origin of a page of the provider that posts ID tokens; the preset says so
    discovery_url: str
    issuer: str  # what the document and the tokens must name; may hold `{tenantid}`
    client_id: str
    client_secret: Secret | None = None
    client_auth: ClientAuth | None = None  # None: by discovery
    private_key_file: str | None = None
    certificate_file: str | None = None
    client_assertion_alg: str | None = None
    client_assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"
    audiences: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    id_token_algs: tuple[str, ...] = ("RS256",)
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    response_mode: Literal["query", "form_post"] = "query"
    tenant: str | None = None
    allowed_tenants: tuple[str, ...] = ()
    authority: str | None = None
    hosted_domains: tuple[str, ...] = ()
    subject_claim: str = "sub"
    email_claim: str = "email"
    name_claim: str = "name"
    groups_claim: str = "groups"
    roles_claim: str = "roles"
    email_trust: EmailTrust = "claim"
    userinfo: Literal["never", "missing", "always"] = "missing"
    id_token_nonce: Literal["required", "optional"] = "required"  # noqa: S105  not a secret
    leeway: int = 60
    store_tokens: bool = False
    enabled: bool = True
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One `[apps.<client_id>]`: an application people sign in to, or a service with tokens of its own."""

    client_id: str
    type: Literal["web", "spa", "native", "service"]
    label: str  # what people are shown
    redirect_uris: tuple[str, ...] = ()  # exact; the port of a loopback one varies for `native`
    post_logout_redirect_uris: tuple[str, ...] = ()
    client_secret: Secret | None = None
    client_secret_hash: bytes | None = field(default=None, repr=False)  # SHA-256 of the secret
    public_key: str | None = None  # PEM, for private_key_jwt
    scopes: tuple[str, ...] = ("openid", "profile", "email", "offline_access")  # what it may ask for
    audience: str | None = None  # of its access tokens; None: the gateway's `audience`
    providers: tuple[str, ...] = ()  # names; empty: all
    backchannel_logout_url: str | None = None
    id_token_alg: Literal["ES256", "RS256"] = "ES256"  # noqa: S105  not a secret
    consent: bool = False  # whether people are asked what it may have


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRule:
    """One `[[roles]]`: everything given must hold for the role to be granted."""

    role: str
    emails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    provider: str | None = None
    provider_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`[gateway]` with its providers, applications and role rules. Durations are seconds."""

    public_url: str  # no trailing slash; issuer of our tokens
    database_url: str = field(repr=False)
    secret_keys: tuple[bytes, ...] = field(repr=False)  # newest first
    access_token_ttl: int = 300
    refresh_token_idle_ttl: int = 14 * 86400
    refresh_token_max_ttl: int = 90 * 86400
    refresh_token_grace: int = 20
    audience: str = ""  # empty only before loading; the loader puts public_url
    default_redirect: str = "/auth/account"
    allowed_redirects: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    cookie_domain: str | None = None
    signup: Literal["open", "closed", "domains"] = "open"
    signup_domains: tuple[str, ...] = ()
    account_linking: Literal["ask", "verified", "never"] = "ask"
    reauthentication_max_age: int = 600
    redis_url: str | None = field(default=None, repr=False)
    rate_limits: bool = True
    metrics: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))  # who may read /metrics
    docs: bool = True  # /docs and /openapi.json
    access_token_alg: Literal["ES256", "EdDSA", "RS256"] = "ES256"  # noqa: S105  not a secret
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)  # offered ones, file order
    not_configured: tuple[str, ...] = ()  # optional providers without a client_id
    apps: Mapping[str, AppSettings] = field(default_factory=dict)  # by client_id
    roles: tuple[RoleRule, ...] = ()
