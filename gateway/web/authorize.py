"""The authorization endpoint for applications (OAuth 2.1 section 4.1.1, OpenID Connect Core section 3.1.2).

GET /auth/authorize?client_id=…   ──► sound, and somebody is signed in ──► 302 to the application with a code
                                  ──► a person is needed: the request is kept ──► 302 to the only provider, or to
GET /auth/authorize?resume=…      ──► page with the providers ──► sign-in ──► back here ──► code
                                  ──► page that asks for consent ──► POST ──► code, or access_denied
POST /auth/authorize              ──► 303 to the same as GET
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway import accounts, apps, pending
from gateway.accounts import consents, merges
from gateway.apps import Ask, Denied, Person
from gateway.errors import AttemptExpired, CrossSite, InvalidGrant, InvalidTarget, InvalidToken, NotSignedIn
from gateway.settings import AppSettings

from . import fields
from .addresses import client_ip
from .callers import cookies_of, header, same_site
from .pages import ConsentView, ProviderButton, SignInView
from .parts import Parts, parts_of
from .resume import RESUME, for_app, resume_path
from .targets import check_target
from .token import renew_browser, session_cookies, with_cookies

MEANINGS = {
    "openid": "know who you are",
    "profile": "see your name and picture",
    "email": "see your e-mail address",
    "groups": "see the groups you are in",
    "provider-tokens": "act for you at those that you sign in with",
    "offline_access": "stay signed in while you are away",
}


async def authorize(request: Request) -> Response:
    """GET /auth/authorize."""
    parts, asked = parts_of(request.scope), fields.query(request.scope)
    if asked.get(RESUME):
        return await resume(parts, request.scope, asked)
    app = apps.prove(parts.settings.apps, asked.get("client_id"), asked.get("redirect_uri"))
    return for_app(app, await begin(parts, request.scope, asked, app))


async def begin(parts: Parts, scope: Scope, asked: fields.Fields, app: AppSettings) -> Response:
    """A new request of a known application."""
    uri, state = asked.one("redirect_uri"), asked.get("state")
    person, cookies = await present_person(parts, scope)
    try:
        present = person.session_id if person else ""
        check_target(parts, app, asked)
        ask = apps.read(app, asked.values, parts.settings.providers, parts.now(), present)
        ask = replace(ask, subject=await expected(parts, ask, asked.get("id_token_hint")))
    except Denied as denied:
        response = back(parts, uri, state, error=denied.code, error_description=str(denied))
    except InvalidTarget as error:
        response = back(parts, uri, state, error=error.code, error_description=error.explain())
    else:
        response = await proceed(parts, scope, ask, app, person)
    return with_cookies(response, cookies)


async def expected(parts: Parts, ask: Ask, token: str | None) -> str | None:
    """Whom the application expects, by an ID token that it got (OpenID Connect Core section 3.1.2.1), or the account
    that theirs went into since. A hint that says nothing to us is left out where the person can be asked; Denied where
    not."""
    hint = parts.id_tokens.read_hint(token) if token else None
    if hint and hint.client_id == ask.client_id:
        async with parts.database.read() as connection:
            return str(await merges.resolve(connection, uuid.UUID(hint.subject)))
    if token and "none" in ask.prompt:
        raise Denied("login_required", "the id_token_hint is not an ID token of this application")
    return None


async def proceed(parts: Parts, scope: Scope, ask: Ask, app: AppSettings, person: Person | None) -> Response:
    """A code at once, or the request is kept for when the person has done what is missing."""
    missing = apps.decide(ask, app, person, await consented(parts, ask, app, person), parts.now())
    if missing is None and person:
        return with_code(parts, ask, person)
    if "none" in ask.prompt:
        code = "login_required" if missing == "sign_in" else "consent_required"
        return back(parts, ask.redirect_uri, ask.state, error=code)
    await parts.limiter.check("kept", client_ip(scope, parts.settings.trusted_proxies), parts.clock())
    async with parts.database.write() as connection:
        token = await pending.keep(connection, parts.sealer, "authorize", asdict(ask), parts.now())
    offered = apps.allowed(app, parts.settings.providers)
    only = ask.provider or (offered[0] if len(offered) == 1 else None)
    if missing == "sign_in" and only:
        return RedirectResponse(login_path(parts, ask, token, only), 302)
    return RedirectResponse(resume_path(parts, token), 302)


async def resume(parts: Parts, scope: Scope, asked: fields.Fields) -> Response:
    """A request that was kept: on to what is missing, or to the application when nothing is any more."""
    token = asked.one(RESUME)
    ask, app = await kept(parts, token)
    if asked.get("cancel"):
        return for_app(app, back(parts, ask.redirect_uri, ask.state, error="access_denied"))
    person, cookies = await present_person(parts, scope)
    missing = apps.decide(ask, app, person, await consented(parts, ask, app, person), parts.now())
    if missing == "consent":
        response: Response = HTMLResponse(parts.pages.consent(consent_view(parts, ask, app, token)))
    elif missing == "another_person":
        response = back(parts, ask.redirect_uri, ask.state, error="login_required")
    elif missing == "sign_in" or person is None:
        response = ask_to_sign_in(parts, ask, app, token)
    else:
        response = with_code(parts, ask, person)
    return for_app(app, with_cookies(response, cookies))


async def answer_consent(request: Request) -> Response:
    """POST /auth/authorize: the form of the page that asks for consent; or a request, which goes on as GET, since a
    browser adds no Lax cookies to another site's form."""
    parts, scope = parts_of(request.scope), request.scope
    form = fields.form(scope["headers"], await fields.read_body(request.receive, fields.LIMIT))
    if not form.get(RESUME) and form.one("client_id"):
        going_on = RedirectResponse(f"{parts.base}/auth/authorize?{urlencode(form.values)}", 303)
        asking = parts.settings.apps.get(form.one("client_id"))
        return for_app(asking, going_on) if asking else going_on
    check_own_page(parts, scope)
    ask, app = await kept(parts, form.one(RESUME))
    return for_app(app, await decided(parts, scope, form, ask, app))


async def decided(parts: Parts, scope: Scope, form: fields.Fields, ask: Ask, app: AppSettings) -> Response:
    person, cookies = await present_person(parts, scope)
    if form.get("decision") != "allow":
        return with_cookies(back(parts, ask.redirect_uri, ask.state, error="access_denied"), cookies)
    if person is None or apps.decide(ask, app, person, consented=True, now=parts.now()) is not None:
        return with_cookies(RedirectResponse(resume_path(parts, form.one(RESUME)), 303), cookies)
    async with parts.database.write() as connection:
        account = await accounts.hold(connection, uuid.UUID(person.account_id))
        if account is None:
            raise NotSignedIn("the account is gone")
        await consents.give(connection, account.id, app.client_id, ask.scope, parts.now())
    return with_cookies(with_code(parts, ask, person), cookies)


def check_own_page(parts: Parts, scope: Scope) -> None:
    """Refuse also the pages that may call with cookies: to agree is for the person alone. CrossSite."""
    same_site(parts, scope)
    if header(scope, b"origin") in parts.settings.cors_origins:
        raise CrossSite("a page of an application agrees for the person")


async def kept(parts: Parts, token: str) -> tuple[Ask, AppSettings]:
    """A request that was kept, judged again by the configuration of now. AttemptExpired, UnprovenApp."""
    async with parts.database.read() as connection:
        found = await pending.look(connection, parts.sealer, "authorize", token, parts.now())
    if found is None:
        raise AttemptExpired("no such request of an application")
    ask = Ask(**{**found, "prompt": tuple(found["prompt"])})
    return ask, apps.prove(parts.settings.apps, ask.client_id, ask.redirect_uri)


async def consented(parts: Parts, ask: Ask, app: AppSettings, person: Person | None) -> bool:
    """Whether the person has agreed to all that is asked for; `prompt=consent` asks anew."""
    if person is None or not app.consent or "consent" in ask.prompt:
        return False
    async with parts.database.read() as connection:
        return set(ask.scope.split()) <= await consents.given(connection, uuid.UUID(person.account_id), app.client_id)


async def present_person(parts: Parts, scope: Scope) -> tuple[Person | None, tuple[str, ...]]:
    """Who is signed in to this browser, by cookie alone, and the cookies of a renewal where one was due."""
    held = cookies_of(scope)
    try:
        return person_of(parts, held.get(parts.cookies.access, "")), ()
    except InvalidToken:
        pass
    if not held.get(parts.cookies.refresh):
        return None, ()
    try:
        pair = await renew_browser(parts, scope)
    except InvalidGrant:
        return None, parts.cookies.clear_session()
    return person_of(parts, pair.access_token), session_cookies(parts, pair)


def person_of(parts: Parts, token: str) -> Person:
    """InvalidToken where the token is not one of a living browser session."""
    claims = parts.access.verify(token)
    if claims.client_id != "gateway" or claims.session_id is None or parts.ended.has(claims.session_id):
        raise InvalidToken("not the token of a living browser session")
    return Person(claims.subject, str(claims.session_id), claims.idp, claims.auth_time)


def with_code(parts: Parts, ask: Ask, person: Person) -> Response:
    code = parts.redemption.codes.seal(
        client_id=ask.client_id,
        redirect_uri=ask.redirect_uri,
        scope=ask.scope,
        challenge=ask.challenge,
        nonce=ask.nonce,
        session_id=person.session_id,
        account_id=person.account_id,
        issued_at=parts.now(),
    )
    return back(parts, ask.redirect_uri, ask.state, code=code)


def back(parts: Parts, redirect_uri: str, state: str | None, **answer: str) -> Response:
    """To the application, with `iss` (RFC 9207) and its `state`."""
    said = {**answer, "state": state, "iss": parts.settings.public_url}
    query = urlencode({name: value for name, value in said.items() if value is not None})
    return RedirectResponse(f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}", 303)


def ask_to_sign_in(parts: Parts, ask: Ask, app: AppSettings, token: str) -> Response:
    """The page with the providers of the application. Also where there is one alone: who comes back from it and is not
    signed in, because the browser keeps no session, would be sent round and round."""
    offered = apps.allowed(app, parts.settings.providers)
    view = SignInView(
        buttons=tuple(
            ProviderButton(each.name, each.label, login_path(parts, ask, token, each.name), each.preset)
            for each in (parts.settings.providers[name] for name in offered)
        ),
        target=app.label,
        cancel_href=f"{resume_path(parts, token)}&cancel=1",
    )
    return HTMLResponse(parts.pages.sign_in(view))


def login_path(parts: Parts, ask: Ask, token: str, provider: str) -> str:
    """Where a sign-in for this request begins."""
    query = {"redirect_to": resume_path(parts, token)}
    if "login" in ask.prompt or ask.max_age is not None:
        query["prompt"] = "login"
    elif "select_account" in ask.prompt:
        query["prompt"] = "select_account"
    if ask.login_hint and len(ask.login_hint) <= 320:
        query["login_hint"] = ask.login_hint
    return f"{parts.base}/auth/{provider}/login?{urlencode(query)}"


def consent_view(parts: Parts, ask: Ask, app: AppSettings, token: str) -> ConsentView:
    scopes = ask.scope.split(" ")
    meant = tuple(MEANINGS.get(scope, f"use “{scope}”") for scope in scopes)
    return ConsentView(app.label, meant, action=f"{parts.base}/auth/authorize", resume=token)


routes = [
    Route("/auth/authorize", authorize, methods=["GET"]),
    Route("/auth/authorize", answer_consent, methods=["POST"]),
]
