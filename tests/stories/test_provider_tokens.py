"""Tokens of providers: kept sealed, handed to applications that may have them, refreshed, and revoked in the end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from gateway.accounts.provider_tokens import Kept
from gateway.db import Database
from gateway.flows import operate, own
from gateway.flows.provider_tokens import ProviderTokenDesk
from gateway.housekeeping import prune
from gateway.providers.registry import Providers
from gateway.testing import answers, behaviour

from harness import World, world
from processes import wait_until
from shops import SECRET, SHOP_URI, Shop

KEEPING = {"store_tokens": True}
APP = {"type": "web", "redirect_uris": [SHOP_URI], "client_secret": SECRET}
ALL = "openid email profile offline_access provider-tokens"
TAKING = {**APP, "scopes": ALL.split()}
APPS: dict[str, dict[str, Any]] = {"shop": TAKING, "office": {**TAKING, "providers": ["microsoft"]}, "reader": APP}


@pytest.fixture
def keeping(sqlite_url: str) -> Iterator[World]:
    with world(sqlite_url, at_google=KEEPING, apps=APPS) as made:
        yield made


def at(shop: Shop, access_token: str, provider: str = "google") -> httpx2.Response:
    bearer = {"Authorization": f"Bearer {access_token}"}
    return shop.world.gateway.api().get(f"/auth/{provider}/token", headers=bearer)


def granted(town: World, **other: str) -> tuple[Shop, str]:
    """Somebody who signed in to an application that may have provider tokens, and its access token."""
    shop = Shop(town, scope=ALL)
    return shop, shop.tokens(**other)["access_token"]


def soon_stale(town: World) -> None:
    town.google.behaviour = behaviour.Behaviour(token_response=behaviour.put(expires_in=30))


def refreshes(town: World) -> int:
    return sum(call.params.get("grant_type") == "refresh_token" for call in town.google.called("token"))


def revoked(town: World) -> list[str]:
    return [call.params["token_type_hint"] for call in town.google.called("revoke")]


def link_microsoft(shop: Shop) -> None:
    started = shop.browser.post("/auth/microsoft/link", headers={"Sec-Fetch-Site": "same-origin"})
    back = httpx2.get(started.headers["location"], timeout=20, trust_env=False, verify=False).headers["location"]
    assert shop.browser.get(back).status_code == 303


def unlink_google(shop: Shop) -> httpx2.Response:
    """Link Microsoft first, since the last identity stays."""
    town = shop.world
    link_microsoft(shop)
    mine = shop.browser.get("/auth/identities").json()
    (google,) = [identity["id"] for identity in mine if identity["provider"] == "google"]
    return shop.browser.delete(f"/auth/identities/{google}", headers={"Origin": town.gateway.url})


@pytest.mark.parametrize("grown", [False, True], ids=["fresh", "stale"])
def test_an_application_gets_a_token_that_lives(database_url: str, grown: bool) -> None:
    with world(database_url, at_google=KEEPING, apps=APPS) as town:
        if grown:
            soon_stale(town)
        shop, ours = granted(town)
        if grown:
            town.google.behaviour = behaviour.Behaviour()
        answer = at(shop, ours)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        said = answer.json()
        assert said["access_token"] in town.google.codes.by_access_token
        assert (said["token_type"], said["expires_in"] > 60) == ("Bearer", True)
        assert at(shop, ours).json()["access_token"] == said["access_token"]
        assert refreshes(town) == (1 if grown else 0)


def test_what_is_kept_is_sealed(keeping: World) -> None:
    granted(keeping)
    ((sealed,),) = keeping.all("SELECT sealed FROM provider_tokens")
    known = [*keeping.google.codes.by_access_token, *keeping.google.codes.by_refresh_token]
    assert len(known) == 2
    assert not [token for token in known if token.encode() in sealed]


def test_without_the_scope_there_is_no_token(keeping: World) -> None:
    shop, _ = granted(keeping)
    other = Shop(keeping, "reader", browser=shop.browser)
    by_app = at(other, other.redeem(other.answer()["code"]).json()["access_token"])
    by_browser = shop.browser.get("/auth/google/token", headers={"Accept": "application/json"})
    assert [(each.status_code, each.json()["error"]) for each in (by_app, by_browser)] == [
        (403, "insufficient_scope")
    ] * 2


def test_an_application_gets_tokens_of_its_own_providers_alone(keeping: World) -> None:
    shop, _ = granted(keeping)
    link_microsoft(shop)
    office = Shop(keeping, "office", scope=ALL, browser=shop.browser)
    theirs = office.tokens("microsoft")["access_token"]
    refused = at(office, theirs)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert at(shop, shop.redeem(shop.answer()["code"]).json()["access_token"]).status_code == 200


def test_nobody_gets_the_token_of_somebody_else(keeping: World) -> None:
    _, first = granted(keeping)
    keeping.google.next_person = keeping.google.people[1]
    shop, second = granted(keeping)
    tokens = [at(shop, ours).json()["access_token"] for ours in (first, second)]
    people = [keeping.google.codes.by_access_token[token].person for token in tokens]
    assert people == keeping.google.people[:2]


def test_without_store_tokens_nothing_is_kept(keeping: World) -> None:
    shop = Shop(keeping, scope=ALL)
    ours = shop.tokens("microsoft")["access_token"]
    assert keeping.rows("provider_tokens") == 0
    assert [at(shop, ours, name).json()["error"] for name in ("microsoft", "google")] == ["not_found"] * 2
    assert at(shop, ours, "nobody").json()["error"] == "unknown_provider"


def test_many_who_ask_at_once_refresh_once(keeping: World) -> None:
    soon_stale(keeping)
    shop, ours = granted(keeping)
    keeping.google.behaviour = behaviour.Behaviour()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: at(shop, ours).json()["access_token"], range(8)))
    assert (len(set(found)), refreshes(keeping)) == (1, 1)


def test_a_refresh_token_that_is_handed_out_once_is_kept(keeping: World) -> None:
    granted(keeping)
    edits = behaviour.chain(behaviour.drop("refresh_token"), behaviour.put(expires_in=30))
    keeping.google.behaviour = behaviour.Behaviour(token_response=edits)
    again, ours = granted(keeping)
    keeping.google.behaviour = behaviour.Behaviour()
    assert at(again, ours).status_code == 200
    assert refreshes(keeping) == 1


def test_where_the_provider_takes_it_no_more_the_person_signs_in_again(keeping: World) -> None:
    soon_stale(keeping)
    shop, ours = granted(keeping)
    keeping.google.codes.by_refresh_token.clear()
    assert [at(shop, ours).json()["error"] for _ in range(2)] == ["reauthentication_required", "not_found"]
    keeping.google.behaviour = behaviour.Behaviour()
    again, anew = granted(keeping)
    assert at(again, anew).status_code == 200


def test_an_outage_loses_nothing(keeping: World) -> None:
    soon_stale(keeping)
    shop, ours = granted(keeping)
    keeping.google.behaviour = behaviour.Behaviour(answers={"token": answers.html(503)})
    assert at(shop, ours).status_code == 503
    keeping.google.behaviour = behaviour.Behaviour()
    assert at(shop, ours).status_code == 200


@pytest.mark.parametrize("down", [False, True], ids=["", "the provider is down"])
def test_unlinking_asks_the_provider_to_revoke(keeping: World, down: bool) -> None:  # REV-3
    shop, _ = granted(keeping)
    keeping.google.behaviour = behaviour.Behaviour(answers={"revoke": answers.html(500)} if down else {})
    assert unlink_google(shop).status_code == 204
    wait_until(lambda: len(revoked(keeping)) == (1 if down else 2))
    assert revoked(keeping) == ["refresh_token", "access_token"][: 1 if down else 2]
    assert keeping.rows("provider_tokens") == 0
    assert bool(keeping.google.codes.by_access_token) is down


async def erased(town: World, by: str) -> list[Kept]:
    """Delete the only account, by its operator or when its time has come; what was to be revoked."""
    parts, now = town.gateway.app.parts, int(time.time())
    database, account_id = Database(parts.settings.database_url), town.all("SELECT id FROM accounts")[0][0]
    providers = Providers(parts.settings.providers, public_url=parts.settings.public_url)
    desk, given = ProviderTokenDesk(database, parts.sealer, providers), []

    async def revoke(orphans: Any) -> None:
        given.extend(orphans)
        await desk.revoke(orphans)

    try:
        if by == "operator":
            await revoke((await operate.delete(database, uuid.UUID(str(account_id)), now)).orphans)
        else:
            await prune(database, now + own.GRACE + 1, revoke)
    finally:
        await providers.close()
        await database.close()
    return given


@pytest.mark.parametrize("by", ["operator", "owner"])
def test_deleting_asks_the_provider_to_revoke(keeping: World, by: str) -> None:
    shop, _ = granted(keeping)
    if by == "owner":
        answer = shop.browser.delete("/auth/me", headers={"Origin": keeping.gateway.url})
        assert answer.status_code == 202
        assert revoked(keeping) == []  # it can still be taken back
    assert len(asyncio.run(erased(keeping, by))) == 1
    assert (keeping.rows("accounts"), keeping.rows("provider_tokens")) == (0, 0)
    assert keeping.google.codes.by_access_token == {}
