"""The people who live at a stand-in: what it knows about each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One account at a stand-in. `subject` is what a button on the page and a cookie name it by."""

    subject: str
    name: str
    email: str | None = None
    email_verified: bool = False
    note: str = ""  # said beside the name on the page
    hosted_domain: str | None = None  # Google Workspace
    tenant: str | None = None  # Microsoft: id of the directory that answers for this account
    home_tenant: str | None = None  # Microsoft: set for a guest, whose home is another directory
    object_id: str | None = None  # Microsoft
    edov: Any = None  # Microsoft: `xms_edov` as it is spelled in the token; None leaves it out
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)  # laid over the claims in the end

    @property
    def given_name(self) -> str:
        return self.name.split(" ", 1)[0]

    @property
    def family_name(self) -> str:
        return self.name.rpartition(" ")[2]


def digits(seed: str, length: int) -> str:
    """Decimal digits that are always the same for the same seed."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest())
    return str(number)[:length]


def find(people: list[Person], subject: str | None) -> Person | None:
    return next((person for person in people if person.subject == subject), None)


def hinted(people: list[Person], login_hint: str | None) -> Person | None:
    """Whom a `login_hint` means: by e-mail address, whatever its case, or by subject."""
    hint = (login_hint or "").casefold()
    return next((p for p in people if hint and hint in (p.subject, (p.email or "").casefold())), None)
