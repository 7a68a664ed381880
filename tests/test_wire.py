"""The HTTP end of a connection: no head without end, and no connection for who does not get to the end of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway import serve
from gateway.web import fields
from gateway.wire import PIECE, LimitedProtocol

from wire import Answer, request, serving, talk

LIMIT = 2048
HOST = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Small(LimitedProtocol):
    max_head = LIMIT


class Hasty(LimitedProtocol):
    head_patience = body_patience = 0.05


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(routes=[Route("/", hello), Route("/", length, methods=["POST"])])


@asynccontextmanager
async def connected(http: type[LimitedProtocol]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(APP, http) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * LIMIT,
        HOST + b"X: " + b"a" * LIMIT,
        HOST + b"a: b\r\n" * (LIMIT // 6),
        b"\r\n" * LIMIT,
        HOST + b"X: " + b"a" * (4 * PIECE) + b"\r\n\r\n",
    ],
    ids=["address", "header", "headers", "lines before", "whole"],
)
async def test_a_head_that_is_too_large_is_answered_and_the_connection_closed(endless: bytes) -> None:
    async with serving(APP, Small) as port:
        answered = await talk(port, endless)
    assert (answered.status, answered.headers["connection"]) == (431, "close")
    assert len(answered.body) == int(answered.headers["content-length"])


@pytest.mark.parametrize(
    "endless",
    [CHUNKED + b"0\r\nX: " + b"a" * LIMIT, CHUNKED + b"1;x=" + b"a" * LIMIT, CHUNKED + b"1\r\na\r\n" * LIMIT],
    ids=["trailer", "extension", "chunks"],
)
async def test_what_surrounds_a_body_has_an_end_too(endless: bytes) -> None:
    async with connected(Small) as (reader, writer):
        writer.write(endless)
        assert b"200 OK" not in await reader.read()


async def test_a_head_within_the_limit_is_answered() -> None:
    async with serving(APP, Small) as port:
        answered = await talk(port, request("GET", "/", "X: " + "a" * (LIMIT - 100)))
    assert (answered.status, answered.body) == (200, b"hello")


async def test_a_body_does_not_count_as_head() -> None:
    async with serving(APP, Small) as port:
        answered = await talk(port, request("POST", "/", body=b"a" * (LIMIT * 20)))
    assert answered.body == b"%d" % (LIMIT * 20)


async def test_each_request_of_a_connection_counts_by_itself() -> None:
    whole = HOST + b"X: " + b"a" * (LIMIT - 100) + b"\r\n\r\n"
    async with connected(Small) as (reader, writer):
        for _ in range(5):
            writer.write(whole)
            answered = Answer(await reader.readuntil(b"hello"))
            assert answered.status == 200


@pytest.mark.parametrize("half", [b"", b"\r\n", b"GET", HOST, POST, POST + b"a", CHUNKED + b"1\r\na\r\n"])
async def test_who_does_not_get_to_the_end_is_hung_up_on(half: bytes) -> None:
    async with connected(Hasty) as (reader, writer):
        writer.write(half)
        assert await reader.read() == b""


async def test_half_a_head_after_a_whole_request_is_hung_up_on() -> None:
    async with connected(Hasty) as (reader, writer):
        writer.write(HOST + b"\r\n" + HOST)
        assert (await reader.read()).endswith(b"hello")


async def test_a_connection_between_two_requests_has_the_keep_alive_time() -> None:
    async with connected(Hasty) as (reader, writer):
        for _ in range(2):
            writer.write(HOST + b"\r\n")
            assert await reader.readuntil(b"hello")
            await asyncio.sleep(4 * Hasty.head_patience)


async def test_the_application_is_the_first_to_lose_patience_with_a_body() -> None:
    assert LimitedProtocol.body_patience > fields.PATIENCE


def test_every_server_of_ours_has_these_limits() -> None:
    assert serve.options()["http"] is LimitedProtocol
