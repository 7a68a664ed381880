"""Where values come from: the file, the environment and flags, and `${NAME}` in between.

Nothing is judged here but the form; what a value must be is the key's own affair.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import Fault

from .keys import GATEWAY, PROVIDER
from .parse import Unfit, suggest

PLACE = re.compile(r"\$(\$?)\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
PREFIX = "GATEWAY_"
PROVIDERS_PREFIX = PREFIX + "PROVIDERS__"
LARGEST_FILE = 1 << 20  # bytes

# Read by the commands, not here.
COMMAND_VARIABLES = frozenset({"GATEWAY_CONFIG", "GATEWAY_LOG_FORMAT", "GATEWAY_LOG_LEVEL"})

# Kubernetes sets these in every container for a service called "gateway"; they are no settings of ours.
SERVICE_LINK = re.compile(r"GATEWAY_(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


@dataclass(frozen=True, slots=True)
class Given:
    """One value somebody gave: where, and which folder its relative paths start from."""

    value: object
    where: str
    folder: Path
    literal: bool = False  # `${NAME}` is left alone outside the file


@dataclass(frozen=True, slots=True)
class Document:
    """The file, or what stands for it."""

    tables: Mapping[str, Any]
    where: str
    folder: Path
    mentioned: frozenset[str] = frozenset()  # variables its `${NAME}` ask for

    def given(self, table: Mapping[str, Any]) -> dict[str, Given]:
        return {key: Given(value, self.where, self.folder) for key, value in table.items()}


@dataclass(frozen=True, slots=True)
class Environment:
    """What `GATEWAY_*` variables say, by table."""

    gateway: Mapping[str, Given] = field(default_factory=dict)
    providers: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def read_file(path: Path) -> Document:
    """The file as TOML. Raises Unfit when it is not there, not readable or not TOML."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise Unfit("The file is larger than 1 MiB.", "too large")
        source = content.decode("utf-8-sig")
        tables = tomllib.loads(source)
    except OSError as fault:
        raise Unfit("Name the file with --config.", (fault.strerror or "unreadable").lower()) from None
    except UnicodeDecodeError:
        raise Unfit("Save the file as UTF-8.", "not UTF-8 text") from None
    except RecursionError:
        raise Unfit("Write it flatter.", "tables or lists nested too deeply") from None
    except ValueError as fault:  # TOMLDecodeError, and numbers Python will not read
        raise Unfit("Mend the TOML there; text belongs in quotes.", syntax(fault)) from None
    mentioned = frozenset(found[2] for found in PLACE.finditer(source) if found[2] and not found[1])
    return Document(tables, str(path), path.absolute().parent, mentioned)


def syntax(fault: ValueError) -> str:
    """What the TOML parser says, in one line. Its messages name places and characters, not values."""
    return " ".join(str(fault).split())[:200] if isinstance(fault, tomllib.TOMLDecodeError) else "an unreadable number"


def read_environment(environ: Mapping[str, str], mentioned: frozenset[str] = frozenset()) -> Environment:
    """Sort the `GATEWAY_*` variables. An empty one counts as not set; one the file mentions is the file's."""
    gateway: dict[str, Given] = {}
    providers: dict[str, dict[str, Given]] = {}
    faults: list[Fault] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in COMMAND_VARIABLES or SERVICE_LINK.fullmatch(name):
            continue
        given = Given(environ[name], f"environment variable {name}", Path(), literal=True)
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PROVIDERS_PREFIX) and (place := provider_key(name)):
            if given.value:
                providers.setdefault(place[0], {})[place[1]] = given
        elif key in GATEWAY and name.isupper():
            if given.value:
                gateway[key] = given
        elif name not in mentioned:
            faults.append(unknown_variable(name))
    return Environment(gateway, providers, tuple(faults))


def provider_key(name: str) -> tuple[str, str] | None:
    """`GATEWAY_PROVIDERS__MY_IDP__CLIENT_ID` is `client_id` of `my-idp`; None for a key there is none of."""
    provider, _, key = name.removeprefix(PROVIDERS_PREFIX).rpartition("__")
    if not provider or not name.isupper() or key.lower() not in PROVIDER:
        return None
    return provider.lower().replace("_", "-"), key.lower()


def unknown_variable(name: str) -> Fault:
    table, key, known = "gateway", name.removeprefix(PREFIX), [PREFIX + key.upper() for key in GATEWAY]
    if name.upper().startswith(PROVIDERS_PREFIX):
        provider, _, key = name[len(PROVIDERS_PREFIX) :].rpartition("__")
        table = "providers." + provider.lower().replace("_", "-") if provider else "providers"
        known = [f"{PROVIDERS_PREFIX}{provider or '<NAME>'}__{key.upper()}" for key in PROVIDER]
    near = suggest(name, known)
    return Fault(f"environment variable {name}", table, key.lower(), "unknown", f"No setting is called so.{near}")


def fill(value: object, environ: Mapping[str, str]) -> object:
    """The value with every `${NAME}` replaced; Unfit names each variable that is not set."""
    missing: list[Unfit] = []
    filled = fill_in(value, environ, missing)
    if missing:
        raise Unfit(missing[0].hint, missing[0].seen, missing[1:])
    return filled


def fill_in(value: object, environ: Mapping[str, str], missing: list[Unfit]) -> object:
    """One level of lists and tables: no key takes more, and its parser refuses what is nested deeper."""

    def fill_text(item: object) -> object:
        return PLACE.sub(replace, item) if isinstance(item, str) else item

    def replace(found: re.Match[str]) -> str:
        escaped, name, default = found.groups()
        if escaped:
            return found[0][1:]
        if name is None:
            missing.append(Unfit("Write ${NAME} or ${NAME:-default}; $${ stands for a plain ${.", "a broken ${...}"))
            return ""
        if default is None and name not in environ:
            missing.append(unset(name))
        return environ.get(name, "") or default or ""

    match value:
        case list() | tuple():
            return [fill_text(item) for item in value]
        case Mapping():
            return {key: fill_text(item) for key, item in value.items()}
        case _:
            return fill_text(value)


def unset(name: str) -> Unfit:
    hint = f"Set the environment variable {name}, or write ${{{name}:-}} if it may be missing."
    return Unfit(hint, f"${{{name}}}, which is not set")
