"""The server dies in the middle of its work, or is asked to stop: nobody is signed out by it."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gateway.testing import Behaviour, answers

from harness import PLAIN
from processes import Server, Site, site, wait_until

SESSIONS = 200


@dataclass
class Holder:
    """A client with a refresh token. A forgetful one refreshes once, and loses what it was given."""

    token: str
    forgetful: bool = False
    under_way: bool = False

    async def refresh(self, client: httpx2.AsyncClient) -> None:
        self.under_way = True
        form = {"grant_type": "refresh_token", "refresh_token": self.token}
        answer = await client.post("/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        self.under_way = False
        if not self.forgetful:
            self.token = answer.json()["refresh_token"]

    async def go_on(self, client: httpx2.AsyncClient, answered: asyncio.Semaphore) -> None:
        """Refresh again and again until the server is gone."""
        with suppress(httpx2.TransportError):
            await self.refresh(client)
            answered.release()
            while not self.forgetful:
                await self.refresh(client)
                answered.release()


def connect(server: Server) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=SESSIONS)
    return httpx2.AsyncClient(base_url=server.url, limits=limits, **PLAIN)


async def refresh_until_killed(server: Server, holders: list[Holder], enough: int) -> None:
    """Everybody refreshes at once; kill -9 as soon as `enough` answers have arrived."""
    answered = asyncio.Semaphore(0)

    async def kill() -> None:
        for _ in range(enough):
            await answered.acquire()
        server.command.process.kill()

    async with connect(server) as client:
        await asyncio.gather(kill(), *(holder.go_on(client, answered) for holder in holders))


async def refresh_once(server: Server, holders: list[Holder]) -> None:
    async with connect(server) as client:
        await asyncio.gather(*(holder.refresh(client) for holder in holders))


def ahead(served: Site, holders: list[Holder]) -> list[int]:
    """By how many steps each session has moved on in the database without its holder; less than 0: what was answered
    is not there."""
    current = dict(served.all("SELECT CAST(id AS TEXT), current FROM sessions"))
    rows = {id_.replace("-", ""): number for id_, number in current.items()}
    held = [served.gateway.app.parts.refresh.decode(holder.token) for holder in holders]
    return [rows[token.session_id.hex] - token.counter for token in held if token]


def test_a_kill_in_the_middle_of_refreshes_signs_nobody_out(database_url: str, tmp_path: Path) -> None:
    with site(database_url, tmp_path) as served:
        holders = [Holder(token, forgetful=place % 2 == 0) for place, token in enumerate(served.signed_in(SESSIONS))]
        with served.serve() as server:
            asyncio.run(refresh_until_killed(server, holders, SESSIONS // 2))
            assert server.command.wait() == -signal.SIGKILL
        assert {1} <= set(ahead(served, holders)) <= {0, 1}
        assert sum(holder.under_way for holder in holders) > 0
        with served.serve() as server:
            asyncio.run(refresh_once(server, holders))
            asyncio.run(refresh_once(server, [holder for holder in holders if not holder.forgetful]))
        assert served.all("SELECT id FROM sessions WHERE ended_at IS NOT NULL") == []
        assert served.all("SELECT name FROM events") == []


def test_requests_under_way_finish_when_the_server_is_asked_to_stop(database_url: str, tmp_path: Path) -> None:
    with site(database_url, tmp_path) as served, served.serve() as server, ThreadPoolExecutor(5) as pool:
        served.google.behaviour = Behaviour(answers={"token": answers.slow(1)})
        with ExitStack() as stack:
            browsers = [stack.enter_context(served.gateway.browser()) for _ in range(5)]
            callbacks = [(browser, served.start(browser, "google")) for browser in browsers]
            finishing = [pool.submit(browser.get, url) for browser, url in callbacks]
            wait_until(lambda: len(served.google.called("token")) == 5)
            assert server.command.end(signal.SIGTERM) == 0
            assert [answer.result().status_code for answer in finishing] == [303] * 5
            assert all("gateway-refresh" in browser.cookies for browser in browsers)
