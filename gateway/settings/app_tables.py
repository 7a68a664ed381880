"""The tables `[apps.<client_id>]`: applications that people sign in to, and services with tokens of their own."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from .app_keys import judge_public_key
from .model import AppSettings, Secret
from .parse import describe, suggest
from .secret_files import FileSecret, explain
from .tables import Table

CLIENT_ID = r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}"
OWN = "gateway"  # the client_id of the browser's own session
SHORTEST_SECRET = 32  # characters of a client_secret
CREDENTIALS = ("client_secret", "client_secret_file", "client_secret_hash", "public_key_file")
PUBLIC = frozenset({"spa", "native"})
FIELDS = frozenset(field.name for field in fields(AppSettings))


def make_app(table: Table, client_id: str, providers: Collection[str]) -> AppSettings | None:
    """The application; None when it has a fault."""
    if not re.fullmatch(CLIENT_ID, client_id) or client_id == OWN:
        hint = 'A client_id is made of letters, digits and . _ ~ -, 64 at most, and is not "gateway".'
        table.fault("", f"the client_id {describe(client_id)}", hint)
    values = dict(table.values)
    if "type" not in table.given:
        table.fault("type", "missing", "Write web, spa, native or service: docs/apps.md says which one it is.")
    elif table.sound("type"):
        judge_redirects(table, values)
        values["client_secret"] = judge_credentials(table, values)
        judge_scopes(table, values)
    judge_providers(table, values, providers)
    if table.faults:
        return None
    if file := values.get("public_key_file"):
        values["public_key"] = Path(file).read_text("utf-8-sig")
    values = {"label": client_id, **values, "client_id": client_id}
    return AppSettings(**{key: value for key, value in values.items() if key in FIELDS})


def judge_redirects(table: Table, values: dict[str, Any]) -> None:
    service = values["type"] == "service"
    for key in ("redirect_uris", "post_logout_redirect_uris", "backchannel_logout_url"):
        if service and key in table.given:
            table.fault(key, "given", "Nobody signs in to a service: leave it out.")
    if service:
        return
    if table.sound("redirect_uris") and not values.get("redirect_uris"):
        table.fault("redirect_uris", "missing", "Name each address, exactly, to which people return with a code.")
    for key in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in values.get(key, ()):
            if not uri.startswith(("https://", "http://")) and values["type"] != "native":
                table.fault(key, describe(uri), 'A scheme of its own is only for type = "native".')


def judge_credentials(table: Table, values: dict[str, Any]) -> Secret | None:
    """The secret; faults where the way to prove which application it is does not fit its type."""
    if not table.sound(*CREDENTIALS):
        return None
    given = [key for key in CREDENTIALS if values.get(key)]
    if values["type"] in PUBLIC:
        for key in given:
            hint = "What everybody can read out of a browser or a phone is no secret: leave it out, PKCE stands in."
            table.fault(key, f'type is "{values["type"]}"', hint)
        return None
    if not given:
        hint = "Give client_secret_hash, client_secret, client_secret_file, or public_key_file for private_key_jwt."
        table.fault("client_secret", "missing", f"{hint} `gateway apps new-secret` makes one.")
    elif len(given) > 1:
        table.fault(given[1], f"beside {given[0]}", "Give one of them.")
        return None
    elif given == ["public_key_file"]:
        judge_public_key(table, values["public_key_file"])
    return read_secret(table, values)


def read_secret(table: Table, values: dict[str, Any]) -> Secret | None:
    file, given = values.get("client_secret_file", ""), values.get("client_secret", "")
    if not file and not given:
        return None
    key = "client_secret_file" if file else "client_secret"
    try:
        secret = Secret(FileSecret(Path(file))) if file else Secret(given)
        length = len(secret.get().strip())
    except (OSError, ValueError) as fault:
        table.fault(key, f"{describe(file)}: {explain(fault)}", "The file must be readable and hold the secret alone.")
        return None
    if length < SHORTEST_SECRET:
        hint = f"A secret has at least {SHORTEST_SECRET} characters; `gateway apps new-secret` makes one."
        table.fault(key, f"{length} characters", hint)
    return secret


def judge_scopes(table: Table, values: dict[str, Any]) -> None:
    scopes = values.get("scopes", ())
    if values["type"] == "service":
        values.setdefault("scopes", ())
        for name in ("openid", "offline_access"):
            if name in scopes:
                table.fault("scopes", f'"{name}"', "That is for people; a service asks for a new token instead.")


def judge_providers(table: Table, values: dict[str, Any], providers: Collection[str]) -> None:
    for name in values.get("providers", ()):
        if name not in providers:
            hint = f"There is no [providers.{name}].{suggest(name, providers)}"
            table.fault("providers", describe(name), hint)
    if "providers" in values and not values["providers"]:
        table.fault("providers", "empty", "Name at least one, or leave the key out for all of them.")
