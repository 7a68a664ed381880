"""Applications: what one asks for when people are to sign in to it, and what a request of it leads to. Pure.

client_id and redirect_uri proven? ── no ──► error page: nobody is sent anywhere
      yes
      │   everything else sound? ── no ──► back to the application with `error` (RFC 6749 section 4.1.2.1)
      yes ──► Ask ──► decide() ──► Grant, or what a person still has to do
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .errors import UnprovenApp
from .settings import AppSettings

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # of S256 (RFC 7636 section 4.2)
LOOPBACK = re.compile(r"(?P<host>http://(?:127\.0\.0\.1|\[::1\]))(?P<port>:[0-9]{1,5})?(?P<rest>/.*)?")
LONGEST = 1024  # bytes of `state`, `nonce` and `login_hint`
LONGEST_AGE = 10 * 365 * 86400  # seconds
LEEWAY = 60  # seconds that a time of ours may be off: another process's clock, or the provider's

Missing = Literal["sign_in", "consent", "another_person"]


class Denied(Exception):
    """Goes back to the application: a code of RFC 6749 section 4.1.2.1 or OpenID Connect Core section 3.1.2.6."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A sound authorization request. `present`: the session this browser had when it came; `subject`: the account that
    the application expects. Times are epoch seconds."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    state: str | None = None
    nonce: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    provider: str | None = None
    subject: str | None = None
    present: str = ""
    asked_at: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in to this browser."""

    account_id: str
    session_id: str
    provider: str
    auth_time: int  # epoch seconds


def prove(apps: Mapping[str, AppSettings], client_id: str | None, redirect_uri: str | None) -> AppSettings:
    """The application, if that is an address of it. UnprovenApp otherwise."""
    app = apps.get(client_id or "")
    if app is None or app.type == "service":
        raise UnprovenApp("no such app that people sign in to")
    if not redirect_uri or not any(matches(app, known, redirect_uri) for known in app.redirect_uris):
        raise UnprovenApp("not a redirect_uri of this app")
    return app


def matches(app: AppSettings, known: str, given: str) -> bool:
    """Character by character; a native application's loopback port may vary (RFC 8252 section 7.3)."""
    if known == given:
        return True
    if app.type != "native":
        return False
    registered, presented = LOOPBACK.fullmatch(known), LOOPBACK.fullmatch(given)
    if registered is None or presented is None or int((presented["port"] or ":80")[1:]) not in range(1, 65536):
        return False
    return (registered["host"], registered["rest"]) == (presented["host"], presented["rest"])


def read(app: AppSettings, asked: Mapping[str, str], providers: Mapping[str, object], now: int, present: str) -> Ask:
    """The request, once it is known where its answer may go. Denied."""
    for name in ("request", "request_uri"):
        if asked.get(name):
            raise Denied(f"{name}_not_supported", f"{name} is not supported")
    if asked.get("response_type") != "code":
        raise Denied("unsupported_response_type", "response_type must be code")
    if asked.get("response_mode") not in (None, "", "query"):
        raise Denied("invalid_request", "response_mode must be query")
    challenge = asked.get("code_challenge", "")
    if asked.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(challenge):
        raise Denied("invalid_request", "PKCE with code_challenge_method S256 is required")
    return Ask(
        client_id=app.client_id,
        redirect_uri=asked["redirect_uri"],
        scope=fit_scope(app, asked.get("scope", "")),
        challenge=challenge,
        state=fit(asked, "state"),
        nonce=fit(asked, "nonce"),
        prompt=fit_prompt(asked.get("prompt", "")),
        max_age=fit_age(asked.get("max_age", "")),
        login_hint=fit(asked, "login_hint"),
        provider=fit_provider(app, asked.get("provider", ""), providers),
        present=present,
        asked_at=now,
    )


def fit(asked: Mapping[str, str], name: str) -> str | None:
    value = asked.get(name) or None
    if value and len(value.encode()) > LONGEST:
        raise Denied("invalid_request", f"{name} is too long")
    return value


def fit_scope(app: AppSettings, asked: str) -> str:
    wanted = list(dict.fromkeys(asked.split()))
    if not wanted:
        raise Denied("invalid_scope", "scope is missing")
    if not set(wanted) <= set(app.scopes):
        raise Denied("invalid_scope", "scope holds what this app may not ask for")
    return " ".join(wanted)


def fit_prompt(asked: str) -> tuple[str, ...]:
    prompt = tuple(dict.fromkeys(asked.split()))
    if not PROMPTS.issuperset(prompt) or ("none" in prompt and len(prompt) > 1):
        raise Denied("invalid_request", "prompt is not one that OpenID Connect knows")
    return prompt


def fit_age(asked: str) -> int | None:
    if not asked:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", asked) or int(asked) > LONGEST_AGE:
        raise Denied("invalid_request", "max_age is not a number of seconds")
    return int(asked)


def fit_provider(app: AppSettings, asked: str, providers: Mapping[str, object]) -> str | None:
    if not asked:
        return None
    if asked not in allowed(app, providers):
        raise Denied("invalid_request", "provider is not one of this app")
    return asked


def allowed(app: AppSettings, providers: Mapping[str, object]) -> list[str]:
    """The providers on offer through which people may sign in to it, in the order of the configuration."""
    return [name for name in providers if not app.providers or name in app.providers]


def decide(ask: Ask, app: AppSettings, person: Person | None, consented: bool, now: int) -> Missing | None:
    """What a person still has to do before the application gets its code; None when nothing is missing, and
    `another_person` when nothing helps: since the request somebody else has signed in than the application expects."""
    if person is None or (app.providers and person.provider not in app.providers):
        return "sign_in"
    if not fulfils(ask, person, now):
        return "sign_in"
    if ask.subject and person.account_id != ask.subject:
        return "sign_in" if person.session_id == ask.present else "another_person"
    if (app.consent or "consent" in ask.prompt) and not consented:
        return "consent"
    return None


def fulfils(ask: Ask, person: Person, now: int) -> bool:
    """Whether `prompt` and `max_age` are met. A sign-in since the request meets them if the provider confirmed the
    person for it: that it let somebody pass as it knew them does for `select_account` alone."""
    since = person.session_id != ask.present
    confirmed = since and person.auth_time >= ask.asked_at - LEEWAY
    old = ask.max_age is not None and now - person.auth_time > ask.max_age
    if ("login" in ask.prompt or old) and not confirmed:
        return False
    return since or "select_account" not in ask.prompt
