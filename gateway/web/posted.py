"""Sign-in with an ID token that the browser holds: buttons of Google and Microsoft in a page of one's own, native SDKs.

page, app                       gateway                                        provider
GET …/nonce                ──►  nonce, bound to this browser by a cookie
                           ◄──
its button, its library    ──────────────────────────────────────────────────►  person signs in
                           ◄──────────────────────────────────────────────────  ID token with the nonce
POST …/login               ──►  from whom?  verify as at the callback ─► nonce ─► spend both
                                admit: the same decision, one transaction
                           ◄──  200 with the account (JSON), or 303 (form), with the session's cookies
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway import accounts
from gateway.errors import AccountExists, CrossSite, GatewayError, InvalidToken, RequestFault
from gateway.flows import join as joining
from gateway.flows import posted
from gateway.flows.admit import Admission, Newcomer
from gateway.flows.roles import roles_for
from gateway.nonces import LIFETIME, Carrier
from gateway.sessions import Session

from . import fields
from .callers import cookies_of, header, same_site
from .origins import origin_of
from .parts import Parts, parts_of
from .problems import answer
from .refusals import recorded_refusal
from .rows import label_of
from .sign_in import admitted, login_path, present_session, provider_at
from .token import session_cookies, with_cookies

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient

CSRF = "g_csrf_token"  # field and cookie of Google Identity Services: its script writes both


@dataclass(frozen=True, slots=True)
class Brought:
    """What came in: the token, and what the caller wants with it. `form`: a browser is waiting for a page."""

    id_token: str = field(repr=False)
    nonce: str | None
    redirect_to: str | None
    form: bool


async def issue_nonce(request: Request) -> Response:
    """GET /auth/<provider>/nonce: no database."""
    parts = parts_of(request.scope)
    provider = provider_at(parts, request.scope)
    carried = cookies_of(request.scope).get(parts.cookies.nonce)
    carrier = parts.nonces.carrier(carried, present_session(parts, request.scope))
    nonce = parts.nonces.issue(carrier, provider.name, parts.now())
    response = JSONResponse({"nonce": nonce, "expires_in": LIFETIME})
    return with_cookies(response, [parts.cookies.set_nonce(parts.nonces.pack(carrier))])


async def sign_in(request: Request) -> Response:
    """POST /auth/<provider>/login."""
    parts, scope = parts_of(request.scope), request.scope
    provider = provider_at(parts, scope)
    brought = await read(parts, request, provider)
    target = parts.redirects.check(brought.redirect_to)
    try:
        return await complete(parts, scope, provider, brought, target)
    except GatewayError as error:
        return answer(scope, error, again=login_path(parts, provider.name, target))


async def read(parts: Parts, request: Request, provider: ProviderClient) -> Brought:
    """The request, from somebody who may send it. Raises CrossSite or a RequestFault."""
    headers = request.scope["headers"]
    body = await fields.read_body(request.receive, fields.LIMIT)
    if fields.media_type(headers) == fields.JSON:
        check_caller(parts, request.scope)
        return read_json(fields.json_object(headers, body))
    form = fields.form(headers, body)
    check_poster(parts, request.scope, provider, form)
    target = form.get("redirect_to") or fields.query(request.scope).get("redirect_to")
    return Brought(form.one("credential"), form.get("nonce"), target, form=True)


def read_json(body: Mapping[str, Any]) -> Brought:
    texts = {name: body.get(name) for name in ("id_token", "nonce", "redirect_to")}
    if not texts["id_token"] or not all(text is None or isinstance(text, str) for text in texts.values()):
        raise RequestFault("id_token is missing, or something is not a text")
    return Brought(texts["id_token"], texts["nonce"], texts["redirect_to"], form=False)


def check_caller(parts: Parts, scope: Scope) -> None:
    """JSON comes from our pages, from `cors_origins`, or from an app that is no browser. Raises CrossSite.

    A browser lets no other page send this content type, and names the page's origin. An app has neither `Origin` nor
    `Sec-Fetch-Site`, and no cookies that somebody could use behind its back.
    """
    if header(scope, b"origin") is not None or header(scope, b"sec-fetch-site") is not None:
        same_site(parts, scope)


def check_poster(parts: Parts, scope: Scope, provider: ProviderClient, form: fields.Fields) -> None:
    """A form comes from our pages, from `cors_origins`, or from the provider's own page with the pair that its script
    left in this browser and in the form. Raises CrossSite."""
    sent, kept = form.get(CSRF), cookies_of(scope).get(CSRF)
    if sent is not None and not equal(sent, kept or ""):
        raise CrossSite("g_csrf_token differs from its cookie")
    posts_from = provider.settings.posts_from
    if posts_from is None or header(scope, b"origin") != posts_from:
        same_site(parts, scope)
    elif not sent:
        raise CrossSite("a form from the provider's page without g_csrf_token")


def equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


async def complete(parts: Parts, scope: Scope, provider: ProviderClient, brought: Brought, target: str) -> Response:
    """Verify and spend the token, then admit whom it is about."""
    carrier = parts.nonces.unpack(cookies_of(scope).get(parts.cookies.nonce))
    async with recorded_refusal(parts, scope, provider):
        judge = judge_of(parts, provider, brought, carrier)
        vouched = await posted.receive(parts.database, provider, brought.id_token, parts.now(), judge)
    replaced = present_session(parts, scope) or (carrier.session if carrier else None)
    id_token = vouched.id_token if vouched.end_session else None
    newcomer = Newcomer(vouched.identity, id_token, replaced, None, target)
    admission = await parts.reception.admit(newcomer, origin_of(parts, scope), parts.now())
    if brought.form:
        response = admitted(parts, target, admission, parts.now())
    else:
        response = await told(parts, scope, admission, target)
    return with_cookies(response, [parts.cookies.clear_nonce()])


def judge_of(parts: Parts, provider: ProviderClient, brought: Brought, carrier: Carrier | None) -> posted.Judge:
    required = provider.settings.id_token_nonce == "required"  # noqa: S105  a setting

    def ours(nonce: str) -> bool:
        return parts.nonces.holds(nonce, carrier, provider.name, parts.now())

    return lambda claimed: posted.judge_nonce(claimed, brought.nonce, ours, required=required)


async def told(parts: Parts, scope: Scope, admission: Admission, target: str) -> Response:
    """The answer for programs. Raises the refusal of who was not admitted."""
    if admission.refusal:
        raise admission.refusal
    if admission.question:
        return await ways_on(parts, scope, admission.question, target)
    if admission.session is None:
        raise AssertionError("neither admitted nor refused")
    parts.ended.add(admission.ended)
    pair = parts.renewal.issuer.issue(admission.session, parts.now())
    response = JSONResponse({"account": await account_of(parts, admission.session), "expires_in": pair.expires_in})
    return with_cookies(response, session_cookies(parts, pair))


async def account_of(parts: Parts, session: Session) -> dict[str, Any]:
    """What /auth/me says of the account itself."""
    async with parts.database.read() as connection:
        found = await accounts.profile(connection, session.account_id)
    if found is None:
        raise InvalidToken("the account was deleted meanwhile")
    account, _ = found
    shown = ("email", "email_verified", "name", "picture", "created_at")
    return {
        "id": str(account.id),
        **{name: getattr(account, name) for name in shown},
        "roles": list(roles_for(session.provider, session.facts, parts.settings.roles)),
    }


async def ways_on(parts: Parts, scope: Scope, question: str, target: str) -> Response:
    """409, with what a person can do: answer the question on our page, or sign in as before and link."""
    known = (await joining.question(parts.desk, question, parts.now())).known
    names = dict.fromkeys(identity.provider for identity in known if identity.provider in parts.settings.providers)
    more = {
        "join_url": f"{parts.settings.public_url}/auth/join",
        "providers": [
            {
                "name": name,
                "label": label_of(parts, name),
                "login_url": f"{parts.origin}{login_path(parts, name, target)}",
            }
            for name in names
        ],
    }
    exists = AccountExists("its verified address is known")
    return answer(scope, exists, set_cookies=[parts.cookies.set_pending(question)], more=more)


routes = [
    Route("/auth/{provider}/nonce", issue_nonce, methods=["GET"]),
    Route("/auth/{provider}/login", sign_in, methods=["POST"]),
]
