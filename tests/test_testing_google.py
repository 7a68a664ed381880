"""The stand-in for Google: what it advertises, says and adds as the real one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing import Google
from gateway.testing.people import Person

from walking import CLIENT, Walk, answered


@pytest.fixture
def walk() -> Iterator[Walk]:
    with Google(clients=[CLIENT], automatic=True).serve() as standin, Walk(standin) as walk:
        yield walk


def at(walk: Walk, email: str) -> Person:
    return next(person for person in walk.standin.people if person.email == email)


def test_discovery_says_what_googles_says(walk: Walk) -> None:
    document, base = walk.discover(), walk.standin.base_url
    assert document["issuer"] == base
    assert document["authorization_endpoint"] == f"{base}/o/oauth2/v2/auth"
    assert document["jwks_uri"] == f"{base}/oauth2/v3/certs"
    assert document["token_endpoint_auth_methods_supported"] == ["client_secret_post", "client_secret_basic"]
    assert document["code_challenge_methods_supported"] == ["plain", "S256"]
    assert "end_session_endpoint" not in document
    assert "authorization_response_iss_parameter_supported" not in document


def test_its_keys_name_their_algorithm(walk: Walk) -> None:
    keys = walk.browser.get(walk.standin.url("jwks")).json()["keys"]
    assert [(key["kty"], key["alg"], key["use"], len(key["kid"])) for key in keys] == [("RSA", "RS256", "sig", 40)] * 2


def test_an_id_token_of_a_workspace_account(walk: Walk) -> None:
    claims = walk.claims()
    at_hash, issued = claims.pop("at_hash"), claims.pop("iat")
    assert at_hash
    assert claims.pop("picture").startswith("https://lh3.googleusercontent.com/")
    assert claims == {
        "iss": walk.standin.issuer,
        "azp": "app",
        "aud": "app",
        "sub": at(walk, "ada@example.com").subject,
        "hd": "example.com",
        "email": "ada@example.com",
        "email_verified": True,
        "nonce": "a-nonce",
        "name": "Ada Lovelace",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "exp": issued + 3600,
    }


def test_a_personal_account_has_no_hosted_domain(walk: Walk) -> None:
    assert "hd" not in walk.claims(login_hint="grace@example.net")


def test_an_address_may_be_unverified(walk: Walk) -> None:
    assert walk.claims(login_hint="alan@example.org")["email_verified"] is False


def test_scopes_decide_about_claims(walk: Walk) -> None:
    assert {"email", "name"}.isdisjoint(walk.claims(scope="openid"))


def test_the_issuer_has_two_spellings_in_tokens() -> None:
    with Google(clients=[CLIENT], bare_issuer=True, automatic=True).serve() as standin, Walk(standin) as walk:
        assert walk.claims()["iss"] == standin.issuer.removeprefix("http://")


def test_the_issuer_may_be_googles_own() -> None:
    google = Google(clients=[CLIENT], issuer="https://accounts.google.com", bare_issuer=True, automatic=True)
    with google.serve(), Walk(google) as walk:
        assert walk.discover()["issuer"] == "https://accounts.google.com"
        assert walk.claims()["iss"] == "accounts.google.com"


def test_the_answer_carries_issuer_and_extras(walk: Walk) -> None:
    response = walk.authorize()
    answer = answered(response)
    answer.pop("code")
    long = "https://www.googleapis.com/auth/userinfo."
    assert response.status_code == 302
    assert answer == {
        "state": "a-state",
        "iss": walk.standin.issuer,
        "scope": f"openid email profile {long}email {long}profile",
        "authuser": "0",
        "hd": "example.com",
        "prompt": "consent",
    }


def test_the_token_response_names_its_life(walk: Walk) -> None:
    tokens = walk.tokens()
    assert tokens["access_token"].startswith("ya29.")
    assert tokens["expires_in"] == 3599
    assert "https://www.googleapis.com/auth/userinfo.email" in tokens["scope"]


def test_the_secret_may_come_either_way_and_must_come(walk: Walk) -> None:
    assert walk.redeem(walk.code()).status_code == 200
    walk.verifier += "2"
    assert walk.redeem(walk.code(), headers={}, client_id="app", client_secret=CLIENT.secret).status_code == 200
    walk.verifier += "3"
    assert walk.redeem(walk.code(), headers={}, client_id="app").status_code == 401


def test_userinfo_says_the_same_about_the_person(walk: Walk) -> None:
    tokens = walk.tokens()
    userinfo = walk.userinfo(tokens["access_token"]).json()
    claims = walk.verified(tokens["id_token"]).claims
    assert userinfo == {name: claims[name] for name in userinfo}


def test_a_revoked_access_token_is_dead(walk: Walk) -> None:
    token, revoke = walk.tokens()["access_token"], walk.standin.url("revoke")
    assert walk.browser.post(revoke, data={"token": token}).status_code == 200
    assert walk.userinfo(token).status_code == 401
    assert walk.browser.post(revoke, data={"token": token}).json()["error"] == "invalid_token"


def test_a_page_comes_first_unless_told_otherwise() -> None:
    with Google(clients=[CLIENT]).serve() as standin, Walk(standin) as walk:
        assert "not Google" in walk.authorize().text
