"""The feed of ended sessions: what the gateway publishes, and an API that follows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from gateway.resource import CannotTell, InvalidToken, Verifier
from gateway.resource.fetch import Web
from gateway.resource.revocations import PATIENCE, Revocations
from gateway.resource.seen import session_mark
from gateway.web.limits import bucket_for

import harness
from .issuing import API, ISSUER, KEY, Clock, Published, ours, token
from harness import World

FEED = f"{ISSUER}/auth/revocations"
SID = str(ours()["sid"])


@contextmanager
def following(url: str) -> Iterator[Verifier]:
    """A verifier of a gateway's tokens that asks for news ten times a second."""
    verifier = Verifier(url, revocations=True)
    assert verifier._revocations is not None
    verifier._revocations._interval = 0.1
    try:
        yield verifier
    finally:
        verifier.close()


def access_token(world: World, browser: httpx2.Client) -> str:
    world.sign_in(browser, "google")
    return str(browser.cookies["gateway"])


def arrives(verifier: Verifier, presented: str, within: float) -> bool:
    """Whether the end of its session does, in so many seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            verifier.verify_sync(presented)
        except InvalidToken as refused:
            return "ended" in refused.explanation
        time.sleep(0.05)
    return False


def test_a_sign_out_reaches_an_api(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser, following(sqlite_world.gateway.url) as verifier:
        presented = access_token(sqlite_world, browser)
        assert verifier.verify_sync(presented).session_id
        sent = {"Origin": sqlite_world.gateway.url}
        assert browser.post("/auth/logout", headers=sent).status_code in (204, 303)
        assert arrives(verifier, presented, within=5)


def test_the_feed_names_marks_and_no_ids(sqlite_world: World) -> None:
    with (
        sqlite_world.gateway.browser() as browser,
        httpx2.Client(base_url=sqlite_world.gateway.url, **harness.PLAIN) as anybody,
    ):
        access_token(sqlite_world, browser)
        (sid,) = (str(row[0]) for row in sqlite_world.all("SELECT id FROM sessions"))
        first = anybody.get("/auth/revocations")
        assert (first.status_code, first.json()["ended"]) == (200, [])
        assert first.headers["cache-control"] == "no-cache"
        browser.post("/auth/logout", headers={"Origin": sqlite_world.gateway.url})
        second = anybody.get("/auth/revocations")
        dashed = f"{sid[:8]}-{sid[8:12]}-{sid[12:16]}-{sid[16:20]}-{sid[20:]}" if "-" not in sid else sid
        assert second.json()["ended"] == [session_mark(dashed)]
        assert sid not in second.text
        assert second.headers["etag"] != first.headers["etag"]
        same = anybody.get("/auth/revocations", headers={"If-None-Match": second.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


def test_the_feed_is_in_no_rate_limit() -> None:
    assert bucket_for("/auth/revocations") is None


def world_with(feed: object) -> Published:
    world = Published()
    world.publish(ISSUER, ("k1", KEY))
    world.documents[FEED] = feed
    return world


def test_ended_sessions_are_refused_and_others_are_not() -> None:
    world = world_with({"as_of": 1, "ended": [session_mark(SID)]})
    verifier = Verifier(ISSUER, API, revocations=True, clock=Clock(), transport=world.transport)
    with pytest.raises(InvalidToken, match="ended"):
        verifier.verify_sync(token())
    assert verifier.verify_sync(token(ours(sid="another")))
    assert verifier.verify_sync(token(ours(sid=None, sub="app:x", client_id="x"))).is_app
    verifier.close()


@pytest.mark.parametrize("feed", [None, [], {"ended": "x"}, {"ended": [1]}, {}, httpx2.Response(304)])
def test_without_news_the_policy_decides(feed: object) -> None:
    world = world_with(feed)
    accepting = Verifier(ISSUER, API, revocations=True, clock=Clock(), transport=world.transport)
    refusing = Verifier(ISSUER, API, revocations=FEED, unreachable="refuse", clock=Clock(), transport=world.transport)
    assert accepting.verify_sync(token())
    with pytest.raises(CannotTell):
        refusing.verify_sync(token())
    accepting.close()
    refusing.close()


def test_a_list_replaces_the_last_but_one() -> None:
    world, steady = world_with({"ended": ["one"]}), Clock()
    revocations = Revocations(FEED, web=Web(world.transport), unreachable="refuse", steady=steady)
    with revocations.open() as client:
        revocations.read(client)
        for ended, one in ((["two"], True), (["two"], False)):
            world.documents[FEED] = {"ended": ended}
            revocations.read(client)
            assert revocations.has("one") is one
            assert revocations.has("two")
    steady.now += PATIENCE + 1
    with pytest.raises(CannotTell):
        revocations.has("three")
    assert revocations.has("two")


def test_a_current_etag_is_asked_with() -> None:
    world = world_with(httpx2.Response(200, json={"ended": ["one"]}, headers={"ETag": '"a"'}))
    revocations = Revocations(FEED, web=Web(world.transport))
    with revocations.open() as client:
        revocations.read(client)
        world.documents[FEED] = httpx2.Response(304)
        revocations.read(client)
    assert revocations.has("one")
    assert revocations._known_at is not None
