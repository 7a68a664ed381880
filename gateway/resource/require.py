"""What a call needs: scopes, roles, groups, a recent sign-in; the decision is one pure function.

`scope`, `role`, `group` and `max_age` are about people. `app_role` is about applications that act for themselves, so
that neither passes for the other; where both may call, say so with `any_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InsufficientAuthentication, InsufficientScope, Refused, quoted
from .principal import Principal

Names = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Requirement:
    """Everything named must be there; of `any_of` one must hold, too. Nothing named: any valid token will do."""

    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    app_roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    max_age: int | None = None  # seconds
    any_of: tuple[Requirement, ...] = ()

    @property
    def named_scopes(self) -> tuple[str, ...]:
        """Every scope that is mentioned, for descriptions of an API."""
        inner = (scope for one in self.any_of for scope in one.named_scopes)
        return tuple(dict.fromkeys((*self.scopes, *inner)))


def requirement(
    *,
    scope: Names = (),
    role: Names = (),
    app_role: Names = (),
    group: Names = (),
    max_age: int | None = None,
    any_of: Sequence[Requirement | Mapping[str, Any]] = (),
) -> Requirement:
    """`scope` may hold several, delimited by spaces. Several of anything are all needed. Raises ValueError for what is
    there but empty, and where a person and an application are asked for at once: nobody is both.
    """
    wanted = Requirement(
        tuple(word for one in named(scope, "scope") for word in named(one.split(), "scope")),
        named(role, "role"),
        named(app_role, "app_role"),
        named(group, "group"),
        max_age,
        tuple(one if isinstance(one, Requirement) else requirement(**one) for one in any_of),
    )
    if max_age is not None and max_age < 0:
        raise ValueError("max_age is a number of seconds")
    if wanted.app_roles and (wanted.scopes or wanted.roles or wanted.groups or max_age is not None):
        raise ValueError("app_role is for applications, the others are for people: put them into any_of")
    return wanted


def named(value: Names, what: str) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(value)
    if not all(found or (value == (),)):
        raise ValueError(f"{what} must not be empty")
    return found


def check(principal: Principal, wanted: Requirement, now: float) -> None:
    """Raises InsufficientScope or InsufficientAuthentication."""
    refused = lacking(principal, wanted, now)
    if refused is not None:
        raise refused


def lacking(principal: Principal, wanted: Requirement, now: float) -> Refused | None:
    if wanted.app_roles:
        refused = lacking_as_app(principal, wanted)
    elif wanted.scopes or wanted.roles or wanted.groups or wanted.max_age is not None:
        refused = lacking_as_person(principal, wanted, now)
    else:
        refused = None
    if refused is not None or not wanted.any_of:
        return refused
    each = [lacking(principal, one, now) for one in wanted.any_of]
    if None in each:
        return None
    # A newer sign-in is the easiest to come by; else what is named first.
    return next((one for one in each if isinstance(one, InsufficientAuthentication)), each[0])


def lacking_as_app(principal: Principal, wanted: Requirement) -> Refused | None:
    """What an application may do is in its roles (Microsoft), or in its scope (the gateway's services)."""
    if not principal.is_app:
        return InsufficientScope(f"a person's token; app_role {', '.join(wanted.app_roles)} is for applications")
    missing = [one for one in wanted.app_roles if one not in principal.roles and one not in principal.scopes]
    if missing:
        held = principal.roles | principal.scopes
        return InsufficientScope(f"the application lacks app_role {', '.join(missing)}; it has {listed(held)}")
    return None


def lacking_as_person(principal: Principal, wanted: Requirement, now: float) -> Refused | None:
    if principal.is_app:
        return InsufficientScope("an application's token, where a person's is needed; app_role is for applications")
    if not principal.scopes.issuperset(wanted.scopes):
        missing = ", ".join(one for one in wanted.scopes if one not in principal.scopes)
        why = f"the token lacks scope {missing}; it has {listed(principal.scopes)}"
        return InsufficientScope(why, wanted.scopes)
    if not principal.roles.issuperset(wanted.roles):
        return lacking_name("role", wanted.roles, principal.roles)
    if not principal.groups.issuperset(wanted.groups):
        return lacking_name("group", wanted.groups, principal.groups)
    return None if wanted.max_age is None else too_old(principal, wanted.max_age, now)


def lacking_name(what: str, needed: Sequence[str], held: frozenset[str]) -> Refused:
    missing = ", ".join(one for one in needed if one not in held)
    return InsufficientScope(f"the person lacks {what} {missing}; the token has {listed(held)}")


def too_old(principal: Principal, max_age: int, now: float) -> Refused | None:
    """Without `auth_time` nobody knows when somebody signed in, and then it was too long ago."""
    if principal.auth_time is None:
        return InsufficientAuthentication("the token does not say when the person signed in (auth_time)", max_age)
    if now - principal.auth_time > max_age:
        ago = int(now - principal.auth_time)
        return InsufficientAuthentication(f"the person signed in {ago} seconds ago, at most {max_age} will do", max_age)
    return None


def listed(held: frozenset[str]) -> str:
    return ", ".join(map(quoted, sorted(held)[:10])) or "none"
