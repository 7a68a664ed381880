"""Linking over HTTP: to link, unlink, join a known account, merge two; each for JSON and for the pages' forms."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import AttemptExpired, NotFound
from gateway.flows import join as joining
from gateway.flows import merge as merging
from gateway.flows.link import unlink as unlink_identity

from . import fields
from .callers import Caller, cookies_of, identify_owner, identify_recent, is_recent, same_site
from .origins import origin_of
from .pages import AccountCard, JoinView, KnownIdentity, MergeView
from .parts import Parts, parts_of
from .problems import wants_page
from .resume import on_the_way
from .rows import back_to_page, brand_of, identity_row, label_of
from .sign_in import present_session, set_out, welcome
from .token import with_cookies

MERGE = "/auth/merge"


async def link(request: Request) -> Response:
    """POST /auth/<provider>/link: 303, or JSON `{"location"}`, to the provider."""
    parts, scope = parts_of(request.scope), request.scope
    provider = parts.providers.get(request.path_params["provider"])
    caller = identify_recent(parts, scope)
    target = f"{parts.base}/auth/account"
    attempt = parts.attempts.start(provider.name, target, parts.now(), session=str(caller.session_id), purpose="link")
    location, cookies = await set_out(parts, scope, provider, attempt, prompt="select_account")
    answer = RedirectResponse(location, 303) if wants_page(scope) else JSONResponse({"location": location})
    return with_cookies(answer, cookies)


async def unlink(request: Request) -> Response:
    """DELETE /auth/identities/<id>: 204."""
    return Response(status_code=204, background=await remove(request))


async def unlink_form(request: Request) -> Response:
    """POST /auth/identities/<id>/unlink, from the page. Who came through that identity is signed out by it."""
    response = back_to_page(parts_of(request.scope))
    response.background = await remove(request)
    return response


async def remove(request: Request) -> BackgroundTask:
    """What remains to be done after the answer: the provider is asked to revoke its tokens."""
    parts = parts_of(request.scope)
    caller = identify_recent(parts, request.scope)
    try:
        identity_id = uuid.UUID(request.path_params["id"])
    except ValueError as error:
        raise NotFound("not an identity's id") from error
    origin = origin_of(parts, request.scope, caller.session_id)
    unlinked = await unlink_identity(parts.desk, caller.account_id, identity_id, origin, parts.now())
    parts.ended.add(unlinked.ended)
    return BackgroundTask(parts.provider_tokens.revoke, unlinked.orphans)


async def ask(request: Request) -> Response:
    """GET /auth/join: the question where a new identity's verified address is known."""
    parts = parts_of(request.scope)
    question = await joining.question(parts.desk, pending_token(parts, request), parts.now())
    rows = {
        (identity.provider, masked(identity.email)): KnownIdentity(
            name=identity.provider,
            label=label_of(parts, identity.provider),
            brand=brand_of(parts, identity.provider),
            address=masked(identity.email),
        )
        for identity in question.known
        if identity.provider in parts.settings.providers
    }
    view = JoinView(
        label=label_of(parts, question.identity.provider),
        brand=brand_of(parts, question.identity.provider),
        email=question.identity.email or "",
        known=tuple(rows.values()),
        may_separate=question.may_separate,
        cancel_href=f"{parts.base}/auth/login",
    )
    return on_the_way(parts, question.target, HTMLResponse(parts.pages.join(view)))


async def answer_question(request: Request) -> Response:
    """POST /auth/join: `provider` to prove the known account, or `separate` for one of its own."""
    parts, scope = parts_of(request.scope), request.scope
    same_site(parts, scope)
    asked = fields.form(scope["headers"], await fields.read_body(request.receive, fields.LIMIT))
    token = pending_token(parts, request)
    if asked.get("separate"):
        return await stay_apart(parts, request, token)
    question = await joining.question(parts.desk, token, parts.now())
    provider = parts.providers.get(asked.one("provider"))
    attempt = parts.attempts.start(provider.name, question.target, parts.now(), purpose="join", bound=token)
    location, cookies = await set_out(parts, scope, provider, attempt, prompt="select_account")
    return on_the_way(parts, question.target, with_cookies(RedirectResponse(location, 303), cookies))


async def stay_apart(parts: Parts, request: Request, token: str) -> Response:
    now, origin = parts.now(), origin_of(parts, request.scope)
    target = (await joining.question(parts.desk, token, now)).target
    admission = await joining.stay_apart(parts.desk, token, present_session(parts, request.scope), origin, now)
    if admission.refusal:
        raise admission.refusal
    response = with_cookies(welcome(parts, admission, target, now), [parts.cookies.clear_pending()])
    return on_the_way(parts, target, response)


async def offer(request: Request) -> Response:
    """GET /auth/merge: both accounts, before anything happens."""
    parts = parts_of(request.scope)
    caller = identify_owner(parts, request.scope)
    found = await merging.offer(parts.desk, pending_token(parts, request), caller.session_id, parts.now())
    view = MergeView(
        survivor=card(parts, found.survivor),
        absorbed=card(parts, found.absorbed),
        now=parts.now(),
        account_href=f"{parts.base}/auth/account",
        recent=is_recent(parts, caller),
        confirm_href=confirm_href(parts, caller, MERGE),
    )
    return HTMLResponse(parts.pages.merge(view))


async def accept_offer(request: Request) -> Response:
    """POST /auth/merge, with proof of both accounts from the last minutes."""
    parts = parts_of(request.scope)
    caller = identify_recent(parts, request.scope, back=MERGE)
    token, origin = pending_token(parts, request), origin_of(parts, request.scope, caller.session_id)
    parts.ended.add(await merging.merge(parts.desk, token, caller.session_id, origin, parts.now()))
    return with_cookies(back_to_page(parts), [parts.cookies.clear_pending()])


def card(parts: Parts, side: merging.Side) -> AccountCard:
    return AccountCard(
        name=side.account.name,
        email=side.account.email,
        verified=side.account.email_verified,
        created_at=side.account.created_at,
        identities=tuple(identity_row(parts, identity, removable=False) for identity in side.identities),
    )


def pending_token(parts: Parts, request: Request) -> str:
    token = cookies_of(request.scope).get(parts.cookies.pending)
    if not token:
        raise AttemptExpired("nothing is pending in this browser")
    return token


def masked(address: str | None) -> str:
    """An address as its owner recognises it and nobody learns it: a•••@example.com."""
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def confirm_href(parts: Parts, caller: Caller, back: str = "/auth/account") -> str:
    """Where somebody confirms that it is them: the provider asks again, and leads back to the page."""
    query = urlencode({"prompt": "login", "redirect_to": f"{parts.base}{back}"})
    return f"{parts.base}/auth/{caller.claims.idp}/login?{query}"


routes = [
    Route("/auth/join", ask, methods=["GET"]),
    Route("/auth/join", answer_question, methods=["POST"]),
    Route("/auth/merge", offer, methods=["GET"]),
    Route("/auth/merge", accept_offer, methods=["POST"]),
    Route("/auth/identities/{id}", unlink, methods=["DELETE"]),
    Route("/auth/identities/{id}/unlink", unlink_form, methods=["POST"]),
    Route("/auth/{provider}/link", link, methods=["POST"]),
]
