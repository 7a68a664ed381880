"""A simple model of accounts: whose each identity is, what its provider said of it last, and what is open."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from admitted import Linking
from town import Key, key_of

from gateway.identity import Identity
from gateway.sessions import Session


@dataclass
class Account:
    disabled: bool = False
    delete_at: int | None = None
    into: uuid.UUID | None = None


@dataclass
class Model:
    """Whose each identity is, and what its provider said last; nothing else opens an account."""

    linking: Linking
    owner: dict[Key, uuid.UUID] = field(default_factory=dict)
    told: dict[Key, Identity] = field(default_factory=dict)
    accounts: dict[uuid.UUID, Account] = field(default_factory=dict)
    sessions: dict[uuid.UUID, tuple[uuid.UUID, Key, int]] = field(default_factory=dict)  # living ones, until when
    questions: dict[str, set[uuid.UUID]] = field(default_factory=dict)  # open ones: whom they are about
    offers: dict[str, tuple[uuid.UUID, uuid.UUID]] = field(default_factory=dict)  # open ones: who absorbs whom
    merged: dict[uuid.UUID, tuple[uuid.UUID, set[Key], int]] = field(default_factory=dict)

    def keys(self, account: uuid.UUID) -> set[Key]:
        return {key for key, owner in self.owner.items() if owner == account}

    def usable(self, account: uuid.UUID) -> bool:
        state = self.accounts.get(account)
        return state is not None and not state.disabled and state.into is None

    def holders(self, who: Identity) -> set[uuid.UUID]:
        if not who.email or not who.email_verified:
            return set()
        same = {key for key, told in self.told.items() if told.email_verified and same_address(told, who)}
        return {self.owner[key] for key in same if self.usable(self.owner[key])}

    def barred(self, who: Identity) -> bool:
        """Whether a disabled account holds their address."""
        same = {key for key, told in self.told.items() if told.email_verified and same_address(told, who)}
        return bool(who.email and who.email_verified) and any(self.accounts[self.owner[key]].disabled for key in same)

    def has_authority(self, account: uuid.UUID, who: Identity) -> bool:
        mine = [self.told[key] for key in self.keys(account)]
        return any(told.email_authority and same_address(told, who) for told in mine)

    def verdict(self, who: Identity, *, ask: bool = True) -> str | uuid.UUID:
        """The account that somebody signs in to; or "refused", "asked", "created"."""
        known = self.owner.get(key_of(who))
        if known:
            return "refused" if self.accounts[known].disabled else known
        holders, alone = self.holders(who), "refused" if self.barred(who) else "created"
        if ask and holders and self.linking == "ask":
            return "asked"
        if ask and len(holders) == 1 and self.linking == "verified" and who.email_authority:
            (holder,) = holders
            return holder if self.has_authority(holder, who) else alone
        return alone

    def let_in(self, who: Identity, session: Session) -> None:
        self.put(who, session.account_id)
        self.sessions[session.id] = (session.account_id, key_of(who), session.expires_at)

    def put(self, who: Identity, account: uuid.UUID) -> None:
        self.owner[key_of(who)], self.told[key_of(who)] = account, who
        self.accounts.setdefault(account, Account()).delete_at = None

    def remove(self, key: Key) -> None:
        del self.owner[key], self.told[key]
        self.end(lambda _, through: through == key)
        for _, moved, _ in self.merged.values():
            moved.discard(key)  # linked again it is another one

    def end(self, which: Any) -> None:
        self.sessions = {id_: kept for id_, kept in self.sessions.items() if not which(kept[0], kept[1])}

    def erase(self, account: uuid.UUID) -> None:
        for each in [id_ for id_, state in self.accounts.items() if state.into == account]:
            self.erase(each)
        for key in self.keys(account):
            self.remove(key)
        del self.accounts[account]

    def root(self, account: uuid.UUID) -> uuid.UUID:
        """What the id means today; one that is gone means itself."""
        into = self.accounts[account].into if account in self.accounts else None
        return self.root(into) if into else account


def same_address(one: Identity, other: Identity) -> bool:
    return bool(one.email and other.email and one.email.lower() == other.email.lower())
