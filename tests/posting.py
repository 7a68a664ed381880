"""A page of one's own, or an app, that signs people in with ID tokens: asks for a nonce, gets a token, posts it."""

from __future__ import annotations

from typing import Any

import httpx2

from gateway.testing import Person, StandIn

from harness import World

SESSION = {"gateway", "gateway-refresh", "gateway-browser"}
GRACE = 1  # of the people at the stand-in Google: an address that nobody else has
TEXT_HTML = {"Accept": "text/html,*/*"}


def ask_nonce(client: httpx2.Client, provider: str = "google") -> str:
    answer = client.get(f"/auth/{provider}/nonce")
    assert answer.status_code == 200, answer.text
    nonce: str = answer.json()["nonce"]
    return nonce


def token(world: World, nonce: str | None, person: Person | int = GRACE, provider: str = "google", **more: str) -> str:
    """An ID token of the stand-in, as its button would hand it out."""
    standin: StandIn = getattr(world, provider)
    who = standin.people[person] if isinstance(person, int) else person
    return standin.mint(who, f"{provider}-client", **({"nonce": nonce} if nonce else {}), **more)


def post(
    client: httpx2.Client,
    id_token: str,
    provider: str = "google",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> httpx2.Response:
    return client.post(f"/auth/{provider}/login", json={"id_token": id_token, **more}, headers=headers)


def sign_in(world: World, client: httpx2.Client, person: Person | int = GRACE, **more: Any) -> httpx2.Response:
    return post(client, token(world, ask_nonce(client), person), **more)


def post_form(
    client: httpx2.Client, credential: str, origin: str, csrf: tuple[str | None, str | None] = ("pair", "pair")
) -> httpx2.Response:
    """The form of Google Identity Services. `csrf`: the field, and the cookie that its script left here."""
    field, cookie = csrf
    if cookie is not None:
        client.cookies.set("g_csrf_token", cookie)
    form = {"credential": credential, "select_by": "btn"} | ({} if field is None else {"g_csrf_token": field})
    return client.post("/auth/google/login", data=form, headers={"Origin": origin, **TEXT_HTML})
