"""The whole configuration: read, filled in and judged at once.

flag ─► environment ─► file ─► default      per key, the first that is given
              │
    ${NAME} replaced, parsed, judged        every fault kept, none stops the others
              │
          Settings  or  ConfigurationError
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ConfigurationError, Fault

from .app_tables import make_app
from .general import DEFAULT_PORT, complete, find_keys, judge
from .keys import APP, GATEWAY, PROVIDER, ROLE, Key
from .model import ProviderSettings, Settings
from .parse import Unfit, describe, suggest
from .provider_tables import is_left_out, make_provider
from .read import Document, Environment, Given, read_environment, read_file
from .roles import make_rule
from .tables import Table, describe_key

FORMS = {
    "gateway": "[gateway]",
    "providers": "[providers.<name>]",
    "apps": "[apps.<client_id>]",
    "roles": "[[roles]]",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """What a configuration comes to, faults included.

    `settings` is what could be made of it, with defaults in place of what is unfit; None when the file cannot
    be read. `declared` holds every enabled provider whose addresses are known, those without a client id too.
    """

    settings: Settings | None
    declared: Mapping[str, ProviderSettings]
    faults: tuple[Fault, ...]


def load(path: str | Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """The settings a file, the environment and flags come to. ConfigurationError holds every fault at once.

    `flags` may hold any key of `[gateway]` and `port`, which only shapes the default of `public_url`; None
    stands for a flag that was not given. Without a path there is no file (for use as a library).
    """
    return settled(examine(path, environ, flags))


def build(
    tables: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """As `load`, from tables that lie ready instead of a file; without `environ` no variable counts."""
    return settled(examine_document(Document(tables, "settings", Path()), environ or {}, flags or {}, make_keys=True))


def settled(examined: Examined) -> Settings:
    if examined.faults or examined.settings is None:
        raise ConfigurationError(examined.faults)
    return examined.settings


def examine(
    path: str | Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    *,
    make_keys: bool = True,
) -> Examined:
    """As `load`, but never raises. Without `make_keys` nothing is written."""
    try:
        document = read_file(Path(path)) if path is not None else Document({}, "settings", Path())
    except Unfit as unfit:
        return Examined(None, {}, (Fault(str(path), "", "", unfit.seen or "", unfit.hint),))
    return examine_document(document, environ, flags or {}, make_keys=make_keys)


def examine_document(
    document: Document, environ: Mapping[str, str], flags: Mapping[str, object], *, make_keys: bool
) -> Examined:
    variables = read_environment(environ, document.mentioned)
    general, port = general_table(document, variables, flags, environ)
    providers = provider_tables(document, variables, environ)
    made = {name: make_provider(table, name) for name, table in providers.items()}
    roles = role_tables(document, environ)
    rules = [make_rule(table, providers) for table in roles]
    apps = app_tables(document, environ)
    applications = [make_app(table, client_id, providers) for client_id, table in apps.items()]
    complete(general, port)
    judge(general)

    elsewhere = [*variables.faults, *misplaced(document)]
    elsewhere += [fault for table in (*providers.values(), *apps.values(), *roles) for fault in table.faults]
    keys = find_keys(general, make=make_keys and not elsewhere)
    declared = {name: provider for name, provider in made.items() if provider and provider.enabled}
    settings = Settings(
        **{**general.values, "secret_keys": keys},
        providers={name: provider for name, provider in declared.items() if provider.client_id},
        not_configured=tuple(name for name, table in providers.items() if is_left_out(table)),
        apps={app.client_id: app for app in applications if app},
        roles=tuple(rule for rule in rules if rule),
    )
    return Examined(settings, declared, (*general.faults, *elsewhere))


def misplaced(document: Document) -> list[Fault]:
    """Tables and keys at the top of the file that do not belong there."""
    faults = []
    for name, value in document.tables.items():
        if name in GATEWAY:
            faults.append(Fault(document.where, "", name, "outside a table", "It belongs under [gateway]."))
        elif name not in FORMS:
            hint = (
                f"The tables are [gateway], [providers.<name>], [apps.<client_id>] and [[roles]].{suggest(name, FORMS)}"
            )
            faults.append(Fault(document.where, "", describe_key(name), "unknown", hint))
        elif not isinstance(value, list if name == "roles" else Mapping):
            faults.append(Fault(document.where, name, "", describe(value), f"Write a table: {FORMS[name]}"))
    return faults


def section(document: Document, name: str) -> Mapping[str, Any]:
    found = document.tables.get(name)
    return found if isinstance(found, Mapping) else {}


def general_table(
    document: Document, variables: Environment, flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Table, int]:
    """The parsed `[gateway]`, and the port the default of `public_url` names."""
    named = {name: value for name, value in flags.items() if value is not None}
    port = named.pop("port", DEFAULT_PORT)
    given = {key: Given(value, "--" + key.replace("_", "-"), Path(), literal=True) for key, value in named.items()}
    table = Table(
        "gateway",
        document.where,
        document.given(section(document, "gateway")) | dict(variables.gateway) | given,
    )
    table.parse(GATEWAY, environ)
    return table, port if isinstance(port, int) else DEFAULT_PORT


def provider_tables(document: Document, variables: Environment, environ: Mapping[str, str]) -> dict[str, Table]:
    """Each provider's parsed table: those of the file in its order, then those only the environment names."""
    found = section(document, "providers")
    tables = {}
    for name in dict.fromkeys((*found, *variables.providers)):
        title, extra = f"providers.{describe_key(name)}", variables.providers.get(name, {})
        tables[name] = parsed(title, document, found.get(name, {}), extra, PROVIDER, environ)
    return tables


def app_tables(document: Document, environ: Mapping[str, str]) -> dict[str, Table]:
    found = section(document, "apps")
    return {
        client_id: parsed(f"apps.{describe_key(client_id)}", document, table, {}, APP, environ)
        for client_id, table in found.items()
    }


def parsed(
    title: str,
    document: Document,
    found: object,
    extra: Mapping[str, Given],
    keys: Mapping[str, Key],
    environ: Mapping[str, str],
) -> Table:
    table = Table(title, document.where, document.given(found if isinstance(found, Mapping) else {}) | dict(extra))
    if not isinstance(found, Mapping):
        table.fault("", describe(found), "Write a table.")
    table.parse(keys, environ)
    return table


def role_tables(document: Document, environ: Mapping[str, str]) -> list[Table]:
    found = document.tables.get("roles")
    rules = found if isinstance(found, list) else []
    return [parsed(f"roles #{place}", document, rule, {}, ROLE, environ) for place, rule in enumerate(rules, 1)]
