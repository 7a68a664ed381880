"""Rows of the pages: what the database keeps, as people read it."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from gateway.accounts import LinkedIdentity
from gateway.events import Recorded
from gateway.sessions import Session

from .callers import Caller
from .pages import ActivityRow, IdentityRow, SessionRow
from .parts import Parts

WORDS = {
    "account_created": "Account created with {provider}",
    "identity_linked": "{provider} linked",
    "identity_unlinked": "{provider} unlinked",
    "signed_in": "Signed in with {provider}",
    "sign_in_refused": "A sign-in with {provider} was refused",
    "session_ended": "A session was ended",
    "sessions_ended": "Other sessions were ended",
    "signed_out": "Signed out",
    "refresh_reuse": "A session was ended because its key was used twice",
    "refresh_fast_forward": "A session went on after a restored backup",
    "logout_undelivered": "An application could not be told that a session ended",
    "join_offered": "Somebody with your address signed in with {provider}",
    "account_merged": "Another account was merged with this one",
    "account_unmerged": "A merge was taken back",
    "deletion_requested": "Deletion of the account was asked for",
    "deletion_cancelled": "Deletion of the account was taken back",
    "profile_changed": "Name, address or picture was changed",
    "role_granted": "An operator granted a role",
    "role_withdrawn": "An operator withdrew a role",
    "invitation_used": "An invitation was used",
    "account_disabled": "An operator disabled the account",
    "account_enabled": "An operator enabled the account",
}


def identity_row(parts: Parts, identity: LinkedIdentity, *, removable: bool) -> IdentityRow:
    return IdentityRow(
        id=str(identity.id),
        label=label_of(parts, identity.provider),
        email=identity.email,
        verified=identity.email_verified,
        linked_at=identity.linked_at,
        last_used_at=identity.last_used_at,
        brand=brand_of(parts, identity.provider),
        removable=removable,
    )


def session_row(parts: Parts, session: Session, caller: Caller) -> SessionRow:
    return SessionRow(
        id=str(session.id),
        current=session.id == caller.session_id,
        user_agent=session.user_agent,
        ip=session.ip,
        label=label_of(parts, session.provider),
        created_at=session.created_at,
        last_used_at=session.last_used_at,
    )


def activity_row(parts: Parts, event: Recorded) -> ActivityRow:
    words = WORDS.get(event.name, event.name.replace("_", " ").capitalize())
    provider = label_of(parts, event.provider) if event.provider else "another way"
    return ActivityRow(words.format(provider=provider), event.at, event.user_agent or "", event.ip or "")


def label_of(parts: Parts, provider: str) -> str:
    """What people call the provider; one that is no longer configured keeps its name."""
    configured = parts.settings.providers.get(provider)
    return configured.label if configured else provider


def brand_of(parts: Parts, provider: str) -> str | None:
    configured = parts.settings.providers.get(provider)
    return configured.preset if configured else None


def back_to_page(parts: Parts) -> Response:
    return RedirectResponse(f"{parts.base}/auth/account", 303)
