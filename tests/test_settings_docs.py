"""docs/configuration.md names every key there is, and no other, with the default it has."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import RESERVED_NAMES, ProviderSettings, RoleRule, Settings
from gateway.settings.general import DEFAULT_DATABASE
from gateway.settings.keys import GATEWAY, PROVIDER, ROLE, Key
from gateway.settings.presets import presets

PAGE = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()
TABLES: dict[str, tuple[dict[str, Key], type]] = {
    "[gateway]": (GATEWAY, Settings),
    "[providers.<name>]": (PROVIDER, ProviderSettings),
    "[[roles]]": (ROLE, RoleRule),
}
IN_WORDS = {"required", "none", "the name, or the preset's", "the preset's", "by `discovery_url`", "by discovery"}
IN_WORDS |= {"by the key", "the `public_url`", "made once, beside the SQLite file", "`http://localhost:<port>`"}


def documented(title: str) -> dict[str, str]:
    """Keys and defaults of the first table under a heading."""
    section = PAGE.partition(f"\n## `{title}`\n")[2].partition("\n## ")[0]
    table = section.partition("| key | default | meaning |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", table, re.MULTILINE))


def default_of(model: type, key: str) -> Any:
    field = next(field for field in dataclasses.fields(model) if field.name == key)
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def in_file(shown: str) -> Any:
    """A default as it would stand in the file."""
    plain = shown.strip("`")
    if plain == "{}":
        return {}
    return json.loads(plain) if plain.startswith("[") else plain


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_documented_and_no_other(title: str) -> None:
    assert set(documented(title)) == set(TABLES[title][0])


DEFAULTS = [(title, key) for title in TABLES for key, shown in documented(title).items() if shown not in IN_WORDS]


@pytest.mark.parametrize(("title", "key"), DEFAULTS)
def test_the_documented_default_is_the_default(title: str, key: str) -> None:
    keys, model = TABLES[title]
    parsed = keys[key].parse(in_file(documented(title)[key])) if documented(title)[key] != "`[]`" else ()
    assert parsed == {**PRESET_DEFAULTS, "database_url": DEFAULT_DATABASE}.get(key, default_of(model, key))


@pytest.mark.parametrize("title", TABLES)
def test_what_has_no_default_is_none_in_the_model(title: str) -> None:
    keys, model = TABLES[title]
    nothing = [key for key, shown in documented(title).items() if shown == "none" and key in keys]
    assert {default_of(model, key) for key in nothing if key != "client_secret_file"} <= {None}


PRESET_DEFAULTS = {key: presets()["microsoft"].fills[key] for key in ("tenant", "authority")}


@pytest.mark.parametrize("title", TABLES)
def test_every_key_has_its_place_in_the_model(title: str) -> None:
    keys, model = TABLES[title]
    assert set(keys) - {field.name for field in dataclasses.fields(model)} <= {"client_secret_file"}


def test_every_preset_is_documented() -> None:
    section = PAGE.partition("### Presets")[2].partition("\n## ")[0]
    assert set(re.findall(r"^`([a-z]+)` needs", section, re.MULTILINE)) == set(presets())


@pytest.mark.parametrize("name", ["login", "account", "token"])
def test_the_reserved_words_named_are_reserved(name: str) -> None:
    assert name in RESERVED_NAMES
