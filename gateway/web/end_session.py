"""Sign-out begun by an application (OpenID Connect RP-Initiated Logout 1.0).

A valid `id_token_hint` of this very browser session ends it at once; otherwise the person is asked. Nobody is sent to
an address that is not one of the application's.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway import sessions
from gateway.errors import CrossSite, RedirectNotAllowed, RequestFault
from gateway.tokens.id_token import Hint

from . import fields
from .authorize import present_person
from .callers import same_site
from .origins import origin_of
from .pages import ConfirmSignOutView
from .parts import Parts, parts_of
from .token import with_cookies

CARRIED = ("client_id", "id_token_hint", "post_logout_redirect_uri", "state")


@dataclass(frozen=True, slots=True)
class Farewell:
    """What an application asked for: where to go afterwards, and what it proves by its hint."""

    target: str
    hint: Hint | None


async def end_session(request: Request) -> Response:
    """GET and POST /auth/end-session."""
    parts, scope = parts_of(request.scope), request.scope
    asked = await read(request)
    farewell = understand(parts, asked)
    person, cookies = await present_person(parts, scope)
    if person is None:
        onward = as_get(parts, asked) if request.method == "POST" else farewell.target
        return with_cookies(RedirectResponse(onward, 303), cookies)
    session_id = uuid.UUID(person.session_id)
    if await proven(parts, session_id, farewell.hint) or confirmed(parts, scope, asked):
        await parts.sign_out.sign_out(session_id, False, origin_of(parts, scope), parts.now())
        return with_cookies(RedirectResponse(farewell.target, 303), parts.cookies.clear_session())
    view = ConfirmSignOutView(
        back_href=f"{parts.base}/auth/account", action=f"{parts.base}/auth/end-session", carried=carried(asked)
    )
    return with_cookies(HTMLResponse(parts.pages.confirm_sign_out(view)), cookies)


def carried(asked: fields.Fields) -> tuple[tuple[str, str], ...]:
    return tuple((name, asked.values[name]) for name in CARRIED if asked.get(name))


def as_get(parts: Parts, asked: fields.Fields) -> str:
    """Where the same is asked for by GET: a browser that posts another site's form leaves Lax cookies behind, and only
    the navigation that follows shows whether somebody is signed in."""
    return f"{parts.base}/auth/end-session?{urlencode(carried(asked))}"


async def read(request: Request) -> fields.Fields:
    if request.method == "GET":
        return fields.query(request.scope)
    return fields.form(request.scope["headers"], await fields.read_body(request.receive, fields.LIMIT))


def understand(parts: Parts, asked: fields.Fields) -> Farewell:
    """RequestFault for a hint that is not ours or names another app; RedirectNotAllowed.

    A hint whose key is gone since proves nothing. Where the application says its `client_id` besides, the person can
    still be asked.
    """
    token, client_id = asked.get("id_token_hint"), asked.get("client_id")
    hint = parts.id_tokens.read_hint(token) if token else None
    if token and hint is None and not client_id:
        raise RequestFault("the id_token_hint is none of ours")
    if hint and client_id and client_id != hint.client_id:
        raise RequestFault("client_id and id_token_hint name two apps")
    app = parts.settings.apps.get(hint.client_id if hint else client_id or "")
    target = asked.get("post_logout_redirect_uri")
    if not target:
        return Farewell(f"{parts.base}/auth/signed-out", hint)
    if app is None or target not in app.post_logout_redirect_uris:
        raise RedirectNotAllowed("not a post_logout_redirect_uri of the app")
    state = asked.get("state")
    query = f"{'&' if '?' in target else '?'}{urlencode({'state': state})}" if state else ""
    return Farewell(target + query, hint)


async def proven(parts: Parts, session_id: uuid.UUID, hint: Hint | None) -> bool:
    """Whether the hint came with a grant of this very browser session, though the application may have revoked it."""
    if hint is None:
        return False
    async with parts.database.read() as connection:
        grants = await sessions.grants_of(connection, session_id)
    return any((each.client_id, each.facts.get("sid")) == (hint.client_id, hint.sid) for each in grants)


def confirmed(parts: Parts, scope: Scope, asked: fields.Fields) -> bool:
    """Whether this is the form of our own page."""
    if scope["method"] != "POST" or asked.get("confirm") != "yes":
        return False
    try:
        same_site(parts, scope)
    except CrossSite:
        return False
    return True


routes = [Route("/auth/end-session", end_session, methods=["GET", "POST"])]
