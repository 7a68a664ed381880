"""What owners do with their account over HTTP: the page, the profile, the export, the deletion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway import events
from gateway.accounts import Account, LinkedIdentity
from gateway.errors import InvalidToken, NotSignedIn
from gateway.flows import own

from . import fields
from .account import own_sessions, profile
from .callers import Caller, identify_for_change, identify_owner, identify_recent, is_recent
from .linking import confirm_href
from .origins import origin_of
from .pages import AccountView, PictureChoice, ProviderButton
from .parts import Parts, parts_of
from .rows import activity_row, back_to_page, identity_row, label_of, session_row
from .token import with_cookies

SHOWN = 20  # events on the page
NO_PICTURE = "none"  # as the form says it


async def account_page(request: Request) -> Response:
    """GET /auth/account; somebody who is not signed in goes to the sign-in page and comes back."""
    parts = parts_of(request.scope)
    try:
        caller = identify_owner(parts, request.scope)
        account, identities = await profile(parts, caller)
    except (NotSignedIn, InvalidToken):
        query = urlencode({"redirect_to": f"{parts.base}/auth/account"})
        return RedirectResponse(f"{parts.base}/auth/login?{query}", 302)
    return HTMLResponse(parts.pages.account(await view_of(parts, caller, account, identities)))


async def view_of(
    parts: Parts, caller: Caller, account: Account, identities: tuple[LinkedIdentity, ...]
) -> AccountView:
    async with parts.database.read() as connection:
        recent = await events.of_account(connection, account.id, SHOWN)
    verified = {identity.email: None for identity in identities if identity.email and identity.email_verified}
    return AccountView(
        name=account.name,
        email=account.email,
        verified=account.email_verified,
        member_since=account.created_at,
        identities=tuple(identity_row(parts, each, removable=len(identities) > 1) for each in identities),
        sessions=tuple(session_row(parts, each, caller) for each in await own_sessions(parts, caller)),
        now=parts.now(),
        activity=tuple(activity_row(parts, event) for event in recent),
        links=tuple(link_button(parts, provider.name) for provider in parts.providers),
        addresses=tuple(verified),
        pictures=pictures_of(parts, account, identities),
        roles=caller.claims.roles,
        recent=is_recent(parts, caller),
        confirm_href=confirm_href(parts, caller),
    )


def pictures_of(parts: Parts, account: Account, identities: tuple[LinkedIdentity, ...]) -> tuple[PictureChoice, ...]:
    """Each picture once, and none; nothing where there is nothing to choose."""
    found = {each.picture: label_of(parts, each.provider) for each in reversed(identities) if each.picture}
    if not found and account.picture is None:
        return ()
    none = PictureChoice("No picture", NO_PICTURE, account.picture is None)
    return (*(PictureChoice(label, url, url == account.picture) for url, label in reversed(found.items())), none)


def link_button(parts: Parts, name: str) -> ProviderButton:
    provider = parts.settings.providers[name]
    return ProviderButton(name, provider.label, f"{parts.base}/auth/{name}/link", provider.preset)


async def change_profile(request: Request) -> Response:
    """PATCH /auth/me: `name`, `email` out of the verified ones, `picture` out of those of the identities; 204."""
    parts = parts_of(request.scope)
    caller = identify_for_change(parts, request.scope)
    body = await fields.read_body(request.receive, fields.LIMIT)
    await change(parts, request, caller, fields.json_object(request.scope["headers"], body))
    return Response(status_code=204)


async def change_profile_form(request: Request) -> Response:
    """POST /auth/me/profile, from the page."""
    parts = parts_of(request.scope)
    caller = identify_for_change(parts, request.scope)
    asked = fields.form(request.scope["headers"], await fields.read_body(request.receive, fields.LIMIT))
    wanted: dict[str, Any] = {name: value for name in ("name", "email", "picture") if (value := asked.get(name))}
    if wanted.get("picture") == NO_PICTURE:
        wanted["picture"] = None
    await change(parts, request, caller, wanted)
    return back_to_page(parts)


async def change(parts: Parts, request: Request, caller: Caller, wanted: Mapping[str, Any]) -> None:
    origin = origin_of(parts, request.scope, caller.session_id)
    await own.change_profile(parts.database, caller.account_id, wanted, origin, parts.now())


async def export(request: Request) -> Response:
    """GET /auth/me/export: everything we hold, as one file."""
    parts = parts_of(request.scope)
    caller = identify_owner(parts, request.scope)
    idle_ttl = parts.settings.refresh_token_idle_ttl
    held = await own.export(parts.database, caller.account_id, parts.now(), idle_ttl=idle_ttl)
    attachment = {"Content-Disposition": 'attachment; filename="account.json"'}
    return Response(json.dumps(held, indent=2), media_type="application/json", headers=attachment)


async def delete(request: Request) -> Response:
    """DELETE /auth/me: 202; in seven days the account is gone, unless its owner signs in again."""
    parts = parts_of(request.scope)
    await ask_for_deletion(request)
    body = {"delete_at": parts.now() + own.GRACE}
    return with_cookies(JSONResponse(body, 202), parts.cookies.clear_session())


async def delete_form(request: Request) -> Response:
    """POST /auth/me/delete, from the page."""
    parts = parts_of(request.scope)
    await ask_for_deletion(request)
    response = RedirectResponse(f"{parts.base}/auth/signed-out", 303)
    return with_cookies(response, parts.cookies.clear_session())


async def ask_for_deletion(request: Request) -> None:
    parts = parts_of(request.scope)
    caller = identify_recent(parts, request.scope)
    origin = origin_of(parts, request.scope, caller.session_id)
    parts.ended.add(await own.ask_for_deletion(parts.database, caller.account_id, origin, parts.now()))


routes = [
    Route("/auth/account", account_page),
    Route("/auth/me", change_profile, methods=["PATCH"]),
    Route("/auth/me", delete, methods=["DELETE"]),
    Route("/auth/me/profile", change_profile_form, methods=["POST"]),
    Route("/auth/me/export", export),
    Route("/auth/me/delete", delete_form, methods=["POST"]),
]
