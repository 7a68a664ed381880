"""The authorization endpoint: where each answer goes, and what is in it. In this process, without providers asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from signed_in import DAY, NOW, add_session

from gateway import accounts
from gateway.web.callers import browser_mark
from gateway.web.id_tokens import id_token_for
from gateway.web.limits import BUCKETS

from calling import RETURN, URL, Calling, calling
from shops import challenge_of

PAGE = {"Accept": "text/html"}
FOREIGN = "https://evil.example/callback"


@pytest.fixture
async def called(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    apps = {
        "phone": {"type": "native", "redirect_uris": ["http://127.0.0.1/return", "com.example.app:/callback"]},
        "queried": {"type": "spa", "redirect_uris": ["https://shop.example.com/?page=callback"]},
    }
    async with calling(sqlite_url, tmp_path, apps) as made:
        yield made


def request(**other: str | None) -> dict[str, str]:
    sound: dict[str, str | None] = {
        "client_id": "spa",
        "redirect_uri": RETURN[0],
        "response_type": "code",
        "scope": "openid",
        "state": "a state",
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (sound | other).items() if value is not None}


async def authorize(called: Calling, query: str = "", **other: str | None) -> httpx2.Response:
    return await called.client.get(f"/auth/authorize?{urlencode(request(**other))}{query}", headers=PAGE)


async def sign_in(called: Calling) -> Any:
    """Give the client the cookie of a browser session."""
    parts = called.gateway.parts
    session = await add_session(parts.database, scope="openid profile email groups")
    pair = parts.renewal.issuer.issue(session, NOW)
    called.client.headers["cookie"] = f"{parts.cookies.access}={pair.access_token}"
    return session


def returned(response: httpx2.Response, address: str = RETURN[0]) -> dict[str, str]:
    location = response.headers["location"]
    assert location.startswith(address), location
    return dict(parse_qsl(urlsplit(location).query))


async def test_a_code_and_whose_it_is(called: Calling) -> None:  # ISS-1
    await sign_in(called)
    answer = returned(await authorize(called))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("a state", URL)


async def test_an_error_says_whose_it_is(called: Calling) -> None:  # ISS-2
    answer = returned(await authorize(called, response_type="token"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("unsupported_response_type", "a state", URL)


async def test_a_state_that_was_not_sent_does_not_come_back(called: Calling) -> None:
    assert "state" not in returned(await authorize(called, prompt="none", state=None))


@pytest.mark.parametrize(
    "state", ["&code=x", "a#b", "é ü", "<script>", "%0d%0a", "+ +", "a=b&iss=https://evil.example"]
)
async def test_a_state_comes_back_as_it_was(called: Calling, state: str) -> None:
    answer = returned(await authorize(called, prompt="none", state=state))
    assert answer == {"error": "login_required", "state": state, "iss": URL}


@pytest.mark.parametrize(
    ("client_id", "address"),
    [
        ("queried", "https://shop.example.com/?page=callback"),
        ("phone", "com.example.app:/callback"),
        ("phone", "http://127.0.0.1:51234/return"),
    ],
)
async def test_an_address_stays_as_it_is(called: Calling, client_id: str, address: str) -> None:  # NAT-2
    await sign_in(called)
    response = await authorize(called, client_id=client_id, redirect_uri=address)
    joined = "&" if "?" in address else "?"
    assert response.headers["location"].startswith(f"{address}{joined}code=")


@pytest.mark.parametrize(
    ("query", "other"),
    [
        ("", {"client_id": "nobody"}),
        ("", {"client_id": None}),
        ("", {"client_id": "robot"}),
        ("", {"redirect_uri": None}),
        ("", {"redirect_uri": FOREIGN}),
        ("", {"redirect_uri": f"{RETURN[0]}\\@evil.example"}),
        (f"&redirect_uri={FOREIGN}", {}),
        (f"&redirect_uri={RETURN[0]}", {}),
        ("&client_id=web", {}),
        ("&state=another", {}),
        ("&scope=openid", {}),
        ("&code_challenge=x", {}),
        ("&x=%zz", {}),
        ("&x=%00", {}),
        ("&x=%ff", {}),
        ("&resume=x", {"redirect_uri": FOREIGN}),
    ],
)
async def test_on_doubt_nobody_is_sent_anywhere(called: Calling, query: str, other: dict[str, Any]) -> None:
    """AV-10.4.1: our own page says so, also to somebody who is signed in."""
    await sign_in(called)
    response = await authorize(called, query, **other)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "evil.example" not in response.text


async def test_a_stranger_is_asked_by_nobody(called: Calling) -> None:
    """Prompt none is never a page."""
    assert returned(await authorize(called, prompt="none"))["error"] == "login_required"


async def test_a_person_is_kept_waiting_for_half_an_hour(called: Calling) -> None:
    kept = (await authorize(called)).headers["location"]
    assert kept.startswith("/auth/authorize?resume=")
    called.clock.now += 1799
    page = await called.client.get(kept, headers=PAGE)
    assert page.status_code == 200
    called.clock.now += 1
    late = await called.client.get(kept, headers=PAGE)
    assert (late.status_code, "attempt_expired" in late.text) == (400, True)


async def test_a_kept_request_is_answered_to_its_own_application(called: Calling) -> None:
    """Whatever else the address of the kept request says."""
    kept = (await authorize(called)).headers["location"]
    more = {"redirect_uri": FOREIGN, "state": "another", "client_id": "web"}
    answer = returned(await called.client.get(f"{kept}&cancel=1&{urlencode(more)}"))
    assert answer == {"error": "access_denied", "state": "a state", "iss": URL}


async def test_going_back_leads_to_the_application_again(called: Calling) -> None:
    kept = (await authorize(called)).headers["location"]
    await sign_in(called)
    codes = {returned(await called.client.get(kept))["code"] for _ in range(2)}
    assert len(codes) == 2


async def test_a_bearer_token_signs_nobody_in(called: Calling) -> None:
    """Only the browser's own cookie does, and no application's token in its place."""
    parts = called.gateway.parts
    session = await sign_in(called)
    token = called.client.headers.pop("cookie").partition("=")[2]
    called.client.headers["authorization"] = f"Bearer {token}"
    assert returned(await authorize(called, prompt="none"))["error"] == "login_required"
    del called.client.headers["authorization"]
    grant = await add_session(parts.database, session.account_id, client_id="web", parent_id=session.id)
    pair = parts.renewal.issuer.issue(grant, NOW)
    called.client.headers["cookie"] = f"{parts.cookies.access}={pair.access_token}"
    assert returned(await authorize(called, prompt="none"))["error"] == "login_required"


async def hint_for(called: Calling, session: Any, client_id: str = "spa") -> str:
    """An ID token that the application got for a sign-in."""
    parts = called.gateway.parts
    facts = {"verified": [], "groups": [], "sid": "5" * 32}
    grant = await add_session(parts.database, session.account_id, client_id=client_id, scope="openid", facts=facts)
    app = parts.settings.apps[client_id]
    token: str = id_token_for(parts, app, parts.renewal.issuer.issue(grant, NOW), NOW)["id_token"]
    return token


async def test_whom_an_application_expects(called: Calling) -> None:
    """By an ID token of its own that it got once (OpenID Connect Core section 3.1.2.1)."""
    mine = await hint_for(called, await sign_in(called))
    assert "code" in returned(await authorize(called, prompt="none", id_token_hint=mine))
    called.clock.now += DAY  # the hint may have expired
    await sign_in(called)  # somebody else
    answer = returned(await authorize(called, prompt="none", id_token_hint=mine))
    assert (answer["error"], answer["state"]) == ("login_required", "a state")
    kept = (await authorize(called, id_token_hint=mine)).headers["location"]
    assert "location" not in (await called.client.get(kept, headers=PAGE)).headers
    await sign_in(called)  # and once more
    assert returned(await called.client.get(kept, headers=PAGE))["error"] == "login_required"


async def test_an_application_knows_a_merged_account_by_its_old_id(called: Calling) -> None:
    database = called.gateway.parts.database
    old = await add_session(database)
    survivor = await sign_in(called)
    async with database.write() as connection:
        await accounts.change(connection, old.account_id, merged_into=survivor.account_id)
    assert "code" in returned(await authorize(called, prompt="none", id_token_hint=await hint_for(called, old)))


@pytest.mark.parametrize("hint", ["x", "a.b.c", "x" * 9000, "of another application"])
async def test_a_hint_that_says_nothing(called: Calling, hint: str) -> None:
    session = await sign_in(called)
    given = await hint_for(called, session, "web") if hint.startswith("of") else hint
    assert returned(await authorize(called, prompt="none", id_token_hint=given))["error"] == "login_required"
    assert "code" in returned(await authorize(called, id_token_hint=given))


async def test_a_request_by_form_goes_on_as_get(called: Calling) -> None:
    """OpenID Connect Core section 3.1.2.1: other sites may post it, and Lax cookies do not come along."""
    foreign = {"Origin": "https://shop.example.com", "Sec-Fetch-Site": "cross-site"}
    posted = await called.post("/auth/authorize", foreign, **request(prompt="none"))
    assert (posted.status_code, posted.headers["location"].split("?")[0]) == (303, "/auth/authorize")
    await sign_in(called)
    assert "code" in returned(await called.client.get(posted.headers["location"]))
    twice = await called.client.post(
        "/auth/authorize",
        content=f"{urlencode(request())}&client_id=web",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (twice.status_code, "location" in twice.headers) == (400, False)


async def test_nobody_but_the_person_agrees(sqlite_url: str, tmp_path: Path) -> None:
    """Nor the pages that may call with cookies."""
    apps = {"spa": {"type": "spa", "redirect_uris": RETURN, "consent": True}}
    page = "https://front.example.com"
    async with calling(sqlite_url, tmp_path, apps, cors_origins=[page]) as called:
        await sign_in(called)
        form = {"resume": (await authorize(called)).headers["location"].rpartition("=")[2], "decision": "allow"}
        for origin in (page, "https://shop.example.com", "https://evil.example"):
            refused = await called.post("/auth/authorize", {"Origin": origin}, **form)
            assert (refused.status_code, refused.json()["error"]) == (403, "cross_site")
        assert returned(await authorize(called, prompt="none"))["error"] == "consent_required"
        agreed = await called.post("/auth/authorize", {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, **form)
        assert "code" in returned(agreed)


async def test_a_fault_of_the_application_costs_nobody_a_renewal(called: Calling) -> None:
    """The browser's refresh token was spent on the way: its successor comes with the error."""
    parts = called.gateway.parts
    session = await add_session(parts.database, scope="openid profile email groups")
    token, mark = parts.refresh.encode(session.id, 0), browser_mark(parts, session.id)
    called.client.headers["cookie"] = f"{parts.cookies.refresh}={token}; {parts.cookies.browser}={mark}"
    answer = await authorize(called, response_type="token")
    assert returned(answer)["error"] == "unsupported_response_type"
    assert f"{parts.cookies.refresh}={parts.refresh.encode(session.id, 1)};" in str(
        answer.headers.get_list("set-cookie")
    )


async def test_strangers_fill_no_table(sqlite_url: str, tmp_path: Path) -> None:
    async with calling(sqlite_url, tmp_path, rate_limits=True) as called:
        parts = called.gateway.parts
        for _ in range(BUCKETS["kept"].burst):
            await parts.limiter.check("kept", "127.0.0.1", NOW)
        refused = await authorize(called)
        assert (refused.status_code, "rate_limited" in refused.text) == (429, True)
        assert returned(await authorize(called, prompt="none"))["error"] == "login_required"
        await sign_in(called)
        assert "code" in returned(await authorize(called))


async def test_the_way_in_takes_no_other_method(called: Calling) -> None:
    assert (await called.client.put("/auth/authorize")).status_code == 405


async def test_a_consent_form_may_lead_to_any_port_of_this_machine(called: Calling) -> None:
    page = await called.client.get("/auth/login", headers=PAGE)
    policy = page.headers["content-security-policy"]
    sources = policy.partition("form-action")[2].split()
    assert {"'self'", "https://shop.example.com", "com.example.app:", "http://127.0.0.1:*"} <= set(sources)
