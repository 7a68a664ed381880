"""The shortcut of forward auth answers as the plain way does, whatever is asked and whatever has happened meanwhile."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from signed_in import Clock
from starlette.types import Receive, Scope, Send

from gateway.app import Gateway, create_app
from gateway.tokens.access import AccessGrant
from gateway.web.shortcut import Shortcut
from gateway.wire import LimitedProtocol

from harness import settings_for
from wire import serving

PLAIN = "GET /auth/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
CLOSE = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# What is another one with each answer.
OWN = re.compile(
    rb'(?<=date: )[^\r]*|(?:(?<=x-request-id: )|(?<="request_id": ")|(?<="selectable">))[0-9a-f]{24}|eyJ[\w.-]*'
)

TARGETS = ["/auth/verify"] * 6 + [
    "/auth/verify/redirect",
    "/auth/verify/",
    "/auth/%76erify",
    "/auth/me/",
    "//auth/verify",
]
QUERIES = [""] * 4 + ["?", "?scope=email", "?role=staff", "?role=staff&role=admin", "?role=%73taff", "?max_age=60"]
QUERIES += ["?max_age=9000", "?token=1", "?unknown=1", "?scope=email&max%5fage=60", "?provider=google", "?role"]
BEARERS = ["Authorization: Bearer {token}"] * 4 + ["authorization: bearer {token}", "Authorization: Bearer  {token} "]
COOKIES = ["Cookie: gateway={token}", "Cookie: a=b; gateway={token}", "Cookie: a=b\r\nCookie: gateway={token}"]
MORE = ["", "Authorization: Bearer {other}", "Cookie: gateway={other}", "Authorization: Basic eA=="]
HEADERS = [
    "User-Agent: x",
    "Accept: text/html",
    "Sec-Fetch-Mode: navigate",
    "X-Forwarded-Uri: /a",
    "X-Request-Id: mine-1",
]
HEADERS += [
    "X-Request-Id: mine 2",
    "X-REQUEST-ID: mine-3",
    "Origin: https://page.example",
    "Origin: null",
    "X-Unheard: 1",
]
HEADERS += [
    "Connection: keep-alive",
    "Connection: close",
    "Upgrade: h2c",
    "Content-Length: 0",
]
HEADERS += ["Content-Length: 3", "Transfer-Encoding: chunked", "Expect: 100-continue", "X-Forwarded-For: 192.0.2.9"]
HEADERS += ["X-Forwarded-Host: other.example", "Access-Control-Request-Method: GET", "Host: y", "Accept: {token}"]


class Seen(LimitedProtocol):
    """Every connection at the first server."""

    all: ClassVar[list[Seen]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        Seen.all.append(self)


@dataclass
class House:
    """One gateway behind two servers: one that takes the shortcut, one that does not know of it."""

    gateway: Gateway
    clock: Clock
    quick: int
    plain: int
    asked: list[Scope] = field(default_factory=list)  # what went the plain way at the first

    def token(self, **given: Any) -> str:
        said = {
            "subject": str(uuid.uuid4()),
            "session_id": uuid.uuid4(),
            "auth_time": int(self.clock.now),
            "idp": "google",
        }
        said |= {"scope": "openid email", "roles": ("staff",), "email": "ada@example.com", "email_verified": True}
        return self.gateway.parts.access.mint(AccessGrant(**said | given))

    def token_that_is(self, kind: str, session_id: uuid.UUID) -> str:
        now = int(self.clock.now)
        if kind == "ended":
            self.gateway.parts.ended.add([session_id])
        said: dict[str, dict[str, Any]] = {
            "narrow": {"scope": "openid", "email": None, "email_verified": None},
            "brief": {"not_after": now + 30},
            "late": {"auth_time": now - 100},
            "service": {"subject": "app:x", "client_id": "x", "session_id": None},
        }
        return (
            "eyJhbGciOiJub25lIn0.e30."
            if kind == "garbage"
            else self.token(**{"session_id": session_id} | said.get(kind, {}))
        )

    async def rest(self, port: int, raw: bytes) -> bytes:
        """All that comes back on one connection."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            found = await reader.read()
            writer.close()
        return found

    async def ask(self, request: str, times: int = 1) -> list[bytes]:
        """The heads of as many answers on one connection."""
        found = await self.rest(self.quick, (request * times + CLOSE).encode())
        return found.split(b"\r\n\r\n")[:times]


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[House]:
    clock = Clock()
    gateway = create_app(settings_for(url, cors_origins=["https://page.example"], **options), clock=clock)
    house = House(gateway, clock, 0, 0)

    class Watched:
        shortcut = gateway.shortcut

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            house.asked.append(scope)
            await gateway(scope, receive, send)

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await gateway(scope, receive, send)

    async with AsyncExitStack() as stack:
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        house.quick = await stack.enter_async_context(serving(Watched(), Seen))
        house.plain = await stack.enter_async_context(serving(plain, LimitedProtocol))
        yield house


@pytest.fixture
async def house(sqlite_url: str) -> AsyncIterator[House]:
    async with opened(sqlite_url) as made:
        yield made


@pytest.fixture(scope="module")
def town(lasting_sqlite_url: str) -> Iterator[tuple[asyncio.Runner, House]]:
    with asyncio.Runner() as runner:
        place = opened(lasting_sqlite_url, trusted_proxies=["127.0.0.1"])
        made = runner.run(place.__aenter__())
        yield runner, made
        runner.run(place.__aexit__(None, None, None))


@st.composite
def requests(draw: st.DrawFn) -> str:
    method = draw(st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "OPTIONS"]))
    version = draw(st.sampled_from(["1.1"] * 8 + ["1.0"]))
    lines = [f"{method} {draw(st.sampled_from(TARGETS))}{draw(st.sampled_from(QUERIES))} HTTP/{version}"]
    lines += [draw(st.sampled_from(BEARERS + COOKIES + MORE)), draw(st.sampled_from(["", "", "", *MORE, *COOKIES]))]
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=3, unique=True))
    body = {"Content-Length: 3": "abc", "Transfer-Encoding: chunked": "3\r\nabc\r\n0\r\n\r\n"}
    bodies = [body[line] for line in lines if line in body]
    return "\r\n".join([line for line in lines if line] + ["", ""]) + "".join(bodies[-1:])


def compare(runner: asyncio.Runner, house: House, raw: str) -> None:
    for _ in range(2):  # the first time it may be remembered, the second it may be repeated
        quick, plain = (runner.run(house.rest(port, (raw + CLOSE).encode())) for port in (house.quick, house.plain))
        assert OWN.sub(b"*", quick) == OWN.sub(b"*", plain)


TOKENS = ["good", "ended", "narrow", "brief", "garbage", "service", "late"]
EVENTS = ["nothing", "nothing", "end", "time", "keys"]


@hypothesis_settings(
    max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(requests(), min_size=1, max_size=3),
    st.sampled_from(TOKENS),
    st.sampled_from(TOKENS),
    st.sampled_from(EVENTS),
)
@example([PLAIN], "good", "good", "end")
@example([PLAIN], "brief", "good", "time")
@example([PLAIN], "good", "good", "keys")
@example([PLAIN.replace("verify", "verify?max_age=60")], "good", "good", "time")
@example([PLAIN.replace("verify", "verify?token=1")], "good", "good", "nothing")
def test_the_same_requests_get_the_same_answers(
    town: tuple[asyncio.Runner, House], asked: list[str], token: str, other: str, event: str
) -> None:
    runner, house = town
    parts, sessions = house.gateway.parts, [uuid.uuid4(), uuid.uuid4()]
    raw = "".join(asked)
    for name, kind, session_id in zip(("{token}", "{other}"), (token, other), sessions, strict=True):
        raw = raw.replace(name, house.token_that_is(kind, session_id))

    compare(runner, house, raw)
    match event:
        case "end":
            parts.ended.add(sessions)
        case "time":
            house.clock.now += 90
        case "keys":
            used = next(kid for kid, key in parts.keyring.keys.items() if key.state == "current")
            runner.run(parts.keyring.rotate(force=True))
            runner.run(parts.keyring.retire(used))
    compare(runner, house, raw)


def test_one_header_more(town: tuple[asyncio.Runner, House]) -> None:
    runner, house = town
    for header in HEADERS:
        plain = PLAIN.replace("{token}", house.token())
        body = "abc" if header.endswith(" 3") else "0\r\n\r\n" if header.endswith("chunked") else ""
        compare(runner, house, f"{plain}{plain[:-2]}{header}\r\n\r\n{body}{plain}")


async def test_who_was_let_pass_goes_the_short_way(house: House) -> None:
    token = house.token()
    first = await house.ask(PLAIN.format(token=token))
    house.asked.clear()
    answers = first + await house.ask(PLAIN.format(token=token), 5) + await house.ask(PLAIN.format(token=token))
    assert [scope["path"] for scope in house.asked] == ["/health/live"] * 2
    assert len({OWN.sub(b"*", answer) for answer in answers}) == 1
    assert len({re.search(rb"x-request-id: (\w+)", answer)[1] for answer in answers}) == 7  # type: ignore[index]


async def test_it_is_counted_and_in_the_log_like_any_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    token = house.token()
    await house.ask(PLAIN.format(token=token))
    with caplog.at_level(logging.INFO, "gateway.access"):
        answers = await house.ask(PLAIN.format(token=token), 3)
    lines = [record.fields for record in caplog.records if record.fields["path"] == "/auth/verify"]  # type: ignore[attr-defined]
    assert len(lines) == len(answers) == 3
    assert {(one["method"], one["status"], one["ip"], one["bytes"]) for one in lines} == {("GET", 200, "127.0.0.1", 0)}
    counted = house.gateway.parts.metrics._tally.counts
    assert counted["gateway_requests_total", "GET", "/auth/verify", "200"] == 4


async def test_nobody_passes_while_the_ends_are_unknown(house: House) -> None:
    request = PLAIN.format(token=house.token())
    assert [answer.split()[1] for answer in await house.ask(request, 2)] == [b"200", b"200"]
    await house.gateway.parts.ended.stop()
    house.gateway.parts.ended._known_at = None
    assert [answer.split()[1] for answer in await house.ask(request)] == [b"503"]


async def test_what_is_kept_is_bounded_and_holds_no_token(house: House) -> None:
    parts, gateway = house.gateway.parts, house.gateway
    small = Shortcut(gateway.shortcut._envelope, parts.access, parts.ended, house.clock, base="", size=8)
    gateway.shortcut = small
    tokens = [house.token() for _ in range(40)]
    for token in tokens:
        scope: Scope = {"headers": [(b"authorization", b"Bearer " + token.encode())]}
        assert small.find(b"/auth/verify", scope) is None
        whole = {"type": "http", "method": "GET", "path": "/auth/verify", "query_string": b"", "client": None} | scope
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await gateway(whole, lambda: asyncio.sleep(0, {"type": "http.request"}), send)
        assert sent[0]["status"] == 200
        assert small.find(b"/auth/verify", scope | {"client": None}) is not None
    assert len(small._recent) <= 8
    kept = repr(small._recent.__dict__)
    assert not any(token in kept or token.rpartition(".")[2] in kept for token in tokens)


async def test_who_asks_on_and_takes_no_answers_fills_nobodys_memory(house: House) -> None:
    request = PLAIN.format(token=house.token()).encode()
    await house.rest(house.quick, request + CLOSE.encode())
    _, writer = await asyncio.open_connection("127.0.0.1", house.quick, limit=1)
    try:
        for _ in range(400):  # of 150 kB each
            writer.write(request * 200)
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:  # the server reads no more
                break
        else:
            pytest.fail("everything was read")
        assert max(each.transport.get_write_buffer_size() for each in Seen.all) < 256 * 1024
    finally:
        writer.transport.abort()
