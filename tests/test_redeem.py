"""Codes redeemed: once, for what they were bound to, as long as the browser session goes on; on both databases."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from signed_in import DAY, NOW, add_account, add_session, row_of
from sqlalchemy import select, text

from gateway import schema, sessions
from gateway.events import Origin
from gateway.sealing import Sealer
from gateway.sessions import MOST, Session
from gateway.tokens.codes import Codes

from calling import RETURN, Calling, basic, calling
from harness import SECRET
from shops import challenge_of

VERIFIER = "v" * 43
FULL = "openid email offline_access"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

Redeeming = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
async def called(database_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    async with calling(database_url, tmp_path) as made:
        yield made


async def signed_in(called: Calling, account_id: uuid.UUID | None = None, **given: Any) -> Session:
    """A browser session."""
    return await add_session(called.gateway.parts.database, account_id, scope=FULL, **given)


def code_for(called: Calling, session: Session, **other: Any) -> str:
    """The code that the browser with this session would carry to the application."""
    bound = {
        "client_id": "spa",
        "redirect_uri": RETURN[0],
        "scope": FULL,
        "challenge": challenge_of(VERIFIER),
        "nonce": None,
        "session_id": str(session.id),
        "account_id": str(session.account_id),
        "issued_at": int(called.clock.now),
    }
    return called.gateway.parts.redemption.codes.seal(**bound | other)


async def redeem(called: Calling, code: str, client_id: str = "spa", **other: str | None) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": RETURN[0], "code_verifier": VERIFIER}
    fields = {name: value for name, value in (form | other).items() if value is not None}
    if client_id == "web":
        return await called.token(basic("web"), **fields)
    return await called.token(client_id=client_id, **fields)


async def granted(called: Calling, session: Session, **other: Any) -> Any:
    """The row of the grant that a code of this browser session becomes."""
    code = code_for(called, session, **other)
    answer = await redeem(called, code, str(other.get("client_id", "spa")))
    assert answer.status_code == 200, answer.text
    codes = called.gateway.parts.redemption.codes
    opened = codes.open(code)
    assert opened
    return await row_of(called.gateway.parts.database, codes.session_of(opened))


async def names(called: Calling) -> list[str]:
    async with called.gateway.parts.database.read() as connection:
        return list((await connection.execute(select(schema.events.c.name))).scalars())


async def test_what_a_code_becomes(called: Calling) -> None:  # TOK-1
    answer = await redeem(called, code_for(called, await signed_in(called)))
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, FULL)
    assert answer.headers["cache-control"] == "no-store"
    assert await names(called) == ["app_signed_in"]


async def test_without_offline_access_there_is_no_refresh_token(called: Calling) -> None:
    body = (await redeem(called, code_for(called, await signed_in(called), scope="openid"))).json()
    assert "refresh_token" not in body
    assert "id_token" in body


async def test_without_openid_there_is_no_id_token(called: Calling) -> None:
    body = (await redeem(called, code_for(called, await signed_in(called), scope="email"))).json()
    assert "id_token" not in body


async def test_a_grant_is_a_session_of_its_own(called: Calling) -> None:
    """RT-3, BFF-5: with an end of its own that no renewal moves."""
    session = await signed_in(called)
    row = await granted(called, session)
    assert (row.client_id, row.parent_id, row.account_id) == ("spa", session.id, session.account_id)
    assert (row.auth_time, row.provider) == (session.auth_time, session.provider)
    assert row.expires_at == NOW + 90 * DAY
    assert (await granted(called, session, scope="openid")).expires_at == NOW + 14 * DAY


async def test_fifty_at_once(called: Calling) -> None:
    """AV-10.4.2: one gets tokens, and the others end what it got."""
    session = await signed_in(called)
    code = code_for(called, session)
    answers = await asyncio.gather(*(redeem(called, code) for _ in range(50)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    renewed = await called.token(grant_type="refresh_token", refresh_token=good[0]["refresh_token"], client_id="spa")
    assert renewed.json()["error"] == "invalid_grant"
    bearer = {"Authorization": f"Bearer {good[0]['access_token']}"}
    assert (await called.client.get("/auth/userinfo", headers=bearer)).status_code == 401
    assert (await row_of(called.gateway.parts.database, session.id)).ended_at is None
    assert "code_reuse" in await names(called)


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "no code": ({"code": None}, "invalid_request"),
    "another address": ({"redirect_uri": "https://shop.example.com/callback/"}, "invalid_grant"),
    "no address": ({"redirect_uri": None}, "invalid_grant"),
    "no verifier": ({"code_verifier": None}, "invalid_request"),
    "an empty verifier": ({"code_verifier": ""}, "invalid_request"),
    "another verifier": ({"code_verifier": "w" * 43}, "invalid_grant"),
    "a short verifier": ({"code_verifier": "v" * 42}, "invalid_grant"),
    "a long verifier": ({"code_verifier": "v" * 129}, "invalid_grant"),
    "the challenge as its own verifier": ({"code_verifier": challenge_of(VERIFIER)}, "invalid_grant"),
    "letters beyond ASCII": ({"code_verifier": "\u00e9" * 43}, "invalid_grant"),
}


@pytest.mark.parametrize(("other", "error"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_try_gets_nothing_and_spends_nothing(
    called: Calling, other: dict[str, str | None], error: str
) -> None:
    """PKCE-2, TOK-2."""
    code = code_for(called, await signed_in(called))
    answer = await redeem(called, **{"code": code, **other})
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert (await redeem(called, code)).status_code == 200


async def test_a_code_counts_once_also_while_secret_keys_change(called: Calling) -> None:
    """AV-10.4.2: of two processes one may know the new key already."""
    code = code_for(called, await signed_in(called))
    ahead = Codes(Sealer([b"a new key of at least 32 bytes, fake", SECRET.encode()]))
    opened = ahead.open(code)
    assert opened
    assert (await redeem(called, code)).status_code == 200
    async with called.gateway.parts.database.read() as connection:
        assert await sessions.get(connection, ahead.session_of(opened), int(called.clock.now))


async def test_a_code_is_its_applications_alone(called: Calling) -> None:
    code = code_for(called, await signed_in(called))
    assert (await redeem(called, code, "web")).json()["error"] == "invalid_grant"
    assert (await redeem(called, code, "phone")).json()["error"] == "invalid_grant"
    assert (await redeem(called, code, "nobody")).json()["error"] == "invalid_client"
    assert (await redeem(called, code)).status_code == 200


@pytest.mark.parametrize("kind", ["refresh", "pending/authorize", "id-token", "attempt"])
async def test_what_was_sealed_for_something_else_is_no_code(called: Calling, kind: str) -> None:
    session = await signed_in(called)
    content = called.gateway.parts.sealer.open("code", code_for(called, session).encode())
    assert content
    other = called.gateway.parts.sealer.seal(kind, content).decode()
    assert (await redeem(called, other)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("code", ["x", "=", "gAAAA", "\u00e9", "A" * 9000, secrets.token_urlsafe(200)])
async def test_rubbish_is_no_code(called: Calling, code: str) -> None:
    assert (await redeem(called, code)).json()["error"] == "invalid_grant"


async def test_a_code_lives_a_minute(called: Calling) -> None:  # AV-10.4.3
    session = await signed_in(called)
    code, late = code_for(called, session), code_for(called, session)
    called.clock.now += 59
    assert (await redeem(called, code)).status_code == 200
    called.clock.now += 1
    assert (await redeem(called, late)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("reason", ["signed_out", "replaced", "account_disabled"])
async def test_a_code_ends_with_its_browser_session(called: Calling, reason: str) -> None:
    session = await signed_in(called)
    code = code_for(called, session)
    async with called.gateway.parts.database.write() as connection:
        await sessions.end(connection, session.id, reason=reason, now=NOW)
    assert (await redeem(called, code)).json()["error"] == "invalid_grant"


async def test_a_session_of_one_account_and_the_name_of_another(called: Calling) -> None:
    session, other = await signed_in(called), await add_account(called.gateway.parts.database)
    assert (await redeem(called, code_for(called, session, account_id=str(other)))).status_code == 400


async def test_a_provider_that_the_application_does_not_take(database_url: str, tmp_path: Path) -> None:
    metadata = "https://op.example/.well-known/openid-configuration"
    provider = {"discovery_url": metadata, "client_id": "x", "client_auth": "none"}
    apps = {"spa": {"type": "spa", "redirect_uris": RETURN, "providers": ["other"]}}
    async with calling(database_url, tmp_path, apps, {"providers": {"other": provider}}) as called:
        code = code_for(called, await signed_in(called))  # through google
        assert (await redeem(called, code)).json()["error"] == "invalid_grant"


async def test_signing_out_ends_the_grants_and_nobody_elses(called: Calling) -> None:  # RT-6
    mine, other = await signed_in(called), await signed_in(called)
    grants = [await granted(called, mine), await granted(called, mine, client_id="web")]
    kept = await granted(called, other)
    await called.gateway.parts.sign_out.sign_out(mine.id, False, Origin(), NOW)
    database = called.gateway.parts.database
    assert [(await row_of(database, one.id)).end_reason for one in grants] == ["signed_out"] * 2
    assert (await row_of(database, kept.id)).ended_at is None


async def test_ending_a_grant_leaves_the_browser_signed_in(called: Calling) -> None:  # AV-10.4.9
    session = await signed_in(called)
    grant = await granted(called, session)
    await called.gateway.parts.sign_out.end_one(session.account_id, grant.id, Origin(), NOW)
    database = called.gateway.parts.database
    assert (await row_of(database, grant.id)).end_reason == "ended"
    assert (await row_of(database, session.id)).ended_at is None


async def test_grants_outlive_a_browser_session_that_only_expires(called: Calling) -> None:
    session = await signed_in(called, expires_at=NOW + 1000)
    body = (await redeem(called, code_for(called, session))).json()
    called.clock.now += 2000
    renewed = await called.token(grant_type="refresh_token", refresh_token=body["refresh_token"], client_id="spa")
    assert renewed.status_code == 200


async def test_an_absolute_end_that_renewals_do_not_move(called: Calling) -> None:  # AV-10.4.8, RT-3
    token = (await redeem(called, code_for(called, await signed_in(called)))).json()["refresh_token"]
    for _ in range(8):
        called.clock.now += 10 * DAY
        answer = await called.token(grant_type="refresh_token", refresh_token=token, client_id="spa")
        token = answer.json()["refresh_token"]
    called.clock.now += 10 * DAY
    answer = await called.token(grant_type="refresh_token", refresh_token=token, client_id="spa")
    assert answer.json()["error"] == "invalid_grant"


async def test_who_signs_in_again_keeps_the_grants_and_another_person_does_not(called: Calling) -> None:
    database = called.gateway.parts.database
    mine = await signed_in(called)
    grant = await granted(called, mine)
    async with database.write() as connection:
        ended = await sessions.make_room(connection, mine.account_id, replaces=mine.id, now=NOW)
        assert [one.id for one in ended] == [mine.id]
    again = await signed_in(called, mine.account_id)
    async with database.write() as connection:
        await sessions.adopt(connection, mine.id, again)
    assert (await row_of(database, grant.id)).parent_id == again.id
    somebody = await add_account(database)
    async with database.write() as connection:
        ended = await sessions.make_room(connection, somebody, replaces=again.id, now=NOW)
        assert {one.id for one in ended} == {again.id, grant.id}


async def test_grants_push_out_no_browser_session_and_no_other_applications_grants(called: Calling) -> None:
    """A page that signs somebody in again and again costs its own oldest sign-ins, and nobody else's."""
    session = await signed_in(called)
    account_id, parent = session.account_id, session.id
    database = called.gateway.parts.database
    others = await add_session(database, account_id, client_id="web", parent_id=parent, now=NOW - 20)
    for _ in range(MOST):
        await add_session(database, account_id, client_id="spa", parent_id=parent, now=NOW - 10)
    async with database.write() as connection:
        assert await sessions.make_room(connection, account_id, replaces=None, now=NOW) == []
        [ended] = await sessions.make_room_for_grant(connection, account_id, "spa", NOW)
        assert ended.client_id == "spa"
    await granted(called, session)
    for one in (parent, others.id):
        assert (await row_of(database, one)).ended_at is None


async def test_grants_whose_tokens_are_dead_make_way(called: Calling) -> None:
    """A page that renews without refresh tokens leaves one row behind, not one for every five minutes."""
    session = await signed_in(called)
    for _ in range(3):
        await granted(called, session, scope="openid")
        called.clock.now += 400
    kept = await granted(called, session)
    called.clock.now += 400
    await granted(called, session, scope="openid")
    async with called.gateway.parts.database.read() as connection:
        grants = await sessions.grants_of(connection, session.id)
    assert len(grants) == 2
    assert kept.id in {grant.id for grant in grants}


@pytest.fixture
async def redeeming(postgres_url: str, tmp_path: Path) -> AsyncIterator[tuple[Calling, Session, Redeeming]]:
    """A browser session, and what redeems a code of it but does not commit before somebody else waits for it."""
    async with calling(postgres_url, tmp_path) as called:
        parts = called.gateway.parts
        session = await signed_in(called)
        code = parts.redemption.codes.open(code_for(called, session))
        assert code

        async def redeem_against(other: Coroutine[Any, Any, Any]) -> Any:
            async with parts.database.write() as connection:
                redeemed = await parts.redemption._redeem(connection, code, parts.settings.apps["spa"], Origin(), NOW)
                waiting = asyncio.create_task(other)
                async with parts.database.read() as watching:
                    while not (await watching.execute(text(WAITING))).scalar():  # noqa: ASYNC110  PostgreSQL has no event for it
                        await asyncio.sleep(0.01)
            await waiting
            assert redeemed.grant
            return await row_of(parts.database, redeemed.grant.id)

        yield called, session, redeem_against


@pytest.mark.postgres
async def test_a_sign_out_waits_for_a_redemption_and_ends_what_it_made(
    redeeming: tuple[Calling, Session, Redeeming],
) -> None:
    called, session, redeem_against = redeeming
    leaving = called.gateway.parts.sign_out.sign_out(session.id, False, Origin(), NOW)
    assert (await redeem_against(leaving)).end_reason == "signed_out"


@pytest.mark.postgres
async def test_somebody_else_at_this_browser_ends_what_is_redeemed_at_the_moment(
    redeeming: tuple[Calling, Session, Redeeming],
) -> None:
    called, session, redeem_against = redeeming
    somebody = await add_account(called.gateway.parts.database)

    async def sign_in() -> None:
        async with called.gateway.parts.database.write() as connection:
            await sessions.make_room(connection, somebody, replaces=session.id, now=NOW)

    assert (await redeem_against(sign_in())).end_reason == "replaced"
