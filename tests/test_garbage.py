"""Garbage at every route, byte by byte over real sockets: never a 5xx, always our headers and our shape of an error."""

from __future__ import annotations

import re
import socket
import uuid
from contextlib import suppress
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from gateway.app import ROUTES, create_app

from harness import World, settings_for
from wire import Answer

SECURITY = {
    *("x-request-id", "x-content-type-options", "referrer-policy", "content-security-policy"),
    *("cache-control", "cross-origin-opener-policy"),
}
NOT_HTTP = b"Invalid HTTP request received."  # the server's own answer to what never becomes a request
LEAVING = {("POST", "/auth/logout"), ("DELETE", "/auth/me"), ("POST", "/auth/me/delete")}  # they end the session
TOO_LONG = b"HTTP/1.1 431 "  # likewise, to a head without end
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "PURGE")


def some(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def cookies(lasting_world: World) -> dict[str, str]:
    """The cookies of somebody who is signed in."""
    with lasting_world.gateway.browser() as browser:
        lasting_world.sign_in(browser, "google")
        return {name: browser.cookies[name] for name in ("gateway", "gateway-refresh")}


def talk(gate: World, sent: bytes, patience: float = 10) -> bytes:
    """Whatever the server says to these bytes until it hangs up, or has said nothing for `patience` seconds."""
    port = urlsplit(gate.gateway.url).port
    heard = b""
    connection = socket.create_connection(("127.0.0.1", port), timeout=patience)
    with connection, suppress(OSError):  # hung up on, or waited for in vain
        connection.sendall(sent)
        while chunk := connection.recv(65_536):
            heard += chunk
    return heard


def request(method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    length = [(b"Content-Length", str(len(body)).encode())] if body else []
    lines = [b"%s: %s" % pair for pair in [(b"Host", b"localhost"), (b"Connection", b"close"), *headers, *length]]
    return b"%s %s HTTP/1.1\r\n%s\r\n\r\n%s" % (method.encode(), target, b"\r\n".join(lines), body)


def check(heard: bytes, method: str = "GET") -> Answer:
    """The answer, which must be one of ours."""
    assert heard.startswith(b"HTTP/1.1 "), heard[:80]
    answer = Answer(heard)
    assert answer.status < 500, heard[:400]
    assert answer.headers.keys() >= SECURITY
    if answer.status >= 400 and method != "HEAD":
        check_error(answer)
    return answer


def check_error(answer: Answer) -> None:
    if answer.headers["content-type"].startswith("text/html"):
        assert b'data-error="' in answer.body
        return
    assert answer.json.keys() == {"error", "error_description", "request_id"}
    assert answer.json["request_id"] == answer.headers["x-request-id"]


# What clients invent.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
BYTES = st.binary(max_size=60)
VISIBLE = st.binary(max_size=60).map(lambda raw: bytes(each for each in raw if each >= 0x20 and each != 0x7F))
FILL = st.one_of(
    st.sampled_from(["google", "microsoft", "nobody", "..", "%2e%2e", "%00", "%ff", "0", str(uuid.UUID(int=0))]),
    TEXT.map(lambda text: quote(text, safe="")),
    BYTES.map(lambda raw: quote(raw, safe="")),
)
NAMES = sorted(
    {
        *(
            "redirect_to",
            "prompt",
            "login_hint",
            "iss",
            "target_link_uri",
            "code",
            "state",
            "error",
            "error_description",
        ),
        *("everywhere", "provider", "role", "scope", "group", "grant_type", "refresh_token", "client_id", "id_token"),
    }
)
VALUES = st.one_of(
    st.sampled_from(
        ["", "true", "refresh_token", "none", "/", "//evil.example", "https://evil.example/", "\x00", "a" * 5000]
    ),
    TEXT,
)
FIELDS = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), TEXT), VALUES), max_size=6)
QUERY = st.one_of(
    st.just(b""),
    FIELDS.map(lambda fields: urlencode(fields).encode()),
    BYTES.map(lambda raw: quote(raw, safe="%&=+;/?").encode()),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(b"Accept", b"Authorization", b"Cookie", b"Content-Type", b"Origin", b"Sec-Fetch-Site", b"Range"),
                *(
                    b"User-Agent",
                    b"Forwarded",
                    b"X-Forwarded-For",
                    b"X-Forwarded-Proto",
                    b"X-Request-Id",
                    b"If-None-Match",
                ),
                *(b"Accept-Language", b"Access-Control-Request-Method", b"Referer", b"X-HTTP-Method-Override", b"Via"),
            ]
        ),
        st.one_of(
            VISIBLE,
            st.sampled_from(
                [
                    *(b"text/html", b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data"),
                    *(
                        b"application/x-www-form-urlencoded; charset=utf-16",
                        b"null",
                        b"same-origin",
                        b"Bearer",
                        b"Bearer x.y.z",
                    ),
                    *(
                        b"Basic Og==",
                        b"gateway=x; gateway-refresh=gwr_x",
                        b"=;;=",
                        b"gateway-attempt-x=y",
                        b"127.0.0.1, [::1",
                    ),
                ]
            ),
        ),
    ),
    max_size=5,
)
BODY = st.one_of(
    st.just(b""), BYTES, FIELDS.map(lambda fields: urlencode(fields).encode()), st.just(b"a=" + b"x" * 70_000)
)


CALLS = sorted({(method, route.path) for route in ROUTES for method in route.methods or {"GET"} if method != "HEAD"})
ASKED = st.tuples(FILL, QUERY, HEADERS, BODY)
Asked = tuple[str, bytes, list[tuple[bytes, bytes]], bytes]


def ask(method: str, path: str, asked: Asked, proof: list[tuple[bytes, bytes]]) -> bytes:
    """A request to a path with its places filled."""
    fill, query, headers, body = asked
    filled = re.sub(r"\{.*?\}", lambda _: fill, path)
    return request(method, filled.encode() + (b"?" + query if query else b""), [*proof, *headers], body)


@pytest.mark.parametrize(("method", "path"), CALLS)
@given(ASKED)
@some(8)
def test_a_stranger_breaks_nothing(lasting_world: World, method: str, path: str, asked: Asked) -> None:
    check(talk(lasting_world, ask(method, path, asked, [])), method)


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call not in LEAVING])
@given(ASKED, st.booleans())
@some(8)
def test_somebody_signed_in_breaks_nothing(
    lasting_world: World, cookies: dict[str, str], method: str, path: str, asked: Asked, by_cookie: bool
) -> None:
    access = cookies["gateway"].encode()
    proof = [(b"Authorization", b"Bearer " + access)]
    if by_cookie:
        proof = [(b"Cookie", b"gateway=" + access), (b"Origin", lasting_world.gateway.url.encode())]
    check(talk(lasting_world, ask(method, path, asked, proof)), method)


@given(st.sampled_from(METHODS), st.sampled_from([path for _, path in CALLS]) | FILL.map("/{}".format), ASKED)
@some(150)
def test_other_methods_and_paths_break_nothing(lasting_world: World, method: str, path: str, asked: Asked) -> None:
    check(talk(lasting_world, ask(method, path, asked, [])), method)


@given(st.data())
@some(60)
def test_tokens_that_were_tampered_with_break_nothing(
    lasting_world: World, cookies: dict[str, str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(cookies)))
    token = bytearray(cookies[name].encode())
    for place in data.draw(st.lists(st.integers(0, len(token) - 1), min_size=1, max_size=4)):
        token[place] = data.draw(st.sampled_from(b"!#$%&'*+-./09:<=>?@AZ[]^_`az{|}~"))
    cut = bytes(token[: data.draw(st.integers(0, len(token)))])
    for path, headers in (
        (b"/auth/me", [(b"Authorization", b"Bearer " + cut)]),
        (b"/auth/verify", [(b"Cookie", b"%s=%s" % (name.encode(), cut))]),
        (b"/auth/login", [(b"Cookie", b"%s=%s" % (name.encode(), cut))]),
    ):
        check(talk(lasting_world, request("GET", path, headers)))


@given(FIELDS, st.booleans())
@some(40)
def test_a_callback_with_a_true_state_and_garbage_beside_it_breaks_nothing(
    lasting_world: World, fields: list[tuple[str, str]], posted: bool
) -> None:
    with lasting_world.gateway.browser() as browser:
        browser.get("/auth/google/login")
        name, value = next((name, value) for name, value in browser.cookies.items() if "attempt" in name)
    answered = urlencode([("state", name.removeprefix("gateway-attempt-")), *fields]).encode()
    cookie = [(b"Cookie", f"{name}={value}".encode())]
    if posted:
        form = [(b"Content-Type", b"application/x-www-form-urlencoded")]
        check(talk(lasting_world, request("POST", b"/auth/google/callback", cookie + form, answered)))
    else:
        check(talk(lasting_world, request("GET", b"/auth/google/callback?" + answered, cookie)))


RAW = [
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nA\x00B: c\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT localhost:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET http://evil.example/auth/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET //auth//me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /auth/me HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    b"GET /auth/me HTTP/1.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n",
    b"GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /auth/login?" + b"a=1&" * 12_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\nConnection: close\r\n\r\n" + b"a" * 70_000,
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc",
    b"POST /auth/token HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\na=b",
    b"GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    b"GET /auth/me HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
]


@pytest.mark.parametrize("sent", RAW, ids=lambda sent: repr(sent[:60]))
def test_what_is_hardly_http_gets_no_server_error(lasting_sqlite_world: World, sent: bytes) -> None:
    check_any(talk(lasting_sqlite_world, sent, 0.2))


@given(st.binary(max_size=200), st.sampled_from(RAW), st.integers(0, 200))
@some(60)
def test_bytes_that_were_damaged_on_the_way_get_no_server_error(
    lasting_sqlite_world: World, noise: bytes, message: bytes, place: int
) -> None:
    check_any(talk(lasting_sqlite_world, message[:place] + noise + message[place + len(noise) :], 0.2))


def check_any(heard: bytes) -> None:
    """Nothing at all, the server's own refusal, or answers of ours."""
    if not heard or NOT_HTTP in heard or heard.startswith(TOO_LONG):
        assert heard.count(b"HTTP/1.1 5") == 0
        return
    first = heard.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    check(first, "HEAD")


async def test_a_websocket_is_refused_where_the_server_speaks_it(sqlite_url: str) -> None:
    app, sent = create_app(settings_for(sqlite_url)), []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await app({"type": "websocket", "path": "/auth/me", "headers": []}, receive, send)
    assert sent == ["websocket.close"]


def test_the_server_is_as_well_as_before(lasting_world: World, cookies: dict[str, str]) -> None:
    me = request("GET", b"/auth/me", [(b"Authorization", b"Bearer " + cookies["gateway"].encode())])
    assert check(talk(lasting_world, me)).status == 200
    with lasting_world.gateway.browser() as browser:
        assert lasting_world.sign_in(browser, "google").status_code == 303
