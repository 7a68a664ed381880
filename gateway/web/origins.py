"""Where a request came from, in the form that sessions and events record."""

from __future__ import annotations

import uuid

from starlette.types import Scope

from gateway.events import Origin
from gateway.logs import request_id

from .addresses import client_ip
from .parts import Parts

LONGEST_AGENT = 256  # characters of a User-Agent that are kept


def origin_of(parts: Parts, scope: Scope, session_id: uuid.UUID | None = None) -> Origin:
    """`session_id`: of the caller, where they are signed in."""
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    said = agent.decode("latin-1")
    printable = said if said.isprintable() else "".join(char if char.isprintable() else "?" for char in said)
    return Origin(
        client_ip(scope, parts.settings.trusted_proxies), printable[:LONGEST_AGENT], request_id.get(), session_id
    )
