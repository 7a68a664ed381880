"""The decision what a verified identity may do. Pure.

    identity known? ── yes ──► account disabled? ── yes ──► Refuse(account_disabled)
          │                            └── no ───────────► SignIn
          no
          │   its verified address known at other accounts? (a disabled one: no new account)
          ├── yes, and account_linking = "ask" ──────────────────────────────────────► AskToJoin
          ├── yes, "verified", one account, an authority for the address on both sides ► Join
          │
          no ──► does `signup` admit it, or an invitation? ── no ──► Refuse(signup_closed, domain_not_allowed)
                                     └── yes ──► Create

An address alone never leads to an account. Unverified, it does not even lead to a question.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.errors import AccountDisabled, DomainNotAllowed, GatewayError, SignupClosed
from gateway.identity import Identity


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may have a new account, and what a new identity with a known address leads to."""

    signup: Literal["open", "closed", "domains"] = "open"
    domains: tuple[str, ...] = ()
    linking: Literal["ask", "verified", "never"] = "ask"


@dataclass(frozen=True, slots=True)
class Known:
    """The account that (issuer, subject) belongs to, and the identity's id."""

    account_id: uuid.UUID
    identity_id: uuid.UUID
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """An account at which the identity's address is verified; `authority`: by an authority for it."""

    account_id: uuid.UUID
    authority: bool
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class SignIn:
    account_id: uuid.UUID
    identity_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Create:
    pass


@dataclass(frozen=True, slots=True)
class Join:
    account_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class AskToJoin:
    """`may_separate`: an account of its own may be had instead."""

    account_ids: tuple[uuid.UUID, ...]
    may_separate: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    error: type[GatewayError]
    account_id: uuid.UUID | None = None


Verdict = SignIn | Create | Join | AskToJoin | Refuse


def decide(
    identity: Identity, known: Known | None, holders: Sequence[Holder], policy: Policy, *, invited: bool = False
) -> Verdict:
    """What this identity may do. `holders`: of its address; they count only when that is verified here, too.

    A disabled holder is nobody to be joined, and keeps its person from having another account, invited or not.
    """
    if known is not None:
        if known.disabled:
            return Refuse(AccountDisabled, known.account_id)
        return SignIn(known.account_id, known.identity_id)
    counted = holders if identity.email_verified else ()
    living = [holder for holder in counted if not holder.disabled]
    refusal = refuse_disabled(counted) or (None if invited else refuse_sign_up(identity, policy))
    if living and policy.linking == "ask":
        return AskToJoin(tuple(holder.account_id for holder in living), may_separate=refusal is None)
    if policy.linking == "verified" and identity.email_authority and len(living) == 1 and living[0].authority:
        return Join(living[0].account_id)
    return refusal or Create()


def refuse_disabled(holders: Sequence[Holder]) -> Refuse | None:
    disabled = next((holder for holder in holders if holder.disabled), None)
    return Refuse(AccountDisabled, disabled.account_id) if disabled else None


def refuse_sign_up(identity: Identity, policy: Policy) -> Refuse | None:
    match policy.signup:
        case "open":
            return None
        case "closed":
            return Refuse(SignupClosed)
        case "domains":
            return None if in_domains(identity, policy.domains) else Refuse(DomainNotAllowed)


def in_domains(identity: Identity, domains: Sequence[str]) -> bool:
    """Whether a verified address of the identity lies in one of these domains (exactly, not below)."""
    if not identity.email or not identity.email_verified:
        return False
    return identity.email.rpartition("@")[2].lower() in {domain.lower() for domain in domains}
