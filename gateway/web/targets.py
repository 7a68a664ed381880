"""Which API the tokens of an application are for: one, by its settings. It may name that one, and no other."""

from __future__ import annotations

from gateway.errors import InvalidTarget
from gateway.settings import AppSettings

from .fields import Fields
from .parts import Parts


def check_target(parts: Parts, app: AppSettings, asked: Fields) -> None:
    """InvalidTarget where `resource` (RFC 8707) or `audience` (RFC 8693) names another API than the application's:
    else it would get a token that is not for the one it meant. RequestFault where one comes several times."""
    own = app.audience or parts.settings.audience
    if any(asked.get(name) not in (None, "", own) for name in ("audience", "resource")):
        raise InvalidTarget("another API than the application's")
