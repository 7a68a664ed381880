"""Who a verified token speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

EMPTY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person, or an application that acts for itself (`is_app`). One is shared by all requests with its token, so
    nothing in it can be changed. Recognise somebody by (`issuer`, `subject`), never by an address."""

    subject: str
    issuer: str
    scopes: frozenset[str] = EMPTY  # what a person let a client do; of the gateway's services, what they may do
    roles: frozenset[str] = EMPTY
    groups: frozenset[str] = EMPTY
    is_app: bool = False
    client_id: str | None = None  # who asked for the token
    session_id: str | None = None
    auth_time: int | None = None  # epoch seconds of the sign-in
    expires_at: int  # epoch seconds
    claims: Mapping[str, Any] = field(repr=False)  # all of them, as the token has them


def frozen(value: Any) -> Any:
    """JSON that nobody can change: objects become read-only mappings, arrays become tuples."""
    if isinstance(value, dict):
        members = {
            name: frozen(member) if isinstance(member, dict | list) else member for name, member in value.items()
        }
        return MappingProxyType(members)
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def thawed(value: Any) -> Any:
    """A copy of frozen JSON that is one's own, and that `json` can write."""
    if isinstance(value, Mapping):
        return {name: thawed(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return [thawed(member) for member in value]
    return value
