"""Cross-origin calls: a request without Origin is answered as Starlette's middleware would, which it passes by."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.cors import for_browsers, with_cookies

import harness

FRIEND = "https://app.example.com"
KINDS = {
    "plain": [(b"content-type", b"text/plain")],
    "none": [],
    "varies": [(b"vary", b"Accept"), (b"x-other", b"1")],
    "varies twice": [(b"vary", b"Accept"), (b"x-other", b"1"), (b"vary", b"Cookie")],
}


def answering(headers: list[tuple[bytes, bytes]]) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


async def ask(app: ASGIApp, method: str, path: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app({"type": "http", "method": method, "path": path, "headers": [(b"host", b"auth")]}, receive, send)
    sent[0]["headers"] = sorted(sent[0]["headers"])
    return sent


@pytest.mark.parametrize("path", ["/auth/me", "/auth/token"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("headers", KINDS.values(), ids=KINDS)
async def test_without_an_origin(headers: list[tuple[bytes, bytes]], method: str, path: str, sqlite_url: str) -> None:
    inner = answering(headers)
    ours = for_browsers(inner, harness.settings_for(sqlite_url, cors_origins=[FRIEND]))
    answer = await ask(ours, method, path)
    assert answer == await ask(with_cookies(inner, [FRIEND]), method, path)
    assert b"Origin" in dict(answer[0]["headers"])[b"vary"]


async def test_steps_of_a_sign_in_vary_with_no_origin(sqlite_url: str) -> None:
    ours = for_browsers(answering([]), harness.settings_for(sqlite_url, cors_origins=[FRIEND]))
    assert (await ask(ours, "GET", "/auth/google/login"))[0]["headers"] == []
