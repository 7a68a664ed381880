"""The tables `[providers.<name>]`: presets filled in, credentials read, keys judged together."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from .addresses import TENANT, split
from .keys import PROVIDER_NAME, RESERVED_NAMES
from .model import ProviderSettings, Secret
from .parse import describe, suggest
from .presets import NO_PRESET, WELL_KNOWN, Preset, addresses, parts_of, presets, reserved_for
from .private_keys import judge_private_key
from .secret_files import FileSecret, explain
from .tables import Table

FIELDS = frozenset(field.name for field in fields(ProviderSettings))


def judge_name(table: Table, name: str) -> bool:
    """Whether the name can stand in an address."""
    if not re.fullmatch(PROVIDER_NAME, name):
        hint = "A provider's name begins with a letter and is made of a to z, 0 to 9 and hyphens, 32 at most."
        table.fault("", f"the name {describe(name)}", hint)
    elif name in RESERVED_NAMES:
        hint = f"/auth/{name} is an address of the gateway itself; choose another name."
        table.fault("", f'the name "{name}"', hint)
    return table.sound("")


def preset_of(table: Table, name: str) -> Preset:
    wanted = table.values.get("preset")
    if wanted is None:
        if name in presets() and "discovery_url" not in table.given and table.sound("preset"):
            table.fault("preset", "missing", f'Write preset = "{name}", or give discovery_url.')
        return NO_PRESET
    if wanted not in presets():
        hint = f"There are {', '.join(presets())}; any other OpenID provider needs only its discovery_url."
        table.fault("preset", describe(wanted), hint + suggest(wanted, presets()))
    return presets().get(wanted, NO_PRESET)


def make_provider(table: Table, name: str) -> ProviderSettings | None:
    """The provider as far as it is sound; None where its name is unfit or its addresses are unknown."""
    fit = judge_name(table, name)
    preset = preset_of(table, name)
    values = {**preset.fills, **table.values}
    values |= addresses(preset, table.values)
    if values.get("enabled", True):
        judge_preset_keys(table, preset)
        if not is_left_out(table):
            judge_client_id(table, preset)
            judge_addresses(table, preset, values)
            judge_tenants(table, preset, values)
            values["client_secret"] = judge_credentials(table, preset, values)
            judge_rest(table, values)
    if not fit or not values.get("discovery_url") or not values.get("issuer"):
        return None
    values = {"label": name.capitalize(), "client_id": "", **values, "name": name, "quirk": preset.quirk}
    values["posts_from"] = split(values["discovery_url"]).origin if preset.posts_id_tokens else None
    if not isinstance(values.get("client_secret"), Secret):
        values["client_secret"] = None
    return ProviderSettings(**{key: value for key, value in values.items() if key in FIELDS})


def is_left_out(table: Table) -> bool:
    """Whether it is an optional provider that has no client id, and so is just not offered."""
    values = table.values
    wanted = values.get("enabled", True) and values.get("optional", False)
    return bool(wanted and not values.get("client_id") and table.sound("client_id"))


def judge_client_id(table: Table, preset: Preset) -> None:
    if table.sound("client_id") and not table.values.get("client_id"):
        where = preset.hints.get("client_id", "The provider gives it at registration.")
        seen = "empty" if "client_id" in table.given else "missing"
        table.fault("client_id", seen, f"{where} With optional = true a provider without one is just not offered.")


def judge_preset_keys(table: Table, preset: Preset) -> None:
    if not table.sound("preset"):
        return
    for key, owner in reserved_for().items():
        if key in table.given and key not in preset.accepts:
            table.fault(key, "given", f'Only the preset "{owner}" knows it; elsewhere it would restrict nothing.')


def judge_addresses(table: Table, preset: Preset, values: dict[str, Any]) -> None:
    if not table.sound("preset", "discovery_url", "issuer"):
        return
    url, issuer = values.get("discovery_url"), values.get("issuer")
    if not url:
        table.fault(
            "discovery_url",
            "missing",
            f"Give the address of the provider's document, https://...{WELL_KNOWN}",
        )
    elif not issuer:
        hint = f"The address should end in {WELL_KNOWN}; if it truly does not, give the issuer too."
        table.fault("discovery_url", describe(url), hint)
    elif TENANT in issuer and not preset.tenant_ids:
        table.fault(
            "issuer",
            describe(issuer),
            f"{TENANT} is only for a preset with tenants; write the issuer itself.",
        )


def judge_tenants(table: Table, preset: Preset, values: dict[str, Any]) -> None:
    if not preset.tenant_ids or not table.sound("tenant", "allowed_tenants", "discovery_url", "issuer"):
        return
    tenant, allowed = values.get("tenant"), values.get("allowed_tenants", ())
    named = parts_of(values["discovery_url"], preset.fills["discovery_url"]).get("tenant")
    if named and tenant and named != tenant:
        table.fault("tenant", describe(tenant), f'discovery_url names the tenant "{named}"; leave one of the two out.')
    several = tenant in preset.open_tenants or (tenant is None and TENANT in values["issuer"])
    if several and not allowed:
        given = f"tenant is {tenant}" if tenant else "several tenants"
        table.fault("allowed_tenants", f"missing, and {given}", preset.hints["allowed_tenants"])
    only = preset.tenant_ids.get(tenant or "", tenant or "")
    if allowed and "*" not in allowed and re.fullmatch(r"[0-9a-f-]{36}", only) and only not in allowed:
        table.fault(
            "allowed_tenants",
            "without the tenant itself",
            f"Nobody could sign in: add {only}, or leave it out.",
        )


def judge_credentials(table: Table, preset: Preset, values: dict[str, Any]) -> Secret | None:
    """The client secret; faults where the way to prove who we are lacks what it needs."""
    auth = values.get("client_auth")
    if not table.sound("client_auth", "client_secret", "client_secret_file"):
        return None
    if auth == "private_key_jwt":
        judge_private_key(table, values)
        return None
    for key in ("private_key_file", "certificate_file"):
        if key in values:
            table.fault(
                key,
                f"client_auth is {auth or 'not given'}",
                'It serves only with client_auth = "private_key_jwt".',
            )
    return None if auth == "none" else client_secret(table, preset)


def client_secret(table: Table, preset: Preset) -> Secret | None:
    given, file = table.values.get("client_secret"), table.values.get("client_secret_file")
    if given and file:
        table.fault("client_secret_file", "beside client_secret", "Give one of the two.")
        return None
    key = "client_secret_file" if file else "client_secret"
    secret = read_secret(table, file) if file else Secret(given or "")
    if secret is not None and not secret.get().strip():
        where = preset.hints.get("client_secret", 'The provider gives it; a public client has client_auth = "none".')
        table.fault(key, "empty" if key in table.given else "missing", where)
    elif secret is not None and re.fullmatch(preset.client_secret_refused or r"(?!)", secret.get().strip()):
        table.fault(key, "a GUID, not shown", preset.hints["client_secret_refused"])
    return secret


def read_secret(table: Table, file: str) -> Secret | None:
    try:
        return Secret(FileSecret(Path(file)))
    except (OSError, ValueError) as fault:
        hint = "The file must be readable by the gateway and hold the secret alone."
        table.fault("client_secret_file", f"{describe(file)}: {explain(fault)}", hint)
        return None


def judge_rest(table: Table, values: dict[str, Any]) -> None:
    if "openid" not in values.get("scopes", ("openid",)):
        table.fault("scopes", "without openid", 'Add "openid": without it a provider sends no proof of identity.')
    if "client_assertion_alg" in table.values and values.get("client_auth") != "private_key_jwt":
        table.fault("client_assertion_alg", "given", 'It serves only with client_auth = "private_key_jwt".')
