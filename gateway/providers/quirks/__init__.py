"""What a provider does otherwise than OpenID Connect says: a module per quirk, each with `QUIRK`."""

from __future__ import annotations

import re
from importlib import import_module

from gateway.providers.openid import OpenID
from gateway.settings import ProviderSettings

NAME = re.compile(r"[a-z][a-z0-9_]*")


def load_rules(settings: ProviderSettings) -> OpenID:
    """The rules for a provider: OpenID's own, or its quirk's. ValueError for a quirk there is none of."""
    if settings.quirk is None:
        return OpenID(settings)
    if not NAME.fullmatch(settings.quirk):
        raise ValueError(f"{settings.quirk!r} is not the name of a quirk")
    try:
        module = import_module(f".{settings.quirk}", __name__)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no quirk {settings.quirk!r}") from error
    rules: OpenID = module.QUIRK(settings)
    return rules
