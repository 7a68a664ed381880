"""The generic stand-in: what it publishes, how a code flow goes, and every rule it enforces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.testing import Behaviour, Person, StandIn

from walking import CALLBACK, CLIENT, Walk, answered


class Time:
    """A clock that a test can move."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def standin(clock: Time) -> Iterator[StandIn]:
    with StandIn(clients=[CLIENT], clock=clock).serve() as standin:
        yield standin


@pytest.fixture
def walk(standin: StandIn) -> Iterator[Walk]:
    with Walk(standin) as walk:
        yield walk


def test_the_issuer_ends_with_a_slash(walk: Walk, standin: StandIn) -> None:
    assert walk.discover()["issuer"] == f"{standin.base_url}/" == standin.issuer


def test_discovery_lists_only_the_clients_own_way_to_authenticate(walk: Walk) -> None:
    assert walk.discover()["token_endpoint_auth_methods_supported"] == ["client_secret_basic"]


def test_discovery_leaves_out_what_the_conformance_suite_leaves_out(walk: Walk) -> None:
    absent = {
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
        "end_session_endpoint",
    }
    assert absent.isdisjoint(walk.discover())


def test_discovery_lists_none_and_no_symmetric_algorithm(walk: Walk) -> None:
    algs = walk.discover()["id_token_signing_alg_values_supported"]
    assert algs[0] == "none"
    assert not any(alg.startswith("HS") for alg in algs)


def test_keys_are_of_many_types_and_the_signing_ones_name_no_algorithm(walk: Walk, standin: StandIn) -> None:
    keys = walk.browser.get(standin.url("jwks")).json()["keys"]
    assert [(key["kty"], key.get("crv"), key["use"], key.get("alg")) for key in keys] == [
        ("RSA", None, "sig", None),
        ("RSA", None, "sig", None),
        ("EC", "P-256", "sig", None),
        ("EC", "P-256", "sig", None),
        ("EC", "secp256k1", "sig", None),
        ("OKP", "Ed25519", "sig", None),
        ("RSA", None, "enc", "RSA-OAEP"),
        ("EC", "P-256", "enc", "ECDH-ES"),
    ]
    assert not any("d" in key for key in keys)


def test_a_code_flow_gives_the_claims_of_the_suite(walk: Walk, standin: StandIn, clock: Time) -> None:
    claims = walk.claims()
    at_hash = claims.pop("at_hash")
    assert len(at_hash) == 22
    assert claims == {
        "iss": standin.issuer,
        "sub": "user-subject-1234531",
        "aud": "app",
        "nonce": "a-nonce",
        "iat": int(clock.now),
        "exp": int(clock.now) + 300,
    }
    assert standin.complaints == []


def test_the_id_token_header_holds_alg_and_kid_alone(walk: Walk) -> None:
    assert set(walk.verified(walk.tokens()["id_token"]).header) == {"alg", "kid"}


def test_the_token_response_names_no_life_and_no_refresh_token(walk: Walk) -> None:
    assert set(walk.tokens()) == {"access_token", "token_type", "id_token", "scope"}


def test_auth_time_is_told_when_max_age_was_asked(walk: Walk, clock: Time) -> None:
    assert walk.claims(max_age="1000")["auth_time"] == int(clock.now)


def test_the_answer_is_a_303_with_code_and_state_alone(walk: Walk) -> None:
    response = walk.authorize()
    assert response.status_code == 303
    assert set(answered(response)) == {"code", "state"}


def test_form_post_answers_with_a_form_that_posts_to_the_redirect_uri(walk: Walk) -> None:
    html = walk.authorize(response_mode="form_post").text
    assert f'method="post" action="{CALLBACK}" enctype="application/x-www-form-urlencoded"' in html
    assert '<input type="hidden" name="state" value="a-state">' in html


def test_userinfo_follows_the_scopes(walk: Walk) -> None:
    claims = walk.userinfo(walk.tokens(scope="openid email")["access_token"]).json()
    assert claims == {"sub": "user-subject-1234531", "email": "user@example.com", "email_verified": False}


def test_userinfo_can_be_signed(walk: Walk, standin: StandIn) -> None:
    standin.behaviour = Behaviour(userinfo_signed=True)
    response = walk.userinfo(walk.tokens()["access_token"])
    assert response.headers["content-type"] == "application/jwt;charset=UTF-8"
    assert walk.verified(response.text).claims["aud"] == "app"


@pytest.mark.parametrize("where", ["query", "both", "twice", "nowhere", "unknown"])
def test_userinfo_wants_the_token_in_one_right_place(walk: Walk, standin: StandIn, where: str) -> None:
    token, url = walk.tokens()["access_token"], standin.url("userinfo")
    header = {"Authorization": f"Bearer {token}"}
    calls = {
        "query": {"method": "GET", "url": url, "params": {"access_token": token}},
        "both": {"method": "POST", "url": url, "data": {"access_token": token}, "headers": header},
        "twice": {"method": "POST", "url": url, "data": {"access_token": [token, token]}},
        "nowhere": {"method": "GET", "url": url},
        "unknown": {"method": "GET", "url": url, "headers": {"Authorization": "Bearer nobody-knows"}},
    }
    assert walk.browser.request(**calls[where]).status_code == 401  # type: ignore[arg-type]  # one table of calls


def test_userinfo_takes_the_token_in_a_form(walk: Walk, standin: StandIn) -> None:
    response = walk.browser.post(standin.url("userinfo"), data={"access_token": walk.tokens()["access_token"]})
    assert response.json()["sub"] == "user-subject-1234531"


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "another"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?x=1"},
        {"redirect_uri": None},
        {"client_id": None},
    ],
)
def test_without_a_registered_redirect_uri_nobody_is_sent_anywhere(walk: Walk, wrong: dict[str, str | None]) -> None:
    response = walk.authorize(**wrong)
    assert response.status_code == 400
    assert "location" not in response.headers


def test_a_parameter_that_comes_twice_is_refused(walk: Walk, standin: StandIn) -> None:
    pairs = [*walk.request().items(), ("state", "another")]
    assert walk.browser.get(standin.url("authorize"), params=pairs).status_code == 400


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"request_uri": "https://rp.example/r"}, "request_uri_not_supported"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"claims": '{"userinfo": 1}'}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_other_faults_are_told_at_the_redirect_uri(walk: Walk, wrong: dict[str, str | None], error: str) -> None:
    answer = answered(walk.authorize(**wrong))
    assert (answer["error"], answer["state"]) == (error, "a-state")


def test_whoever_signed_in_before_is_known_to_prompt_none(walk: Walk) -> None:
    walk.authorize()
    assert "code" in answered(walk.authorize(prompt="none"))


def test_prompt_none_with_max_age_zero_needs_a_login(walk: Walk) -> None:
    walk.authorize()
    assert answered(walk.authorize(prompt="none", max_age="0"))["error"] == "login_required"


def test_an_odd_nonce_is_noted_and_taken(walk: Walk, standin: StandIn) -> None:
    assert walk.code(nonce="n" * 44)
    assert standin.complaints == ["the nonce is longer than 43 characters or holds characters that need encoding"]


def test_a_code_is_good_once_and_takes_its_access_token_along(walk: Walk) -> None:
    code = walk.code()
    access_token = walk.redeem(code).json()["access_token"]
    assert walk.redeem(code).json()["error"] == "invalid_grant"
    assert walk.userinfo(access_token).status_code == 401


def test_a_code_lives_ten_minutes(walk: Walk, clock: Time) -> None:
    code = walk.code()
    clock.now += 600
    assert walk.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": CALLBACK + "2"},
        {"redirect_uri": None},
        {"code_verifier": None},
        {"code_verifier": "w" * 43},
        {"code_verifier": "short"},
        {"code": "unknown"},
    ],
)
def test_a_code_is_only_good_with_what_belongs_to_it(walk: Walk, wrong: dict[str, str | None]) -> None:
    form = {"code": walk.code(), **wrong}
    response = walk.redeem(form.pop("code") or "", **form)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


def test_a_verifier_is_good_once(walk: Walk) -> None:
    walk.tokens()
    assert walk.tokens()["error"] == "invalid_grant"


def test_without_a_challenge_no_verifier_is_needed(walk: Walk) -> None:
    code = walk.code(code_challenge=None, code_challenge_method=None)
    assert "id_token" in walk.redeem(code, code_verifier=None).json()


def test_a_code_belongs_to_one_client(walk: Walk, standin: StandIn) -> None:
    code = walk.code()
    other = replace(CLIENT, id="other")
    standin.clients.append(other)
    walk.client = other
    assert walk.redeem(code).json()["error"] == "invalid_grant"


def test_only_the_code_grant_is_known(walk: Walk) -> None:
    assert walk.redeem(walk.code(), grant_type="password").json()["error"] == "unsupported_grant_type"


def test_calls_are_recorded_in_order_with_what_they_brought(walk: Walk, standin: StandIn) -> None:
    walk.userinfo(walk.tokens()["access_token"])
    assert [call.endpoint for call in standin.calls] == ["authorize", "token", "userinfo"]
    assert standin.calls[1].params["redirect_uri"] == CALLBACK
    assert standin.called("userinfo")[0].headers["authorization"].startswith("Bearer ")


def test_a_call_to_an_unknown_place_is_recorded_too(walk: Walk, standin: StandIn) -> None:
    assert walk.browser.get(standin.base_url + "/nowhere").status_code == 404
    assert [call.path for call in standin.called("elsewhere")] == ["/nowhere"]


def test_the_next_person_signs_in_once(walk: Walk, standin: StandIn) -> None:
    standin.next_person = Person(subject="somebody", name="Some Body")
    assert walk.claims()["sub"] == "somebody"
    walk.verifier += "2"
    assert walk.claims()["sub"] == "user-subject-1234531"


def test_a_login_hint_chooses_the_person(walk: Walk) -> None:
    assert walk.claims(login_hint="ROSA@example.org")["sub"] == "user-subject-2"


def test_an_id_token_can_be_had_without_the_flow(walk: Walk, standin: StandIn) -> None:
    token = standin.mint(standin.people[0], "app", nonce="from-a-browser")
    assert walk.verified(token).claims["nonce"] == "from-a-browser"


def test_two_runs_of_one_stand_in_keep_its_keys() -> None:
    standin = StandIn(clients=[CLIENT])
    with standin.serve():
        before = standin.keys.published()
    with standin.serve(), Walk(standin) as walk:
        assert walk.browser.get(standin.url("jwks")).json() == before
