"""What surrounds every request, over real sockets: id, size, headers, log line, and an answer to everything."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.logs import JsonLines, Redaction, request_id
from gateway.web.envelope import Envelope
from gateway.web.fields import LIMIT, read_body

from wire import Answer, ask, request, serving, talk

LOCAL = (ip_network("127.0.0.0/8"),)


async def show(request: Request) -> Response:
    return JSONResponse({"id": request_id.get(), "path": request.scope["path"], "name": request.path_params})


async def page(request: Request) -> Response:
    return HTMLResponse("<p>hello</p>")


async def cached(request: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=300", "Referrer-Policy": "origin", "Server": "x/1"}
    return PlainTextResponse("hello", headers=headers)


async def count(request: Request) -> Response:
    return JSONResponse(len(await read_body(request.receive, 10 * LIMIT)))


async def break_down(request: Request) -> Response:
    raise RuntimeError("client_secret=hidden")


async def break_midway(request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("gone")

    return StreamingResponse(body())


ROUTES = [
    Route("/", show),
    Route("/health/live", page),
    Route("/auth/sessions/{id}", show),
    Route("/page", page),
    Route("/cached", cached),
    Route("/count", count, methods=["POST"]),
    Route("/broken", break_down),
    Route("/midway", break_midway),
]


def explain(scope: Scope, error: Exception) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    known = error if isinstance(error, GatewayError) else GatewayError()
    body = json.dumps({"error": known.code, "request_id": request_id.get()}).encode()
    return known.status, [(b"content-type", b"application/json")], body


def inside() -> ASGIApp:
    return ExceptionMiddleware(Router(ROUTES))


def envelope(app: ASGIApp | None = None, public_url: str = "https://id.example.com", **options: Any) -> Envelope:
    return Envelope(app or inside(), **{"public_url": public_url, "on_error": explain, **options})


@pytest.fixture(params=["httptools", "h11"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    async with serving(envelope(), request.param) as port:
        yield port


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/page", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/page", 405),
        ("TRACE", "/page", 405),
        ("GET", "/broken", 500),
        ("HEAD", "/page", 200),
    ],
)
async def test_every_answer_wears_the_headers(port: int, method: str, path: str, status: int) -> None:
    answer = await talk(port, request(method, path))
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in EXPECTED} == EXPECTED
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers
    assert len(answer.pairs) == len(answer.headers)


EXPECTED = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}


async def test_a_405_says_what_is_allowed(port: int) -> None:
    assert (await talk(port, request("DELETE", "/page"))).headers["allow"] in ("GET, HEAD", "HEAD, GET")


async def test_the_request_s_id_is_the_one_that_handlers_see(port: int) -> None:
    answer = await talk(port, request("GET", "/"))
    assert answer.headers["x-request-id"] == answer.json["id"]


async def test_a_stranger_does_not_name_a_request(port: int) -> None:
    assert (await talk(port, request("GET", "/", "X-Request-Id: abc"))).headers["x-request-id"] != "abc"


async def test_a_trusted_proxy_names_a_request() -> None:
    async with serving(envelope(trusted_proxies=LOCAL)) as port:
        assert (await talk(port, request("GET", "/", "X-Request-Id: a.B-9_"))).headers["x-request-id"] == "a.B-9_"


@pytest.mark.parametrize("name", [b"", b"a b", b"a" * 65, b"\xc3\xa9", b'"', b"a\nb", b"abc\n"])
async def test_a_strange_name_is_replaced(name: bytes) -> None:
    app = envelope(trusted_proxies=LOCAL)
    _, headers, _ = await ask(app, "GET", "/", client=("127.0.0.1", 1), headers=[(b"x-request-id", name)])
    assert len(headers[b"x-request-id"]) == 24


async def test_two_requests_have_two_names() -> None:
    app = envelope()
    names = {(await ask(app, "GET", "/"))[1][b"x-request-id"] for _ in range(20)}
    assert len(names) == 20


async def test_nothing_of_a_request_is_left_behind() -> None:
    await ask(envelope(), "GET", "/")
    assert request_id.get() == ""


async def test_a_body_of_the_limit_is_taken(port: int) -> None:
    assert (await talk(port, request("POST", "/count", body=b"x" * LIMIT))).json == LIMIT


@pytest.mark.parametrize("path", ["/count", "/page", "/nothing"])
async def test_a_body_announced_too_long_is_refused_anywhere(port: int, path: str) -> None:
    answer = await talk(port, request("POST", path, f"Content-Length: {LIMIT + 1}"))
    assert (answer.status, answer.json["error"]) == (413, "invalid_request")


def chunk(size: int) -> bytes:
    return f"{size:x}\r\n".encode() + b"x" * size + b"\r\n"


async def test_a_body_in_chunks_is_taken(port: int) -> None:
    raw = request("POST", "/count", "Transfer-Encoding: chunked") + chunk(1000) * 3 + chunk(0)
    assert (await talk(port, raw)).json == 3000


async def test_a_flood_of_chunks_is_cut_off(port: int) -> None:
    head = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + chunk(LIMIT + 1))
        answer = Answer(await reader.read())  # ends although we never did: the server hung up
        writer.close()
    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_two_ways_to_measure_a_body_are_refused(port: int) -> None:
    raw = request("POST", "/count", "Transfer-Encoding: chunked", "Content-Length: 4") + chunk(4) + chunk(0)
    assert (await talk(port, raw)).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-length", b"-1")], 400),
        ([(b"content-length", b"+5")], 400),
        ([(b"content-length", b"")], 400),
        ([(b"content-length", b"5, 5")], 400),
        ([(b"content-length", b"9" * 5000)], 413),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], 400),
    ],
)
async def test_a_length_with_no_clear_reading_is_refused(headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert (await ask(envelope(), "POST", "/count", headers=headers))[0] == status


async def test_http_2_is_not_told_to_close() -> None:
    _, headers, _ = await ask(envelope(), "POST", "/count", http_version="2", headers=[(b"content-length", b"99999")])
    assert b"connection" not in headers


async def test_head_is_get_without_a_body(port: int) -> None:
    got = await talk(port, request("GET", "/page"))
    asked = await talk(port, request("HEAD", "/page"))
    assert (asked.status, asked.body) == (200, b"")
    assert asked.headers["content-length"] == got.headers["content-length"]


async def test_head_of_what_breaks_has_no_body() -> None:
    status, _, body = await ask(envelope(), "HEAD", "/broken")
    assert (status, body) == (500, b"")


async def test_what_breaks_is_answered_without_saying_why(port: int) -> None:
    answer = await talk(port, request("GET", "/broken"))
    assert answer.json == {"error": "server_error", "request_id": answer.headers["x-request-id"]}


async def test_what_breaks_is_logged_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/broken")
    (record,) = [record for record in caplog.records if record.name == "gateway.web.envelope"]
    assert (record.message, record.exc_info is not None) == ("unexpected_error", True)


async def test_an_answer_to_an_error_that_breaks_itself_is_still_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(scope: Scope, error: Exception) -> Any:
        raise LookupError("worse")

    status, headers, body = await ask(envelope(on_error=fail), "GET", "/broken")
    assert (status, json.loads(body)["error"]) == (500, "server_error")
    assert headers[b"content-length"] == str(len(body)).encode()
    assert [record.message for record in caplog.records] == ["unexpected_error", "no_answer_to_error"]


async def test_half_an_answer_does_not_pass_for_a_whole_one(port: int) -> None:
    answer = await talk(port, request("GET", "/midway"))
    assert answer.body == b"4\r\nhalf\r\n"  # the closing chunk is missing


async def test_half_an_answer_is_the_server_s_to_cut() -> None:
    with pytest.raises(RuntimeError, match="gone"):
        await ask(envelope(), "GET", "/midway")


async def test_what_breaks_after_the_answer_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("done")(scope, receive, send)
        raise RuntimeError("late")

    status, _, body = await ask(envelope(late), "GET", "/")
    assert (status, body) == (200, b"done")
    assert [record.message for record in caplog.records] == ["unexpected_error"]


async def test_a_client_that_went_away_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def abandoned(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    async def never(*_: Any) -> Any:
        raise AssertionError("nobody is there to answer")

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    await envelope(abandoned)(scope, never, never)
    assert caplog.records == []


async def test_a_whole_starlette_application_answers_its_own_errors_in_the_envelope() -> None:
    status, headers, _ = await ask(envelope(Starlette(routes=ROUTES)), "GET", "/broken")
    assert (status, headers[b"x-content-type-options"]) == (500, b"nosniff")


@pytest.fixture
def access_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "gateway.access")
    return caplog


async def test_the_log_has_one_line_per_request(access_log: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/auth/sessions/7", query_string=b"code=hidden&state=hidden")
    (record,) = access_log.records
    fields = dict(vars(record)["fields"])
    assert fields.pop("ms") >= 0
    assert (record.name, record.message) == ("gateway.access", "request")
    assert fields == {
        "method": "GET",
        "path": "/auth/sessions/{id}",
        "status": 200,
        "ip": "198.51.100.7",
        "bytes": fields["bytes"],
    }


async def test_the_log_shows_an_unknown_path_cut(access_log: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/a" * 5000)
    assert len(vars(access_log.records[0])["fields"]["path"]) == 256


async def test_the_log_hides_what_may_be_a_token_in_an_unknown_path(access_log: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/app/0ZnTfK4HCgyBTKqKhyxDzFFw1f6dikyz/x")
    assert vars(access_log.records[0])["fields"]["path"] == "/app/***/x"


@pytest.mark.parametrize("secret", ["gwr_c2hvcnQ", "ada@example.com", "eyJhbGciOiJub25lIn0"])
async def test_the_access_line_is_redacted_before_the_log_takes_it_for_clean(
    access_log: pytest.LogCaptureFixture, secret: str
) -> None:
    await ask(envelope(), secret, f"/app/{secret}/x")
    (record,) = access_log.records
    assert Redaction().filter(record)
    line = JsonLines().format(record)
    assert secret not in line
    assert json.loads(line)["path"] == "/app/***/x"


async def test_the_log_counts_the_bytes_sent(access_log: pytest.LogCaptureFixture) -> None:
    _, _, body = await ask(envelope(), "GET", "/page")
    assert vars(access_log.records[0])["fields"]["bytes"] == len(body)


async def test_health_is_not_worth_a_line(access_log: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/health/live")
    assert access_log.records == []


async def test_a_forged_address_does_not_reach_the_log(access_log: pytest.LogCaptureFixture) -> None:
    await ask(envelope(), "GET", "/", headers=[(b"x-forwarded-for", b"203.0.113.1")])
    assert vars(access_log.records[0])["fields"]["ip"] == "198.51.100.7"


async def test_a_proxy_s_word_for_the_address_reaches_the_log(access_log: pytest.LogCaptureFixture) -> None:
    app = envelope(trusted_proxies=LOCAL)
    await ask(app, "GET", "/", client=("127.0.0.1", 1), headers=[(b"x-forwarded-for", b"203.0.113.1")])
    assert vars(access_log.records[0])["fields"]["ip"] == "203.0.113.1"


@pytest.mark.parametrize("path", ["/id/auth/sessions/7", "/auth/sessions/7"])
async def test_below_a_base_path_the_routes_are_the_same(path: str) -> None:
    app = envelope(public_url="https://example.com/id")
    _, _, body = await ask(app, "GET", path)
    assert json.loads(body)["path"] == "/auth/sessions/7"


async def test_inside_another_application_the_routes_are_the_same() -> None:
    outer = Router([Mount("/outer", Router([Mount("/id", envelope(public_url="https://example.com/outer/id"))]))])
    _, _, body = await ask(outer, "GET", "/outer/id/auth/sessions/7")
    assert json.loads(body)["path"] == "/auth/sessions/7"


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_what_is_no_http_request_passes_untouched(kind: str) -> None:
    passed: list[Any] = []

    async def app(*arguments: Any) -> None:
        passed.extend(arguments)

    scope, receive, send = {"type": kind, "path": "/id/x"}, object(), object()
    await envelope(app, "https://example.com/id")(scope, receive, send)  # type: ignore[arg-type]  # passed on only
    assert passed == [scope, receive, send]


async def test_all_who_came_at_once_are_worked_for_before_anybody_is_answered() -> None:
    steps: list[str] = []

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        steps.append("worked")
        await PlainTextResponse("done")(scope, receive, send)

    app = envelope(work)

    async def one() -> None:
        await ask(app, "GET", "/")
        steps.append("answered")

    await asyncio.gather(one(), one(), one())
    assert steps == ["worked"] * 3 + ["answered"] * 3
