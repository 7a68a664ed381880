"""Back-channel logout to applications: written with the end, delivered once, tried again, given up."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from signed_in import NOW, add_account
from sqlalchemy import select

from gateway import logouts, schema, sessions
from gateway.db import Database
from gateway.flows.courier import Courier
from gateway.logouts import HOUR, PATIENCE, Logout, Told, pause_after
from gateway.tokens.id_token import IdTokens
from gateway.tokens.logout_token import EVENT, LogoutTokens

from calling import URL, Calling, basic, calling, claims_of

SID = "5a1d" * 8


class Shop:
    """An application's logout endpoint on a real socket: answers what it is told to, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[tuple[str, str]] = []  # content type, token
        self.url = ""

    def take(self, kind: str, body: str) -> int:
        self.got.append((kind, parse_qs(body)["logout_token"][0]))
        return self.answers.pop(0) if self.answers else 200


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(made.take(self.headers["Content-Type"], body))
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # of the five that are usual the sixth waits for a second

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/logout"
    yield made
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
async def called(database_url: str, tmp_path: Path, shop: Shop) -> AsyncIterator[Calling]:
    table = {"type": "spa", "redirect_uris": ["https://shop.example.com/"], "backchannel_logout_url": shop.url}
    async with calling(database_url, tmp_path, {"shop": table}) as made:
        yield made


async def signed_in(called: Calling, client_id: str = "shop", **given: Any) -> uuid.UUID:
    session_id, _ = await called.grant(client_id, facts={"sid": SID}, **given)
    return session_id


async def waiting(database: Database) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(schema.logouts))).all())


async def events(called: Calling) -> list[tuple[str, Any]]:
    async with called.gateway.parts.database.read() as connection:
        rows = await connection.execute(select(schema.events.c.name, schema.events.c.detail))
        return [tuple(row) for row in rows]


async def end(called: Calling, session_id: uuid.UUID, reason: str = "signed_out") -> None:
    async with called.gateway.parts.database.write() as connection:
        await sessions.end(connection, session_id, reason=reason, now=int(called.clock.now))


async def test_the_application_is_told(called: Calling, shop: Shop) -> None:
    session_id = await signed_in(called)
    await end(called, session_id)
    await called.gateway.parts.courier.deliver()
    [(kind, token)] = shop.got
    assert kind == "application/x-www-form-urlencoded"
    keys = KeySet.import_key_set((await called.client.get("/.well-known/jwks.json")).json())
    verified = jwt.decode(token, keys, algorithms=["ES256"])
    claims = verified.claims
    assert verified.header["typ"] == "logout+jwt"
    assert (claims["iss"], claims["aud"], claims["sid"]) == (URL, "shop", SID)
    assert claims["exp"] - claims["iat"] == 120
    assert claims["events"] == {EVENT: {}}
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"}  # above all no nonce
    assert await waiting(called.gateway.parts.database) == []


async def test_twice_in_vain_then_told(called: Calling, shop: Shop) -> None:
    shop.answers = [503, 302]
    await end(called, await signed_in(called))
    for after, tries in ((0, 1), (4, 1), (5, 2), (34, 2), (35, 3), (10_000, 3)):
        called.clock.now = NOW + after
        await called.gateway.parts.courier.deliver()
        assert len(shop.got) == tries
    jtis = {claims_of(token)["jti"] for _, token in shop.got}
    assert len(jtis) == 3  # an application that spends them once takes each
    assert await waiting(called.gateway.parts.database) == []


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 30), (3, 120), (4, 600), (5, HOUR), (25, HOUR)])
def test_pauses(tries: int, seconds: int) -> None:
    assert pause_after(tries) == seconds


async def test_after_a_day_in_vain_it_is_given_up(called: Calling, shop: Shop) -> None:
    shop.answers = [400] * 99
    await end(called, await signed_in(called))
    for _ in range(40):
        await called.gateway.parts.courier.deliver()
        rows = await waiting(called.gateway.parts.database)
        if not rows:
            break
        called.clock.now = rows[0].next_at
    assert called.clock.now - NOW >= PATIENCE
    [(name, detail)] = await events(called)
    assert (name, detail["client"], detail["fault"]) == ("logout_undelivered", "shop", "HTTP status 400")
    assert detail["tries"] == len(shop.got)


async def test_nobody_there(called: Calling, shop: Shop) -> None:
    parts = called.gateway.parts
    await end(called, await signed_in(called))
    gone = parts.settings.apps["shop"]
    tokens = LogoutTokens(URL, {"ES256": parts.keyring})
    nowhere = type(gone)(client_id="shop", type="spa", label="shop", backchannel_logout_url="http://127.0.0.1:1/x")
    courier = Courier(parts.database, {"shop": nowhere}, tokens, called.clock)
    await courier.deliver()
    await courier.close()
    [row] = await waiting(parts.database)
    assert (row.tries, row.next_at) == (1, NOW + 5)


async def test_several_workers_tell_once(called: Calling, shop: Shop, database_url: str) -> None:
    """These two, and the gateway's own, which may have taken some before them and not be done."""
    for _ in range(30):
        await end(called, await signed_in(called))
    parts = called.gateway.parts
    tokens = LogoutTokens(URL, {"ES256": parts.keyring})
    databases = [Database(database_url) for _ in range(2)]
    couriers = [Courier(database, parts.settings.apps, tokens, called.clock) for database in databases]
    await asyncio.gather(*(courier.deliver() for courier in couriers))
    async with asyncio.timeout(60):
        while len(shop.got) < 30:  # noqa: ASYNC110  it comes in from threads of the shop's
            await asyncio.sleep(0.01)
    for courier, database in zip(couriers, databases, strict=True):
        await courier.close()
        await database.close()
    subjects = [claims_of(token)["sub"] for _, token in shop.got]
    assert len(subjects) == len(set(subjects)) == 30


async def test_who_has_no_address_is_not_told(called: Calling, shop: Shop) -> None:
    await end(called, await signed_in(called, "spa"))
    await called.gateway.parts.courier.deliver()
    assert shop.got == []
    assert await waiting(called.gateway.parts.database) == []


async def test_several_grants_of_one_session_are_told_once(called: Calling, shop: Shop) -> None:
    account_id = await add_account(called.gateway.parts.database)
    for _ in range(3):
        await signed_in(called, account_id=account_id)
    async with called.gateway.parts.database.write() as connection:
        await sessions.end_for_account(connection, account_id, reason="account_disabled", now=NOW)
    await called.gateway.parts.courier.deliver()
    assert len(shop.got) == 1


async def test_what_is_rolled_back_is_not_told(called: Calling) -> None:
    session_id = await signed_in(called)
    async with called.gateway.parts.database.write() as connection:
        await sessions.end(connection, session_id, reason="ended", now=NOW)
        assert await connection.scalar(select(schema.logouts.c.sid)) == SID
        await connection.rollback()
    assert await waiting(called.gateway.parts.database) == []


async def test_a_reused_refresh_token_is_told(called: Calling) -> None:
    _, token = await called.grant("shop", facts={"sid": SID, "verified": [], "groups": []})
    form = {"grant_type": "refresh_token", "client_id": "shop"}
    newer = token
    for _ in range(2):
        newer = (await called.token(refresh_token=newer, **form)).json()["refresh_token"]
    await called.token(refresh_token=token, **form)
    [row] = await waiting(called.gateway.parts.database)
    assert (row.client_id, row.sid) == ("shop", SID)


async def test_what_an_application_gave_back_itself_is_not_told(called: Calling) -> None:
    _, token = await called.grant("shop", facts={"sid": SID})
    assert (await called.post("/auth/revoke", client_id="shop", token=token)).status_code == 200
    assert await waiting(called.gateway.parts.database) == []


async def test_the_gateways_own_session_is_nobodys(called: Calling) -> None:
    session_id, _ = await called.grant("gateway")
    await end(called, session_id)
    assert await waiting(called.gateway.parts.database) == []


async def test_a_logout_token_is_no_token_of_another_kind(called: Calling, shop: Shop) -> None:
    await end(called, await signed_in(called))
    await called.gateway.parts.courier.deliver()
    [(_, token)] = shop.got
    assert (await called.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    assert IdTokens(URL, {"ES256": called.gateway.parts.keyring}).read_hint(token) is None
    assert (await called.post("/auth/introspect", basic("web"), token=token)).json() == {"active": False}


async def test_a_claim_holds_for_its_lease(database_url: str) -> None:
    database = Database(database_url)
    told = [Told("shop", str(uuid.uuid4()), str(n)) for n in range(3)]
    async with database.write() as connection:
        await logouts.enqueue(connection, [*told, told[0]], NOW)
    seen: list[list[Logout]] = []
    for at in (NOW, NOW, NOW + logouts.LEASE - 1, NOW + logouts.LEASE):
        seen.append(await logouts.claim(database, at, 2))
    assert [len(batch) for batch in seen] == [2, 1, 0, 2]
    assert {one.tries for one in seen[3]} == {2}
    async with database.write() as connection:
        assert await logouts.prune(connection, NOW + 2 * PATIENCE, 500) == 3
    await database.close()
