"""Presets: what is known about a provider before anybody configures it, and the addresses that follow."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .addresses import TENANT, is_tenant_id
from .keys import PROVIDER
from .parse import Unfit

FILE = Path(__file__).parents[1] / "providers" / "presets.toml"
WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Preset:
    """One table of `presets.toml`. `fills` holds what a provider entry may leave out."""

    name: str
    fills: Mapping[str, Any]
    quirk: str | None = None
    accepts: frozenset[str] = frozenset()
    end_session: bool = False
    posts_id_tokens: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)
    client_secret_refused: str | None = None
    open_tenants: tuple[str, ...] = ()
    tenant_ids: Mapping[str, str] = field(default_factory=dict)
    issuer_authorities: Mapping[str, str] = field(default_factory=dict)


NO_PRESET = Preset("", {})


@cache
def presets() -> Mapping[str, Preset]:
    with FILE.open("rb") as file:
        tables = tomllib.load(file)
    return {name: read_preset(name, table) for name, table in tables.items()}


def read_preset(name: str, table: Mapping[str, Any]) -> Preset:
    own = {key: value for key, value in table.items() if key not in PROVIDER}
    own["accepts"] = frozenset(own.get("accepts", ()))
    own["open_tenants"] = tuple(own.get("open_tenants", ()))
    fills = {key: filling(key, value) for key, value in table.items() if key in PROVIDER}
    return Preset(name, fills, **own)


def filling(key: str, value: Any) -> Any:
    """A preset's value, parsed as the provider's would be; an address with places to fill stays as it is."""
    return value if isinstance(value, str) and "{" in value else PROVIDER[key].parse(value)


@cache
def reserved_for() -> Mapping[str, str]:
    """Keys that only one preset knows, and its name."""
    return {key: preset.name for preset in presets().values() for key in preset.accepts}


def addresses(preset: Preset, given: Mapping[str, Any]) -> dict[str, Any]:
    """`discovery_url` and `issuer`, with `tenant` and `authority` where the preset has them.

    A discovery address that is given goes before the one the preset would make, and says tenant and authority
    where the entry does not.
    """
    url = given.get("discovery_url")
    template = preset.fills.get("discovery_url")
    if template is None or "{tenant}" not in template:
        url = url or template
        return {"discovery_url": url, "issuer": given.get("issuer") or issuer_of(url)}
    named = {key: given[key] for key in ("authority", "tenant") if key in given}
    if url is None:
        values = {key: preset.fills[key] for key in ("authority", "tenant")} | named
    else:
        values = parts_of(url, template) | named
    if "tenant" not in values:  # an address of another form
        values = {"authority": named.get("authority"), "tenant": None}
        return {**values, "discovery_url": url, "issuer": given.get("issuer") or issuer_of(url)}
    values = {"authority": preset.fills["authority"]} | values
    issuer = given.get("issuer") or tenant_issuer(preset, values)
    return {**values, "discovery_url": url or fill(template, values), "issuer": issuer}


def parts_of(url: str, template: str) -> dict[str, str]:
    """Authority and tenant as an address names them; empty when it does not have the template's form."""
    pattern = re.escape(template).replace(r"\{authority\}", "(.+)").replace(r"\{tenant\}", "([^/]+)")
    found = re.fullmatch(pattern + r"(?:\?.*)?", url)
    if found is None:
        return {}
    try:
        return {
            "authority": PROVIDER["authority"].parse(found[1]),
            "tenant": PROVIDER["tenant"].parse(found[2].lower()),
        }
    except Unfit:
        return {}


def tenant_issuer(preset: Preset, values: Mapping[str, str]) -> str:
    """The issuer of a tenant; `{tenantid}` stays where a token or, for a domain, the document says it."""
    tenant, authority = values["tenant"], values["authority"]
    tenant_id = preset.tenant_ids.get(tenant) or (tenant if is_tenant_id(tenant) else TENANT)
    issuer_authority = preset.issuer_authorities.get(authority, authority)
    return fill(preset.fills["issuer"], {"authority": issuer_authority, "tenantid": tenant_id})


def fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def issuer_of(discovery_url: str | None) -> str | None:
    """The issuer an address stands for (OpenID Connect Discovery 1.0 section 4); None for another form."""
    bare = (discovery_url or "").partition("?")[0]
    return bare.removesuffix(WELL_KNOWN) if bare.endswith(WELL_KNOWN) else None
