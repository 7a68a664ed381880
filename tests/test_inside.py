"""The gateway inside an application: starts and stops with it, is asked within the process, leaves its log alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from signed_in import add_session

from gateway import create_app, migrate
from gateway.app import Gateway
from gateway.errors import CannotStart
from gateway.inside import Inside
from gateway.resource import Verifier
from gateway.resource.errors import CannotTell, InvalidToken

from harness import settings_for

NOWHERE = "https://login.example.com/sso"  # nobody could be asked there


@asynccontextmanager
async def started(url: str) -> AsyncIterator[Gateway]:
    gateway = create_app(settings_for(url, public_url=NOWHERE))
    async with gateway.lifespan(None):
        yield gateway


async def a_session(gateway: Gateway) -> tuple[Any, str]:
    parts, now = gateway.parts, int(time.time())
    session = await add_session(parts.database, auth_time=now, expires_at=now + 3600, now=now)
    return session, parts.renewal.issuer.issue(session, now).access_token


async def ask_until_refused(verifier: Verifier, token: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        await verifier.verify(token)
        await asyncio.sleep(0.1)


async def test_a_verifier_asks_within_the_process(sqlite_url: str) -> None:
    async with started(sqlite_url) as gateway:
        session, token = await a_session(gateway)
        verifier = Verifier(NOWHERE, transport=gateway.transport, revocations=True)
        assert (await verifier.verify(token)).subject == str(session.account_id)
        assert (await asyncio.to_thread(verifier.verify_sync, token)).session_id == str(session.id)
        gateway.parts.ended.add([session.id])
        with pytest.raises(InvalidToken, match="has ended"):
            await ask_until_refused(verifier, token)
        await asyncio.to_thread(verifier.close)


async def test_nobody_is_asked_before_the_start_or_after_the_end(sqlite_url: str) -> None:
    gateway = create_app(settings_for(sqlite_url, public_url=NOWHERE))
    before = Verifier(NOWHERE, transport=gateway.transport)
    async with started(sqlite_url) as other:
        _, token = await a_session(other)
    with pytest.raises(CannotTell):
        await before.verify(token)
    async with gateway.lifespan(None):
        assert await Verifier(NOWHERE, transport=gateway.transport).verify(token)
    with pytest.raises(CannotTell):
        await Verifier(NOWHERE, transport=gateway.transport).verify(token)
    with httpx2.Client(transport=gateway.transport) as client, pytest.raises(httpx2.ConnectError):
        await asyncio.to_thread(client.get, f"{NOWHERE}/health/live")


async def test_who_does_not_answer_holds_nobody_up() -> None:
    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    running = asyncio.get_running_loop()
    inside = Inside(silent, lambda: running, time_limit=0.05)
    with httpx2.Client(transport=inside) as client, pytest.raises(httpx2.ReadTimeout):
        await asyncio.to_thread(client.get, NOWHERE)


async def test_where_it_is_and_what_its_cookie_is_called(sqlite_url: str) -> None:
    below = create_app(settings_for(sqlite_url, public_url=NOWHERE))
    assert (below.path, below.session_cookie) == ("/sso", "__Host-gateway")
    alone = create_app(settings_for(sqlite_url))
    assert (alone.path, alone.session_cookie) == ("", "gateway")


async def test_a_fault_keeps_the_application_from_starting(postgres_url: str) -> None:
    await migrate.move(postgres_url, "base")
    with pytest.raises(CannotStart, match="gateway migrate"):
        async with started(postgres_url):
            pytest.fail("it has started")


async def test_an_application_keeps_its_own_log(tmp_path: object) -> None:
    """Also through migrations, which bring a configuration of their own in other projects."""
    root, theirs = logging.getLogger(), logging.getLogger("theirs")
    before = (list(root.handlers), root.level, theirs.disabled, logging.getLogger("gateway").level)
    async with started(f"sqlite:///{tmp_path}/new.db"):
        pass
    assert (list(root.handlers), root.level, theirs.disabled, logging.getLogger("gateway").level) == before
