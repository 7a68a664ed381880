"""Microsoft's tenants and the kinds of account in them: work, personal, guest."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.testing.calls import Refused
from gateway.testing.people import Person

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of every personal account
EXAMPLE = "5c6f2a10-4d1e-4b7f-9a55-0e2f6f1d2a01"
CONTOSO = "7e1b9d44-2f6a-4c0b-8d38-91b7c5a4e602"
TENANTS: Mapping[str, str] = {"example.com": EXAMPLE, "contoso.example": CONTOSO}
MANY = ("common", "organizations", "consumers")


def work_account(
    name: str,
    email: str,
    *,
    tenant: str = EXAMPLE,
    edov: Any = None,
    groups: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
    note: str = "",
    seed: str = "",
) -> Person:
    """`edov` is `xms_edov` as the token spells it. `seed` stands for the e-mail where the person outlives that."""
    object_id = str(uuid.uuid5(uuid.UUID(tenant), seed or email))
    return Person(
        subject=object_id,
        object_id=object_id,
        name=name,
        email=email,
        email_verified=edov in (True, 1, "1", "true"),
        tenant=tenant,
        edov=edov,
        groups=groups,
        roles=roles,
        note=note,
    )


def personal_account(name: str, email: str, *, edov: Any = "1", note: str = "Personal account") -> Person:
    object_id = f"00000000-0000-0000-{uuid.uuid5(uuid.UUID(CONSUMERS), email).hex[:16]}"
    object_id = f"{object_id[:23]}-{object_id[23:]}"
    return Person(
        subject=object_id,
        object_id=object_id,
        name=name,
        email=email,
        email_verified=edov in (True, 1, "1", "true"),
        tenant=CONSUMERS,
        edov=edov,
        note=note,
    )


def guest(person: Person, tenant: str) -> Person:
    """The same human as a guest of another tenant, and there another account."""
    account = work_account(person.name, person.email or "", tenant=tenant, edov=person.edov, seed=person.subject)
    return replace(account, home_tenant=person.tenant, note="Guest")


def default_people() -> list[Person]:
    return [
        work_account("Ada Lovelace", "ada@example.com", edov=True, note="Work account at example.com"),
        work_account(
            "Katherine Johnson", "katherine@contoso.example", tenant=CONTOSO, note="Work account, address not verified"
        ),
        personal_account("Margaret Hamilton", "margaret@example.net"),
    ]


def invent(name: str, email: str, verified: bool, authority: str, tenants: Mapping[str, str]) -> Person:
    """Where only personal accounts can sign in, one of those; else a work account of the tenant asked."""
    seed, edov = f"{email} {name}", True if verified else None
    if authority == "consumers":
        return personal_account(name, email, edov="1" if verified else None, note="Invented here")
    tenant = EXAMPLE if authority in MANY else tenant_id(authority, tenants)
    return work_account(name, email, tenant=tenant, edov=edov, note="Invented here", seed=seed)


def tenant_id(authority: str, tenants: Mapping[str, str]) -> str:
    """The id behind a domain or an id in a path; the words for many tenants stay. Refused when unknown."""
    lowered = authority.lower()
    if lowered in MANY or lowered in tenants.values() or lowered == CONSUMERS:
        return lowered
    if lowered not in tenants:
        raise Refused("invalid_tenant", "the tenant is unknown")
    return tenants[lowered]


def has_home_in(person: Person, authority: str, tenants: Mapping[str, str]) -> bool:
    """Whether this account may sign in at that authority."""
    tenant = tenant_id(authority, tenants)
    personal = person.tenant == CONSUMERS
    return {"common": True, "organizations": not personal, "consumers": personal}.get(tenant, person.tenant == tenant)
