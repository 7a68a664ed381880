"""Sign-in by redirect.

browser                    gateway                                   provider
GET /auth/<p>/login   ──►  Attempt ─► cookie (signed), state = its id
                      ◄──  302 with state, nonce, PKCE challenge ──►  person signs in
…/callback            ──►  cookie for this state? fresh? this provider?   ◄── code, state, iss
                           claim it (once)  ─► iss, error
                           spend the code ──────────────────────────►  tokens
                           verify, map to an Identity
                           admit: account, identity, session, event (one transaction)
                      ◄──  303 to the target, with the session's cookies
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import attempts
from gateway.attempts import Attempt
from gateway.errors import AttemptMismatch, AttemptMissing, GatewayError, MethodNotAllowed, ProviderDenied, RequestFault
from gateway.flows.admit import Admission, Newcomer
from gateway.flows.join import join
from gateway.flows.link import Linked, link

from . import fields
from .callers import cookies_of, presented
from .origins import origin_of
from .parts import Parts, parts_of
from .problems import answer
from .refusals import recorded_refusal
from .resume import cancelled, on_the_way
from .token import session_cookies, with_cookies

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
LOGIN_HINT = re.compile(r"[^\x00-\x1f\x7f]{1,320}")
INVITATION = re.compile(r"[A-Za-z0-9_-]{43}")
UNDER_WAY = 8  # sign-ins one browser may have under way; older ones are forgotten
ROOM = 6000  # bytes for all of our cookies in one request: servers commonly refuse headers of more than 8 KiB


class Start:
    """GET /auth/<provider>/login: no database, and once warm no network."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        response = await begin(parts, scope, provider_at(parts, scope))
        await response(scope, receive, send)


async def begin(parts: Parts, scope: Scope, provider: ProviderClient) -> Response:
    asked = fields.query(scope)
    target = parts.redirects.check(asked.get("redirect_to"))
    prompt, hint = known_prompt(asked.get("prompt")), known_hint(asked.get("login_hint"))
    attempt = parts.attempts.start(
        provider.name,
        target,
        parts.now(),
        session=str(present_session(parts, scope) or ""),
        bound=known_invitation(asked.get("invitation")),
        max_age=0 if prompt == "login" else None,
    )
    location, cookies = await set_out(parts, scope, provider, attempt, prompt, hint)
    response = Response(status_code=302, headers={"Location": location})
    return on_the_way(parts, target, with_cookies(response, cookies))


async def set_out(
    parts: Parts,
    scope: Scope,
    provider: ProviderClient,
    attempt: Attempt,
    prompt: str | None = None,
    hint: str | None = None,
) -> tuple[str, list[str]]:
    """Where an attempt leads at the provider, and the cookies that carry it."""
    location = await provider.begin(
        state=attempt.id,
        nonce=parts.attempts.nonce(attempt),
        code_verifier=parts.attempts.code_verifier(attempt),
        prompt=prompt,
        login_hint=hint,
    )
    carried = parts.cookies.set_attempt(attempt.id, parts.attempts.pack(attempt), cross_site=posts(provider))
    return location, [carried, *surplus(parts, cookies_of(scope), carried)]


def known_invitation(token: str | None) -> str:
    if not token:
        return ""
    if INVITATION.fullmatch(token):
        return token
    raise RequestFault("not an invitation")


def known_prompt(prompt: str | None) -> str | None:
    if prompt is None or prompt in PROMPTS:
        return prompt
    raise RequestFault("prompt is none of the four that OpenID Connect knows")


def known_hint(hint: str | None) -> str | None:
    if hint is None or LOGIN_HINT.fullmatch(hint):
        return hint or None
    raise RequestFault("login_hint is too long or holds control characters")


def posts(provider: ProviderClient) -> bool:
    """Whether this provider answers with a form post from its own site."""
    return provider.settings.response_mode == "form_post"


def surplus(parts: Parts, cookies: Mapping[str, str], carried: str) -> list[str]:
    """Forget the oldest sign-ins of a browser that collects them, before its cookies grow too long to send.
    `carried`: the cookie of the new one."""
    held = ((parts.attempts.unpack(value), size) for value, size in parts.cookies.attempts_in(cookies))
    sizes = {attempt: size for attempt, size in held if attempt}
    if not sizes:
        return []
    room = ROOM - parts.cookies.session_weight(cookies) - len(carried)
    forgotten = attempts.oldest(sizes, UNDER_WAY - 1, room)
    return [parts.cookies.clear_attempt(attempt.id, cross_site=False) for attempt in forgotten]


class Callback:
    """GET or POST /auth/<provider>/callback."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        response = await come_back(parts, scope, receive, provider_at(parts, scope))
        await response(scope, receive, send)


async def come_back(parts: Parts, scope: Scope, receive: Receive, provider: ProviderClient) -> Response:
    attempt: Attempt | None = None
    try:
        answered = await read_answer(scope, receive, provider)
        state = answered.get("state") or ""
        attempt = carried(parts, scope, state)
        return await complete(
            parts, scope, provider, attempts.judge(attempt, state, provider.name, parts.now()), answered
        )
    except GatewayError as error:
        again = start_again(parts, provider.name, attempt)
        cleared = [parts.cookies.clear_attempt(attempt.id, cross_site=posts(provider))] if attempt else []
        if attempt and isinstance(error, ProviderDenied) and (target := cancelled(parts, attempt.redirect_to)):
            response = with_cookies(RedirectResponse(target, 303), cleared)
            return on_the_way(parts, attempt.redirect_to, response)
        return answer(scope, error, again=again, set_cookies=cleared)


async def read_answer(scope: Scope, receive: Receive, provider: ProviderClient) -> fields.Fields:
    """The provider's answer: the query, or the form of a provider that posts it."""
    if scope["method"] == "GET":
        return fields.query(scope)
    if not posts(provider):
        raise MethodNotAllowed("this provider does not post its answers", allowed=("GET", "HEAD"))
    body = await fields.read_body(receive, fields.LIMIT)
    return fields.form(scope["headers"], body)


def carried(parts: Parts, scope: Scope, state: str) -> Attempt | None:
    """The attempt that this browser carries for a state."""
    if not attempts.ID.fullmatch(state):
        raise AttemptMissing("no state, or not one of ours")
    value = cookies_of(scope).get(parts.cookies.attempt_prefix + state)
    return parts.attempts.unpack(value) if value else None


async def complete(
    parts: Parts, scope: Scope, provider: ProviderClient, attempt: Attempt, answered: fields.Fields
) -> Response:
    """Claim the attempt, then believe the provider's answer as far as it proves itself."""
    await parts.claims.claim(attempt, parts.now())
    async with recorded_refusal(parts, scope, provider):
        newcomer = await vouch(parts, scope, provider, attempt, answered)
    return await conclude(parts, scope, provider, attempt, newcomer)


async def conclude(
    parts: Parts, scope: Scope, provider: ProviderClient, attempt: Attempt, newcomer: Newcomer
) -> Response:
    """What the proof was for: to sign in, to be linked, or to show that a known account is theirs."""
    now, origin = parts.now(), origin_of(parts, scope)
    match attempt.purpose:
        case "sign_in":
            response = admitted(parts, attempt.redirect_to, await parts.reception.admit(newcomer, origin, now), now)
        case "link":
            session_id = asking_session(newcomer, attempt)
            origin = origin_of(parts, scope, session_id)
            linked = await link(parts.desk, session_id, newcomer.identity, origin, now, newcomer.tokens)
            response = linked_response(parts, attempt, linked)
        case "join":
            admission = await join(parts.desk, attempt.bound, newcomer, origin, now)
            response = admitted(parts, attempt.redirect_to, admission, now)
            response = with_cookies(response, [parts.cookies.clear_pending()])
    cleared = parts.cookies.clear_attempt(attempt.id, cross_site=posts(provider))
    return on_the_way(parts, attempt.redirect_to, with_cookies(response, [cleared]))


def asking_session(newcomer: Newcomer, attempt: Attempt) -> uuid.UUID:
    """The session that wants to link. AttemptMismatch when this browser is signed in to another one by now."""
    session_id = uuid.UUID(attempt.session)
    if newcomer.replaces != session_id:
        raise AttemptMismatch("another session than the one that asked")
    return session_id


def linked_response(parts: Parts, attempt: Attempt, linked: Linked) -> Response:
    if linked.question is None:
        return RedirectResponse(parts.redirects.check(attempt.redirect_to), 303)
    response = RedirectResponse(f"{parts.base}/auth/merge", 303)
    return with_cookies(response, [parts.cookies.set_pending(linked.question)])


async def vouch(
    parts: Parts, scope: Scope, provider: ProviderClient, attempt: Attempt, answered: fields.Fields
) -> Newcomer:
    await provider.check_callback_issuer(answered.get("iss"))
    if answered.get("error"):
        raise provider.refusal(answered.one("error"))
    vouched = await provider.finish(
        code=answered.one("code"),
        nonce=parts.attempts.nonce(attempt),
        code_verifier=parts.attempts.code_verifier(attempt),
    )
    auth_time = attempts.signed_in_at(attempt, vouched.identity.auth_time, provider.settings.leeway)
    identity = replace(vouched.identity, auth_time=auth_time)
    id_token = vouched.id_token if vouched.end_session else None
    invitation = attempt.bound if attempt.purpose == "sign_in" else None
    replaced = replaced_session(parts, scope, attempt)
    return Newcomer(identity, id_token, replaced, invitation, attempt.redirect_to, tokens=vouched.tokens)


def present_session(parts: Parts, scope: Scope) -> uuid.UUID | None:
    """The session this browser has now; a new sign-in replaces it."""
    found = presented(parts, scope)
    return found.session_id if found else None


def replaced_session(parts: Parts, scope: Scope, attempt: Attempt) -> uuid.UUID | None:
    """As `present_session`; where a provider posts, Lax cookies stay behind, and the attempt remembers."""
    return present_session(parts, scope) or (uuid.UUID(attempt.session) if attempt.session else None)


def admitted(parts: Parts, target: str, admission: Admission, now: int) -> Response:
    """303 to the target with the session's cookies, or to the question. Raises the refusal of who was not admitted."""
    if admission.refusal:
        raise admission.refusal
    if admission.question:
        response = RedirectResponse(f"{parts.base}/auth/join", 303)
        return with_cookies(response, [parts.cookies.set_pending(admission.question)])
    return welcome(parts, admission, target, now)


def welcome(parts: Parts, admission: Admission, target: str, now: int) -> Response:
    """303 to the target, validated again, with the cookies of the new session."""
    if admission.session is None:
        raise AssertionError("neither admitted nor refused")
    parts.ended.add(admission.ended)
    response = RedirectResponse(parts.redirects.check(target), 303)
    return with_cookies(response, session_cookies(parts, parts.renewal.issuer.issue(admission.session, now)))


def start_again(parts: Parts, provider: str, attempt: Attempt | None) -> str:
    """Where "Start again" leads: back to where this attempt began, with the same target if it is still known."""
    if attempt and attempt.purpose != "sign_in":
        return f"{parts.base}/auth/{'account' if attempt.purpose == 'link' else 'join'}"
    fresh = attempt is not None and attempt.max_age is not None
    return login_path(parts, provider, attempt.redirect_to if attempt else parts.redirects.default, fresh=fresh)


def login_path(parts: Parts, provider: str, target: str, *, fresh: bool = False) -> str:
    """Where a sign-in by redirect begins that leads to this target."""
    path = f"{parts.base}/auth/{provider}/login"
    asked = {} if target == parts.redirects.default else {"redirect_to": target}
    asked |= {"prompt": "login"} if fresh else {}
    return f"{path}?{urlencode(asked)}" if asked else path


def provider_at(parts: Parts, scope: Scope) -> ProviderClient:
    """The provider of an address as those below."""
    return parts.providers.get(scope["path"].rsplit("/", 2)[1])


start, callback = Start(), Callback()

routes = [
    Route("/auth/{provider}/login", start, methods=["GET"]),
    Route("/auth/{provider}/callback", callback, methods=["GET", "POST"]),
]
