"""Who may post an ID token: our pages, `cors_origins`, apps, and the provider's own page with its pair of tokens."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from gateway.web.cookies import Cookies

from harness import World
from harness import world as make_world
from posting import TEXT_HTML, ask_nonce, post, post_form, token

SPA, EVIL = "http://spa.localhost:3000", "https://evil.example"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sqlite_template: object) -> Iterator[World]:
    url = f"sqlite:///{tmp_path_factory.mktemp('senders') / 'gateway.db'}"
    with make_world(url, cors_origins=[SPA], allowed_redirects=[SPA]) as made:
        yield made


@pytest.fixture
def client(world: World) -> Iterator[httpx2.Client]:
    """Says nothing of where it comes from, as an app does."""
    with world.gateway.api() as client:
        del client.headers["Origin"]
        yield client


def fresh(world: World, client: httpx2.Client) -> str:
    return token(world, ask_nonce(client))


@pytest.mark.parametrize("headers", [{}, SAME_ORIGIN, {"Origin": SPA}, {"Origin": "null", **SAME_ORIGIN}])
def test_json_from_an_app_or_a_page_of_ours(world: World, client: httpx2.Client, headers: dict[str, str]) -> None:
    assert post(client, fresh(world, client), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": EVIL, **SAME_ORIGIN},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"{SPA}.evil.example"},
        {"Origin": ""},
    ],
)
def test_json_from_elsewhere(world: World, client: httpx2.Client, headers: dict[str, str]) -> None:
    events = world.rows("events")
    posted = fresh(world, client)
    answer = post(client, posted, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")
    assert world.rows("events") == events
    assert post(client, posted).status_code == 200  # it was not spent


def test_json_from_the_providers_page(world: World, client: httpx2.Client) -> None:
    """It posts forms and nothing else."""
    client.cookies.set("g_csrf_token", "pair")
    headers = {"Origin": world.google.base_url}
    assert post(client, fresh(world, client), headers=headers, g_csrf_token="pair").status_code == 403


def test_a_form_from_the_providers_page(world: World, client: httpx2.Client) -> None:
    answer = post_form(client, fresh(world, client), world.google.base_url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/account")
    assert client.get("/auth/me").json()["email"] == "grace@example.net"


@pytest.mark.parametrize(
    "csrf", [(None, None), ("pair", None), (None, "pair"), ("pair", "other"), ("", ""), ("pair", ""), ("é", "e")]
)
def test_without_its_pair(world: World, client: httpx2.Client, csrf: tuple[str | None, str | None]) -> None:
    answer = post_form(client, fresh(world, client), world.google.base_url, csrf)
    assert answer.status_code == 403
    assert 'data-error="cross_site"' in answer.text
    assert "gateway" not in client.cookies


def test_the_pair_counts_from_no_other_origin(world: World, client: httpx2.Client) -> None:
    assert post_form(client, fresh(world, client), EVIL).status_code == 403
    assert post_form(client, fresh(world, client), world.microsoft.base_url).status_code == 403


def test_a_form_to_a_provider_whose_page_does_not_post(world: World, client: httpx2.Client) -> None:
    client.cookies.set("g_csrf_token", "pair")
    posted = token(world, ask_nonce(client, "microsoft"), 0, "microsoft")
    form = {"credential": posted, "g_csrf_token": "pair"}
    headers = {"Origin": world.microsoft.base_url}
    assert client.post("/auth/microsoft/login", data=form, headers=headers).status_code == 403


@pytest.mark.parametrize("origin", ["", SPA])
def test_a_form_from_a_page_of_ours(world: World, client: httpx2.Client, origin: str) -> None:
    """It needs no pair; one that it sends must be one."""
    ours = origin or world.gateway.url
    assert post_form(client, fresh(world, client), ours, (None, "left over")).status_code == 303
    assert post_form(client, fresh(world, client), ours, ("one", "other")).status_code == 403


def test_a_form_that_says_nothing_of_its_origin(world: World, client: httpx2.Client) -> None:
    form = {"credential": fresh(world, client)}
    assert client.post("/auth/google/login", data=form).status_code == 403
    assert client.post("/auth/google/login", data=form, headers=SAME_ORIGIN).status_code == 303


def test_where_a_form_leads(world: World, client: httpx2.Client) -> None:
    headers = {"Origin": world.gateway.url}
    form = {"credential": fresh(world, client)}
    by_query = client.post(f"/auth/google/login?redirect_to={SPA}/app", data=form, headers=headers)
    assert by_query.headers["location"] == f"{SPA}/app"
    form = {"credential": fresh(world, client), "redirect_to": "/there"}
    assert client.post("/auth/google/login", data=form, headers=headers).headers["location"] == "/there"


def test_a_form_that_fails_is_a_page_with_a_way_on(world: World, client: httpx2.Client) -> None:
    headers = {"Origin": world.gateway.url, **TEXT_HTML}
    page = client.post("/auth/google/login?redirect_to=/there", data={"credential": "nonsense"}, headers=headers)
    assert page.status_code == 400
    assert 'data-error="invalid_id_token"' in page.text
    assert 'href="/auth/google/login?redirect_to=%2Fthere"' in page.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"id_token": ""}', "application/json", 400),
        (b'{"id_token": 1}', "application/json", 400),
        (b'{"id_token": {"a": 1}}', "application/json", 400),
        (b'{"id_token": "a", "nonce": 1}', "application/json", 400),
        (b'{"id_token": "a", "redirect_to": ["/"]}', "application/json", 400),
        (b'{"id_token": "a", "id_token": "b"}', "application/json", 400),
        (b'{"id_token": "a"}', "text/plain", 415),
        (b'{"id_token": "a"}', "application/json; charset=utf-16", 415),
        (b"credential=a&credential=b", "application/x-www-form-urlencoded", 400),
        (b"id_token=a", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"x" * 70_000, "application/json", 413),
    ],
)
def test_what_cannot_be_read(world: World, client: httpx2.Client, body: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind, "Origin": world.gateway.url}
    answer = client.post("/auth/google/login", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


def test_an_unknown_provider(client: httpx2.Client) -> None:
    assert post(client, "a", "nobody").json()["error"] == "unknown_provider"
    assert client.get("/auth/nobody/nonce").json()["error"] == "unknown_provider"


def test_a_nonce_is_told_with_its_life(client: httpx2.Client) -> None:
    answer = client.get("/auth/google/nonce")
    assert answer.json() == {"nonce": answer.json()["nonce"], "expires_in": 600}
    name, *rest = answer.headers["set-cookie"].split("; ")
    assert name.startswith("gateway-nonce=")
    assert set(rest) == {"Max-Age=600", "Path=/", "HttpOnly", "SameSite=Lax"}
    assert answer.headers["cache-control"] == "no-store"


def test_on_https_the_nonces_cookie_survives_a_post_from_the_provider() -> None:
    cookies = Cookies.of("https://login.example.com", "/sso", "example.com")
    for cookie, age in ((cookies.set_nonce("n"), 600), (cookies.clear_nonce(), 0)):
        name, *rest = cookie.split("; ")
        assert name.startswith("__Host-gateway-nonce=")
        assert set(rest) == {f"Max-Age={age}", "Path=/", "HttpOnly", "Secure", "SameSite=None"}


def preflight(client: httpx2.Client, path: str, method: str, origin: str = SPA) -> httpx2.Response:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    return client.request("OPTIONS", path, headers={"Origin": origin, **asked})


def test_a_page_of_another_origin_may_ask_and_post(client: httpx2.Client) -> None:
    for path, method in (("/auth/google/login", "POST"), ("/auth/google/nonce", "GET")):
        answer = preflight(client, path, method)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SPA)
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert method in answer.headers["access-control-allow-methods"]


def test_it_can_read_the_answers(world: World, client: httpx2.Client) -> None:
    asked = client.get("/auth/google/nonce", headers={"Origin": SPA})
    posted = post(client, token(world, asked.json()["nonce"]), headers={"Origin": SPA})
    refused = post(client, "nonsense", headers={"Origin": SPA})
    assert (posted.status_code, refused.status_code) == (200, 400)
    assert {one.headers.get("access-control-allow-origin") for one in (asked, posted, refused)} == {SPA}


@pytest.mark.parametrize(("path", "method"), [("/auth/google/login", "GET"), ("/auth/google/callback", "POST")])
def test_the_steps_of_a_redirect_never_answer_cors(client: httpx2.Client, path: str, method: str) -> None:
    """RFC 9700 section 2.6."""
    answers = [preflight(client, path, method), client.request(method, path, headers={"Origin": SPA})]
    lying = {"Origin": SPA, "Access-Control-Request-Method": "POST"}
    answers.append(client.request(method, path, headers=lying))
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)


def test_nobody_elses_page_can_read_anything(client: httpx2.Client) -> None:
    answers = [
        preflight(client, "/auth/google/login", "POST", EVIL),
        client.get("/auth/google/nonce", headers={"Origin": EVIL}),
        post(client, "nonsense", headers={"Origin": EVIL}),
    ]
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)
