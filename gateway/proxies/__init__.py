"""What a reverse proxy is to be told, so that it asks the gateway before it lets a request pass.

The templates are whole configurations of one site: the gateway at its path, the application behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import product
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, StrictUndefined

from gateway.settings import Settings

TEMPLATES: Mapping[str, str] = MappingProxyType(
    {
        "nginx": "nginx.conf",
        "caddy": "Caddyfile",
        "traefik": "traefik.yml",
        "haproxy": "haproxy.cfg",
        "apache": "apache.conf",
    }
)
LUA: Mapping[str, str] = MappingProxyType({"haproxy": "haproxy.lua", "apache": "apache.lua"})

CONSTRAINTS = ("role", "scope", "group", "provider", "max_age")
IDENTITY = ("User", "Email", "Preferred-Username", "Groups", "Roles", "Provider", "Token")
UNSAID = ("Sign-In", "Redirect", "Access-Token")  # like ours, and never meant for an application
PUBLISHED = ("jwks.json", "openid-configuration", "oauth-authorization-server")
COOKIES = r"(?:__Host-|__Secure-)?gateway(?:-refresh|-browser|-pending|-attempt-[^=;]*)?"  # the gateway's own


def render(
    template: str,
    settings: Settings,
    *,
    upstream: str,
    gateway: str,
    require: Sequence[tuple[str, str]] = (),
    token: bool = False,
) -> str:
    """A template for this configuration. `upstream`, `gateway`: where both listen, as scheme, host and port;
    `require`: constraints that every request has to meet; `token`: whether the application gets an assertion."""
    return (
        environment()
        .from_string(read(template))
        .render(
            **site(settings.public_url),
            upstream=upstream,
            gateway=gateway,
            query=query([*require, *([("token", "1")] if token else [])]),
            identity=[f"X-Auth-Request-{name}" for name in IDENTITY if token or name != "Token"],
            cleared=[f"X-Auth-Request-{name}" for name in (*([] if token else ["Token"]), *UNSAID)],
            forged=forged(),
            cookies=COOKIES,
        )
    )


def environment() -> Environment:
    return Environment(  # noqa: S701  no HTML; every value is checked by the command or by the settings
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )


def read(template: str) -> str:
    return (resources.files(__name__) / "templates" / template).read_text("utf-8")


def site(public_url: str) -> dict[str, Any]:
    """What a site's address says, and which paths of it are the gateway's."""
    parts = urlsplit(public_url)
    base = parts.path.rstrip("/")
    published = [] if base else [f"/.well-known/{name}" for name in PUBLISHED]
    return {
        "scheme": parts.scheme,
        "host": parts.hostname,
        "authority": parts.netloc,
        "port": parts.port or (443 if parts.scheme == "https" else 80),
        "https": parts.scheme == "https",
        "base": base,
        "prefix": f"{base}/" if base else "/auth/",
        "published": published,
    }


def query(pairs: Sequence[tuple[str, str]]) -> str:
    return f"?{urlencode(pairs)}" if pairs else ""


def forged() -> list[str]:
    """Spellings with underscores that applications may take for our headers (CGI, WSGI, PHP make no difference)."""
    spelled = []
    for name in IDENTITY:
        words = ["X", "Auth", "Request", *name.split("-")]
        for signs in product("-_", repeat=len(words) - 1):
            if "_" in signs:
                spelled.append("".join(word + sign for word, sign in zip(words, (*signs, ""), strict=True)))
    return spelled
