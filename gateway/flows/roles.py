"""Roles: what the rules of the configuration make of a session's facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.settings import RoleRule


def roles_for(provider: str, facts: Mapping[str, Any], rules: Iterable[RoleRule]) -> tuple[str, ...]:
    """Every role whose rule holds or that an operator granted, sorted. `facts`: as kept with the session."""
    granted = facts.get("granted", ())  # sessions older than grants have none
    return tuple(sorted({rule.role for rule in rules if holds(rule, provider, facts)} | set(granted)))


def holds(rule: RoleRule, provider: str, facts: Mapping[str, Any]) -> bool:
    """Whether everything the rule names is given. A rule that names nothing never holds."""
    emails = {address.lower() for address in facts["verified"]}
    domains = {address.rpartition("@")[2] for address in emails}
    conditions = [
        (rule.emails, not emails.isdisjoint(entry.lower() for entry in rule.emails)),
        (rule.domains, not domains.isdisjoint(entry.lower() for entry in rule.domains)),
        (rule.groups, not set(rule.groups).isdisjoint(facts["groups"])),
        (rule.provider_roles, not set(rule.provider_roles).isdisjoint(facts["provider_roles"])),
        (rule.provider, provider == rule.provider),
    ]
    named = [met for given, met in conditions if given]
    return bool(named) and all(named)
