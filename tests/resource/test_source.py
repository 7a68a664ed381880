"""An issuer's keys: fetched by one for all, kept while the issuer is down, asked for anew within limits."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from gateway.resource import CannotTell, InvalidToken, Verifier
from gateway.resource.source import BURST, FRESH, PAUSE, STALE, metadata_urls

from .issuing import API, ISSUER, KEY, NOW, RSA, STRANGER, Clock, Published, ours, token

METADATA = f"{ISSUER}/.well-known/openid-configuration"
KEYS = f"{METADATA}/keys"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> Published:
    made = Published()
    made.publish(ISSUER, ("k1", KEY))
    return made


@pytest.fixture
def verifier(world: Published, clock: Clock) -> Verifier:
    return Verifier(ISSUER, API, clock=clock, transport=world.transport)


def living(clock: Clock, **more: Any) -> str:
    """A new token at the clock's time."""
    return token(ours(iat=int(clock.now), exp=int(clock.now) + 300), **more)


def settle() -> None:
    """Until no fetch is under way."""
    for thread in threading.enumerate():
        if thread.name == "issuer-keys":
            thread.join(5)


async def test_many_at_once_fetch_once(world: Published, verifier: Verifier) -> None:
    tokens = [token(ours(jti=str(number))) for number in range(20)]
    await asyncio.gather(*(verifier.verify(one) for one in tokens))
    assert world.asked == [METADATA, KEYS]


def test_many_threads_fetch_once(world: Published, clock: Clock) -> None:
    tokens = [token(ours(jti=str(number))) for number in range(10)]
    between = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a function, too
    try:
        with ThreadPoolExecutor(10) as pool:
            for _ in range(40):
                world.asked.clear()
                list(pool.map(Verifier(ISSUER, API, clock=clock, transport=world.transport).verify_sync, tokens))
                assert world.asked == [METADATA, KEYS]
    finally:
        sys.setswitchinterval(between)


async def test_one_that_stops_waiting_stops_nobody_else(world: Published, verifier: Verifier) -> None:
    impatient = asyncio.create_task(verifier.verify(token()))
    patient = asyncio.create_task(verifier.verify(token(ours(jti="two"))))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).issuer == ISSUER


def test_old_keys_serve_while_the_issuer_is_down(world: Published, verifier: Verifier, clock: Clock) -> None:
    verifier.verify_sync(token())
    world.failing = True
    clock.now += FRESH + 1
    assert verifier.verify_sync(living(clock))
    settle()
    clock.now = NOW + STALE - 1
    assert verifier.verify_sync(living(clock))
    settle()
    clock.now = NOW + STALE + 1
    with pytest.raises(CannotTell):
        verifier.verify_sync(living(clock))


def test_without_keys_nobody_passes_and_the_issuer_is_left_in_peace(
    world: Published, verifier: Verifier, clock: Clock
) -> None:
    world.failing = True
    for _ in range(5):
        with pytest.raises(CannotTell):
            verifier.verify_sync(token())
    assert len(world.asked) == len(metadata_urls(ISSUER))
    world.failing = False
    clock.now += PAUSE
    assert verifier.verify_sync(living(clock))


def test_a_new_key_is_found_at_once(world: Published, verifier: Verifier, clock: Clock) -> None:
    verifier.verify_sync(token())
    for number in range(BURST + 2):  # what brings a key costs nothing
        made = ECKey.generate_key("P-256")
        world.publish(ISSUER, ("k1", KEY), (f"new{number}", made))
        assert verifier.verify_sync(living(clock, key=made, kid=f"new{number}"))


def test_invented_key_ids_cost_the_issuer_little(world: Published, verifier: Verifier) -> None:
    verifier.verify_sync(token())
    for number in range(50):
        with pytest.raises(InvalidToken):
            verifier.verify_sync(token(key=STRANGER, kid=f"invented-{number}"))
    assert world.asked.count(KEYS) == 1 + BURST
    assert verifier.verify_sync(token(ours(jti="still")))


def test_an_empty_set_takes_no_key_away(world: Published, verifier: Verifier, clock: Clock) -> None:
    verifier.verify_sync(token())
    world.documents[KEYS] = {"keys": []}
    clock.now += FRESH + 1
    verifier.verify_sync(living(clock))
    settle()
    assert verifier.verify_sync(living(clock, typ="at+jwt"))


def test_a_key_that_has_gone_is_forgotten_with_what_it_signed(
    world: Published, verifier: Verifier, clock: Clock
) -> None:
    seen = token(ours(exp=NOW + 20_000))
    verifier.verify_sync(seen)
    world.publish(ISSUER, ("k2", STRANGER))
    for _ in range(2):
        clock.now += 3601
        verifier.verify_sync(living(clock, key=STRANGER, kid="k2"))
        settle()
    with pytest.raises(InvalidToken):
        verifier.verify_sync(seen)


DOCUMENTS: list[tuple[str, Any]] = [
    ("another issuer", {"issuer": "https://evil.example", "jwks_uri": KEYS}),
    ("issuer with a slash", {"issuer": f"{ISSUER}/", "jwks_uri": KEYS}),
    ("no jwks_uri", {"issuer": ISSUER}),
    ("plain jwks_uri", {"issuer": ISSUER, "jwks_uri": "http://login.example.com/keys"}),
    ("loopback jwks_uri", {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:1/keys"}),
    ("file", {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
    ("an array", []),
    ("a redirect", httpx2.Response(302, headers={"Location": KEYS})),
    ("not JSON", httpx2.Response(200, content=b"<html>")),
    ("nesting", httpx2.Response(200, content=b"[" * 100_000)),
    ("too large", httpx2.Response(200, content=b" " * 600_000)),
    ("compressed", httpx2.Response(200, content=b"{}", headers={"Content-Encoding": "identity, br"})),
    ("500", httpx2.Response(500)),
]


@pytest.mark.parametrize("document", [one for _, one in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])
def test_metadata_that_is_not_believed(world: Published, verifier: Verifier, document: Any) -> None:
    world.documents[METADATA] = document
    with pytest.raises(CannotTell):
        verifier.verify_sync(token())
    assert KEYS not in world.asked
    assert all(url.startswith(ISSUER) for url in world.asked)


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "oct", "k": "AAAA", "kid": "k1"},
        {**KEY.as_dict(private=False), "kid": "k1", "use": "enc"},
        {**KEY.as_dict(private=False), "kid": "k1", "key_ops": ["sign"]},
        {**KEY.as_dict(private=False), "kid": "k1", "alg": "ES384"},
        {**KEY.as_dict(private=False), "kid": "k1", "x": 7},
        {**KEY.as_dict(private=False), "kid": "k1", "x": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "k1"},
        "not an object",
    ],
)
def test_keys_that_do_not_fit_are_left_out(world: Published, verifier: Verifier, member: Any) -> None:
    world.publish(ISSUER, ("other", RSA))
    world.documents[KEYS]["keys"].append(member)
    with pytest.raises(InvalidToken):
        verifier.verify_sync(token())


def test_keys_without_ids_are_tried(world: Published, verifier: Verifier) -> None:
    world.publish(ISSUER, (None, STRANGER), (None, KEY))
    assert verifier.verify_sync(token(kid=None))
    assert verifier.verify_sync(token(kid="k1"))


def test_where_metadata_is_looked_for() -> None:
    assert metadata_urls("https://example.com/sso") == (
        "https://example.com/sso/.well-known/openid-configuration",
        "https://example.com/.well-known/oauth-authorization-server/sso",
        "https://example.com/sso/.well-known/oauth-authorization-server",
    )
