"""What the clients ask, and how they tell a right answer: every one is looked at, none only counted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from .load import HEAD_END, Ask, Talk, Wrong

GATEWAY, PROVIDER = 0, 1
SET_COOKIE = re.compile(rb"\r\nset-cookie: ([^=]+)=([^;\r]*)")
LOCATION = re.compile(rb"\r\nlocation: ([^\r]*)")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def request(method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    length = {"Content-Length": str(len(body))} if body else {}
    lines = {"Host": "localhost", "User-Agent": AGENT, **(headers or {}), **length}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def expect(answer: bytes, status: int, *holds: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 %d " % status) or not all(part in answer for part in holds):
        raise Wrong(f"not {status} with {holds!r}: {answer[:600]!r}")


def cookies_set(answer: bytes) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in SET_COOKIE.findall(answer)}


def location(answer: bytes) -> str:
    found = LOCATION.search(answer)
    if found is None:
        raise Wrong(f"no Location: {answer[:600]!r}")
    return found[1].decode()


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same request again and again; every answer is 200 and holds something."""

    data: bytes
    holds: bytes

    def talk(self) -> Talk:
        ask = Ask(self.data)
        while True:
            expect((yield ask), 200, self.holds)


@dataclass(frozen=True, slots=True)
class Each:
    """Each request once, each answered 200 with something."""

    requests: Sequence[bytes]
    holds: bytes

    def talk(self) -> Talk:
        for data in self.requests:
            expect((yield Ask(data)), 200, self.holds)


@dataclass(frozen=True, slots=True)
class Renew:
    """POST /auth/token with the newest refresh token, as an app does; every answer brings another."""

    refresh_token: str
    client_id: str = ""

    def talk(self) -> Talk:
        token, named = self.refresh_token, {"client_id": self.client_id} if self.client_id else {}
        while True:
            body = urlencode({"grant_type": "refresh_token", "refresh_token": token, **named}).encode()
            answer = yield Ask(request("POST", "/auth/token", FORM, body))
            expect(answer, 200, b'"access_token"')
            renewed = json.loads(answer.partition(HEAD_END)[2])["refresh_token"]
            if renewed == token:
                raise Wrong("the refresh token did not change")
            token = renewed


@dataclass(frozen=True, slots=True)
class RenewCookies:
    """POST /auth/refresh with the newest cookies, as a browser does; every answer sets others."""

    origin: str
    cookies: Mapping[str, str]

    def talk(self) -> Talk:
        held = dict(self.cookies)
        while True:
            cookies = "; ".join(f"{name}={value}" for name, value in held.items())
            answer = yield Ask(request("POST", "/auth/refresh", {"Origin": self.origin, "Cookie": cookies}))
            expect(answer, 200, b'"expires_in"')
            renewed = cookies_set(answer)
            if any(renewed.get(name) in (None, held[name]) for name in ("gateway", "gateway-refresh")):
                raise Wrong("the cookies did not change")
            held |= renewed


@dataclass(frozen=True, slots=True)
class Start:
    """GET /auth/google/login; every answer has a state of its own, in the address and in the cookie's name."""

    def talk(self) -> Talk:
        ask, last = Ask(request("GET", "/auth/google/login")), b""
        while True:
            answer = yield ask
            at = answer.find(b"&state=") + 7
            state = answer[at : at + 32]
            expect(answer, 302, b"code_challenge=", b"set-cookie: gateway-attempt-" + state)
            if state == last:
                raise Wrong("the same state again")
            last = state


@dataclass(frozen=True, slots=True)
class SignIn:
    """Start, the provider's answer, callback: one unit. Every sign-in ends with a session's cookies."""

    email: str

    def talk(self) -> Talk:
        start = Ask(request("GET", f"/auth/google/login?{urlencode({'login_hint': self.email})}"))
        while True:
            started = yield start
            expect(started, 302)
            ((name, value),) = cookies_set(started).items()
            answered = yield Ask(request("GET", target(location(started))), starts=False, server=PROVIDER)
            expect(answered, 302)
            cookie = {"Cookie": f"{name}={value}"}
            data = request("GET", target(location(answered)), cookie)
            finished = yield Ask(data, starts=False)
            expect(finished, 303, b"set-cookie: gateway=", b"set-cookie: gateway-refresh=")


def target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
