"""Applications sign people in: the whole way over real sockets, on both databases."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from harness import PLAIN, World, world
from shops import APPS, BYE_URI, READER_URI, SECRET, SHOP_URI, Shop, link_of


class Clock:
    """Moved by the tests; real time otherwise."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


CLOCK = Clock()


@pytest.fixture
def clock() -> Clock:
    return CLOCK


@pytest.fixture(scope="module")
def town(lasting_database_url: str) -> Iterator[World]:
    """One gateway for all of these tests; each has browsers of its own."""
    with world(lasting_database_url, clock=CLOCK, apps=APPS, account_linking="never") as made:
        yield made


def claims_of(town: World, token: str, alg: str = "ES256") -> dict[str, object]:
    keys = KeySet.import_key_set(town.gateway.api().get("/.well-known/jwks.json").json())
    return dict(jwt.decode(token, keys, algorithms=[alg]).claims)


def test_a_shop_signs_somebody_in(town: World) -> None:
    shop = Shop(town)
    answer = shop.sign_in()
    assert (answer["state"], answer["iss"]) == ("a-state", town.gateway.url)

    tokens = shop.redeem(answer["code"]).json()
    said = claims_of(town, tokens["id_token"])
    assert (said["iss"], said["aud"], said["nonce"]) == (town.gateway.url, "shop", "a-nonce")
    access = claims_of(town, tokens["access_token"])
    assert (access["sub"], access["client_id"], access["aud"]) == (said["sub"], "shop", town.gateway.url)

    who = shop.userinfo(tokens["access_token"]).json()
    assert (who["sub"], who["email"]) == (said["sub"], said["email"])

    renewed = shop.refresh(tokens["refresh_token"]).json()
    assert claims_of(town, renewed["access_token"])["sub"] == said["sub"]
    assert renewed["refresh_token"] != tokens["refresh_token"]


def test_one_sign_in_for_all_applications(town: World) -> None:
    shop = Shop(town)
    shop.sign_in()
    reader = Shop(town, "reader", READER_URI, None, browser=shop.browser)
    tokens = reader.redeem(reader.answer()["code"]).json()
    assert claims_of(town, tokens["access_token"])["aud"] == "https://api.example.com"
    assert reader.userinfo(tokens["access_token"]).status_code == 200


def test_signing_out_ends_what_the_browser_gave_to_applications(town: World) -> None:
    shop = Shop(town)
    tokens = shop.tokens()
    out = shop.browser.post("/auth/logout", headers={"Origin": town.gateway.url})
    assert out.status_code == 303
    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert shop.userinfo(tokens["access_token"]).status_code == 401


def test_signing_in_anew_keeps_what_the_same_person_gave(town: World) -> None:
    shop = Shop(town)
    tokens = shop.tokens()
    shop.sign_in(prompt="login")
    assert shop.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("revoked", [False, True])
def test_an_application_ends_the_session_with_its_hint(town: World, revoked: bool) -> None:
    """Also when what it has revoked just before has come first."""
    shop = Shop(town)
    tokens = shop.tokens()
    if revoked:
        proof = {"token": tokens["refresh_token"], "client_id": "shop", "client_secret": SECRET}
        assert town.gateway.api().post("/auth/revoke", data=proof).status_code == 200
    query = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE_URI, "state": "s"}
    out = shop.browser.get("/auth/end-session", params=query)
    assert (out.status_code, out.headers["location"]) == (303, f"{BYE_URI}?state=s")
    assert shop.answer(prompt="none")["error"] == "login_required"


def test_a_form_of_the_application_signs_out_like_a_link(town: World) -> None:
    """LGO-3: browsers send no Lax cookies with it, so that nobody would be signed out but everybody told so."""
    shop = Shop(town)
    form = {"id_token_hint": shop.tokens()["id_token"], "post_logout_redirect_uri": BYE_URI, "state": "s"}
    posted = town.gateway.browser(Origin="https://shop.example.com").post("/auth/end-session", data=form)
    assert (posted.status_code, posted.headers["location"][:17]) == (303, "/auth/end-session")
    out = shop.browser.get(posted.headers["location"])
    assert (out.status_code, out.headers["location"]) == (303, f"{BYE_URI}?state=s")
    assert shop.answer(prompt="none")["error"] == "login_required"


def test_a_hint_that_no_key_knows_any_more_proves_nothing(town: World) -> None:
    shop = Shop(town)
    old = shop.tokens()["id_token"].replace("e", "f", 1)
    query = {"id_token_hint": old, "client_id": "shop", "post_logout_redirect_uri": BYE_URI}
    page = shop.browser.get("/auth/end-session", params=query)
    assert (page.status_code, "location" in page.headers) == (200, False)
    assert "code" in shop.answer(prompt="none")
    own = {"Origin": town.gateway.url}
    out = shop.browser.post("/auth/end-session", data=query | {"confirm": "yes"}, headers=own)
    assert (out.status_code, out.headers["location"]) == (303, BYE_URI)
    del query["client_id"]
    assert shop.browser.get("/auth/end-session", params=query).status_code == 400


def test_without_a_hint_the_person_is_asked(town: World) -> None:
    shop = Shop(town)
    shop.tokens()
    query = {"client_id": "shop", "post_logout_redirect_uri": BYE_URI}
    page = shop.browser.get("/auth/end-session", params=query)
    assert page.status_code == 200
    assert "code" in shop.answer(prompt="none")
    form = query | {"confirm": "yes"}
    foreign = shop.browser.post("/auth/end-session", data=form, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 200
    assert "code" in shop.answer(prompt="none")
    out = shop.browser.post("/auth/end-session", data=form, headers={"Origin": town.gateway.url})
    assert (out.status_code, out.headers["location"]) == (303, BYE_URI)


def test_a_code_counts_once_and_its_second_use_takes_everything_back(town: World) -> None:
    """AV-10.4.2: fifty redemptions at once, one success; then nothing of it is worth anything."""
    shop = Shop(town)
    code = shop.sign_in()["code"]
    with ThreadPoolExecutor(50) as pool:
        answers = [answer.result() for answer in [pool.submit(shop.redeem, code) for _ in range(50)]]
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    assert shop.refresh(good[0]["refresh_token"]).json()["error"] == "invalid_grant"
    assert shop.userinfo(good[0]["access_token"]).status_code == 401
    assert town.rows("events WHERE name = 'code_reuse'") > 0


def test_a_code_is_bound(town: World, clock: Clock) -> None:
    """AV-10.4.3, PKCE-2: to its application, address, challenge and minute; wrong tries do not spend it."""
    shop = Shop(town)
    code = shop.sign_in()["code"]
    office = Shop(town, "office", "https://office.example.com/callback")
    refused = [
        office.redeem(code, redirect_uri=SHOP_URI, code_verifier=shop.verifier),
        shop.redeem(code, redirect_uri="https://shop.example.com/other?tenant=1"),
        shop.redeem(code, code_verifier="x" * 43),
        shop.redeem(code[:-2] + "AA"),
    ]
    assert [answer.json()["error"] for answer in refused] == ["invalid_grant"] * 4
    assert shop.redeem(code, code_verifier=None).json()["error"] == "invalid_request"
    assert shop.redeem(code, client_secret="another").status_code == 401
    assert shop.redeem(code).status_code == 200
    late = shop.answer()["code"]
    clock.ahead += 61
    assert shop.redeem(late).json()["error"] == "invalid_grant"


def test_a_code_of_a_browser_session_that_ended(town: World) -> None:
    shop = Shop(town)
    code = shop.sign_in()["code"]
    shop.browser.post("/auth/logout", headers={"Origin": town.gateway.url})
    assert shop.redeem(code).json()["error"] == "invalid_grant"


def test_who_takes_nine_minutes_and_opens_a_second_tab(town: World, clock: Clock) -> None:
    shop = Shop(town)
    page = shop.follow(shop.authorize())
    clock.ahead += 540
    assert "code" in shop.go_through(page)
    assert "code" in shop.go_through(page)


def test_who_cancels_at_the_provider(town: World) -> None:
    shop = Shop(town)
    page = shop.follow(shop.authorize())
    start = shop.browser.get(next(iter(links(page.text, "/auth/google/login"))))
    state = dict(pair.split("=") for pair in start.headers["location"].split("?")[1].split("&"))["state"]
    back = shop.browser.get("/auth/google/callback", params={"state": state, "error": "access_denied"})
    answer = shop.follow(back)
    assert answer.headers["location"].startswith(f"{SHOP_URI}?error=access_denied&state=a-state&iss=")
    cancel = next(iter(links(page.text, "cancel=1")))
    assert "error=access_denied" in shop.browser.get(cancel).headers["location"]


def links(page: str, part: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(r'href="([^"]+)"', page) if part in found]


def test_providers_of_an_application(town: World) -> None:
    office = Shop(town, "office", "https://office.example.com/callback")
    Shop(town, browser=office.browser).sign_in("google")
    assert office.answer(prompt="none")["error"] == "login_required"
    start = office.follow(office.authorize())
    assert "/oauth2/v2.0/authorize" in start.headers["location"]
    tokens = office.redeem(office.go_through(start, "microsoft")["code"]).json()
    assert claims_of(town, tokens["id_token"], "RS256")["aud"] == "office"
    assert office.answer(provider="google")["error"] == "invalid_request"


def test_a_browser_that_keeps_no_session_is_not_sent_round_and_round(town: World) -> None:
    """Straight to the only provider once, and then a page."""
    office = Shop(town, "office", "https://office.example.com/callback")
    start = office.authorize()
    assert start.headers["location"].startswith("/auth/microsoft/login?")
    provider = office.follow(start).headers["location"]
    back = httpx2.get(provider, timeout=20, trust_env=False, verify=False).headers["location"]
    resume = office.browser.get(back).headers["location"]
    office.browser.cookies.clear()
    page = office.browser.get(resume)
    assert page.status_code == 200
    assert links(page.text, "/auth/microsoft/login")


def test_prompt_and_max_age(town: World, clock: Clock) -> None:
    shop = Shop(town)
    assert shop.answer(prompt="none")["error"] == "login_required"
    first = shop.tokens()
    clock.ahead += 100
    assert shop.answer(prompt="none", max_age="50")["error"] == "login_required"
    again = shop.redeem(shop.sign_in(max_age="50")["code"]).json()
    before, after = (claims_of(town, tokens["id_token"])["auth_time"] for tokens in (first, again))
    assert int(str(after)) >= int(str(before)) + 100
    assert "code" in shop.sign_in(prompt="select_account")


def test_consent_is_asked_where_it_is_switched_on(town: World) -> None:
    careful = Shop(town, "careful", "https://careful.example.com/", None)
    Shop(town, browser=careful.browser).sign_in()
    assert careful.answer(prompt="none")["error"] == "consent_required"
    page = careful.follow(careful.authorize())
    assert "Allow Careful?" in page.text
    token = str(page.url).rpartition("=")[2]
    forms = [{"resume": token, "decision": decision} for decision in ("deny", "allow")]
    foreign = careful.browser.post("/auth/authorize", data=forms[1], headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    own = {"Origin": town.gateway.url}
    denied, allowed = (careful.browser.post("/auth/authorize", data=form, headers=own) for form in forms)
    assert "error=access_denied" in denied.headers["location"]
    assert "code=" in allowed.headers["location"]
    assert "code" in careful.answer(prompt="none")


def test_one_kind_of_token_is_worth_nothing_as_another(town: World) -> None:
    """AV-9.2.2: a code, an ID token, a refresh token and an access token stay what they are."""
    shop = Shop(town)
    code = shop.sign_in()["code"]
    tokens = shop.redeem(code).json()
    every = [code, tokens["id_token"], tokens["refresh_token"], tokens["access_token"]]
    for one in every[:3]:
        assert shop.userinfo(one).status_code == 401
    for one in every[1:]:
        assert shop.redeem(one).json()["error"] == "invalid_grant"
    for one in (code, tokens["id_token"], tokens["access_token"]):
        assert shop.refresh(one).json()["error"] == "invalid_grant"
    for one in (code, tokens["refresh_token"], tokens["access_token"]):
        assert shop.browser.get("/auth/end-session", params={"id_token_hint": one}).status_code == 400


def test_an_applications_token_does_not_look_after_the_account(town: World) -> None:
    shop = Shop(town)
    tokens = shop.tokens()
    api = town.gateway.api(Authorization=f"Bearer {tokens['access_token']}")
    assert api.get("/auth/me").status_code == 200
    for method, path in (
        ("GET", "/auth/sessions"),
        ("GET", "/auth/identities"),
        ("GET", "/auth/me/export"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", "/auth/me"),
        ("PATCH", "/auth/me"),
    ):
        assert api.request(method, path, json={}).json()["error"] == "insufficient_scope", path


def test_one_application_is_worth_nothing_to_another(town: World) -> None:
    """RT-5, REV-1: a refresh token, and a sign-out by the hint of a browser session that is another's."""
    shop = Shop(town)
    tokens = shop.tokens()
    reader = Shop(town, "reader", READER_URI, None)
    assert reader.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert shop.refresh(tokens["refresh_token"]).status_code == 200
    stranger = Shop(town)
    stranger.sign_in("microsoft")
    hint = {"id_token_hint": tokens["id_token"]}
    assert stranger.browser.get("/auth/end-session", params=hint).status_code == 200
    assert "code" in stranger.answer(prompt="none")


def test_where_pages_of_applications_may_call(town: World) -> None:
    """BCP-10: the token endpoint by an application's origin, without cookies; the authorization endpoint by none."""
    api = town.gateway.api(Origin="https://reader.example.com")
    headers = "authorization, content-type, x-requested-with"
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    allowed = api.options("/auth/token", headers=preflight)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://reader.example.com")
    assert "access-control-allow-credentials" not in allowed.headers
    assert "access-control-allow-origin" not in api.get("/auth/authorize").headers
    stranger = town.gateway.api(Origin="https://evil.example")
    assert "access-control-allow-origin" not in stranger.options("/auth/token", headers=preflight).headers


def policies(shop: Shop) -> list[str]:
    """Keeps what each of the gateway's answers says about windows."""
    said: list[str] = []
    shop.browser.event_hooks["response"] = [lambda got: said.append(got.headers["cross-origin-opener-policy"])]
    return said


def test_a_page_may_sign_in_in_a_window_it_waits_for(town: World) -> None:
    """One other policy among these answers, and the page that has opened the window hears nothing any more."""
    reader = Shop(town, "reader", READER_URI, None)
    said = policies(reader)
    reader.sign_in()
    assert said == ["unsafe-none"] * 5
    reader.answer()
    reader.answer(prompt="none")
    reader.answer(scope="nonsense")
    assert said == ["unsafe-none"] * 8

    careful = Shop(town, "careful", "https://careful.example.com/", None, browser=reader.browser)
    page = careful.follow(careful.authorize(scope="openid", prompt="consent"))
    resume = re.findall(r'name="resume" value="([^"]+)"', page.text)
    allowing = {"resume": resume[0], "decision": "allow"}
    careful.browser.post("/auth/authorize", data=allowing, headers={"Origin": town.gateway.url})
    assert said == ["unsafe-none"] * 11


def test_nobody_else_keeps_a_hold_on_our_windows(town: World) -> None:
    shop = Shop(town)
    said = policies(shop)
    town.sign_in(shop.browser, "google")
    shop.browser.get("/auth/account")
    shop.answer()
    shop.authorize(client_id="reader", redirect_uri="https://evil.example/")
    shop.browser.get("/auth/google/login", params={"redirect_to": "/auth/authorize"})
    shop.browser.get("/auth/google/callback", params={"state": "unknown", "code": "c"})
    assert said == ["same-origin"] * len(said)


@pytest.mark.parametrize("answer", [{"provider": "google"}, {"separate": "1"}])
def test_a_window_stays_one_through_the_question_about_a_known_address(sqlite_url: str, answer: dict[str, str]) -> None:
    with world(sqlite_url, apps=APPS) as town:
        town.sign_in(town.gateway.browser(), "google")
        reader = Shop(town, "reader", READER_URI, None)
        said = policies(reader)
        page = reader.follow(reader.authorize())
        back = httpx2.get(reader.browser.get(link_of(page, "microsoft")).headers["location"], **PLAIN)
        question = reader.follow(reader.browser.get(back.headers["location"]))
        assert question.url.path == "/auth/join"
        answered = reader.browser.post("/auth/join", data=answer, headers={"Origin": town.gateway.url})
        reader.go_through(answered) if "provider" in answer else reader.follow(answered)
    assert said == ["unsafe-none"] * len(said)
    assert len(said) >= 7


def test_the_metadata_tells_what_is_there(town: World) -> None:
    documents = [
        town.gateway.api().get(f"/.well-known/{name}").json()
        for name in ("openid-configuration", "oauth-authorization-server")
    ]
    assert documents[0] == documents[1]
    assert json.dumps(documents[0]).count(town.gateway.url) >= 5
    assert documents[0]["code_challenge_methods_supported"] == ["S256"]
    assert documents[0]["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert SECRET not in json.dumps(documents)
