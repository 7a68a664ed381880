"""A providers.toml read as the gateway reads it, and what it has against it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError, Fault
from gateway.settings import Settings, load

CORP = """
[providers.corp]
discovery_url = "https://id.example.com/.well-known/openid-configuration"
client_id = "abc"
client_secret = "s3cret"
"""


def read(folder: Path, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> Settings:
    path = folder / "providers.toml"
    path.write_text(text)
    return load(path, {"GATEWAY_DATABASE_URL": "sqlite://"} | dict(environ or {}), flags)


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> list[Fault]:
    with pytest.raises(ConfigurationError) as refused:
        read(folder, text, environ, **flags)
    return list(refused.value.faults)


def fault(folder: Path, text: str, environ: Mapping[str, str] | None = None, **flags: object) -> Fault:
    found = faults(folder, text, environ, **flags)
    assert len(found) == 1, found
    return found[0]
