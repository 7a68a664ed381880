"""A verifier at work in front of an application: find the token in a request, check it and what the call needs, and
make the refusal. Every framework's `Protection` is one of these with another way to ask and to answer."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .errors import CannotTell, CrossSite, InvalidRequest, NothingSent, Refused, quoted
from .principal import Principal
from .require import Requirement, check
from .verifier import Verifier

TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
RETRY_AFTER = "5"  # seconds
MINUTE, LINES = 60.0, 60  # seconds, and warnings in them

log = logging.getLogger("gateway.resource")


@dataclass(slots=True)  # one for each request, and a frozen one takes three times as long to make
class Asked:
    """What is looked at of a request. `method` is None for a WebSocket."""

    authorization: Sequence[str]
    cookie: str = ""
    method: str | None = "GET"
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal as every framework can send it."""

    status: int
    headers: dict[str, str]
    sentence: str
    error: str | None

    @property
    def body(self) -> bytes:
        error = {} if self.error is None else {"error": self.error}
        return json.dumps({**error, "error_description": self.sentence}).encode()


class Guard:
    """`explain`: answers say what is wrong and what to change; for development only. `cookie`: the name of the
    gateway's session cookie, where the API stands on the same host, and `origins` the origins of its own pages, from
    which alone a cookie may change something or open a WebSocket. `realm` names the API in challenges."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        explain: bool = False,
        realm: str = "api",
        cookie: str | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self.verifier = verifier
        self._explain = explain
        self._realm = realm
        self._cookie = cookie
        self._origins = frozenset(origins)
        self._minute_from, self._told = time.monotonic(), 0
        if explain:
            log.warning("explain=True: answers tell callers what is wrong with their tokens; for development only")

    async def admit(self, asked: Asked, wanted: Requirement) -> Principal:
        """Who is calling, and may. Raises Refused."""
        principal = await self.verifier.verify(self.token(asked))
        check(principal, wanted, time.time())
        return principal

    def admit_sync(self, asked: Asked, wanted: Requirement) -> Principal:
        principal = self.verifier.verify_sync(self.token(asked))
        check(principal, wanted, time.time())
        return principal

    def token(self, asked: Asked) -> str:
        """The header counts where both are sent; a token in the query never does (RFC 9700 section 4.3.2)."""
        if asked.authorization:
            return bearer(asked.authorization)
        if self._cookie is None:
            raise NothingSent("no Authorization header")
        found = cookie_named(self._cookie, asked.cookie)
        if not found:
            raise NothingSent("neither an Authorization header nor the session cookie")
        if asked.method not in SAFE_METHODS and asked.origin not in self._origins:
            raise CrossSite(f"a cookie from the origin {quoted(asked.origin)}, which is not among origins")
        return found

    def refuse(self, refused: Refused) -> Answer:
        """The answer, after a line for the log."""
        self._tell(refused.explanation)
        sentence = refused.sentence
        if self._explain and not isinstance(refused, NothingSent):
            sentence = f"{sentence} {refused.explanation}"
        headers = {"Cache-Control": "no-store"}
        if isinstance(refused, CannotTell):
            headers["Retry-After"] = RETRY_AFTER
        elif not isinstance(refused, CrossSite):
            headers["WWW-Authenticate"] = challenge(refused, self._realm, sentence)
        return Answer(refused.status, headers, sentence, refused.error)

    def _tell(self, explanation: str) -> None:
        """As a warning, but so many a minute, so that nobody can fill the log; every one for who debugs."""
        now = time.monotonic()
        if now - self._minute_from >= MINUTE:
            self._minute_from, self._told = now, 0
        self._told += 1
        log.log(logging.WARNING if self._told <= LINES else logging.DEBUG, "refused: %s", explanation)


def bearer(authorization: Sequence[str]) -> str:
    """The token of one Bearer header; any other scheme presents nothing we know."""
    if len(authorization) > 1:
        raise InvalidRequest("several Authorization headers")
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer":
        raise NothingSent("the Authorization header is not a Bearer one")
    token = token.strip(" ")
    if not token or not TOKEN.fullmatch(token):
        raise InvalidRequest("the Authorization header is not 'Bearer <token>'")
    return token


def cookie_named(name: str, header: str) -> str | None:
    """Its value; of several none, since a sibling's page may have slipped one in."""
    found = [
        value.strip() for pair in header.split(";") for key, _, value in [pair.partition("=")] if key.strip() == name
    ]
    return found[0] if len(found) == 1 else None


def challenge(refused: Refused, realm: str, sentence: str) -> str:
    """RFC 6750 section 3. Without a token no error is named: nothing was wrong."""
    attributes = {"realm": realm}
    if refused.error is not None:
        attributes |= {"error": refused.error, "error_description": printable(sentence)} | refused.attributes()
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in attributes.items())


def printable(sentence: str) -> str:
    return "".join(one if " " <= one <= "~" and one not in '"\\' else "?" for one in sentence)
