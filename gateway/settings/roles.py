"""The tables `[[roles]]`: which role follows from what a provider says of a person."""

from __future__ import annotations

from collections.abc import Collection

from .model import RoleRule
from .parse import describe, suggest
from .tables import Table

CONDITIONS = ("emails", "domains", "groups", "provider", "provider_roles")


def make_rule(table: Table, providers: Collection[str]) -> RoleRule | None:
    """The rule; None when it has a fault."""
    values = table.values
    if "role" not in table.given:
        table.fault("role", "missing", 'Name the role that follows: role = "admin".')
    if not any(condition in table.given for condition in CONDITIONS):
        table.fault("role", "no condition", f"Say who gets it, by any of {', '.join(CONDITIONS)}.")
    for key in CONDITIONS:
        # An empty list would hold for nobody, or be read as no condition at all: neither can be meant.
        if table.sound(key) and key in values and not values[key]:
            table.fault(key, "empty", "Name at least one, or leave the key out.")
    provider = values.get("provider")
    if provider is not None and provider not in providers:
        table.fault(
            "provider",
            describe(provider),
            f"There is no [providers.{provider}].{suggest(provider, providers)}",
        )
    return None if table.faults else RoleRule(**values)
