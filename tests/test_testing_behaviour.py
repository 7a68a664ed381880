"""Every way in which a stand-in can be told to depart from the ordinary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import OctKey

from gateway.testing import Behaviour, StandIn, answers
from gateway.testing.behaviour import append, break_signature, chain, decode, drop, put, unsigned
from gateway.testing.keys import generic_keys

from walking import CLIENT, Walk, answered

Behaving = Callable[..., Walk]


@pytest.fixture
def behaving() -> Iterator[Behaving]:
    """Starts a stand-in that behaves so, and a relying party that walks to it."""
    with ExitStack() as running:

        def start(**deviations: Any) -> Walk:
            standin = running.enter_context(StandIn(Behaviour(**deviations), clients=[CLIENT]).serve())
            return running.enter_context(Walk(standin))

        yield start


def payload(token: str, part: int = 1) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(decode(token.split(".")[part]))
    return decoded


def test_discovery_can_be_edited(behaving: Behaving) -> None:
    assert behaving(discovery=put(verify=False)).discover()["verify"] is False


def test_the_key_set_can_be_edited(behaving: Behaving) -> None:
    walk = behaving(jwks=put(keys=[]))
    assert walk.browser.get(walk.standin.url("jwks")).json() == {"keys": []}


def test_the_key_set_can_move_to_another_path(behaving: Behaving) -> None:
    walk = behaving(jwks_suffix="abcdef")
    assert walk.browser.get(walk.standin.url("jwks")).status_code == 404
    assert walk.browser.get(walk.discover()["jwks_uri"]).status_code == 200


def test_keys_can_go_without_names(behaving: Behaving) -> None:
    walk = behaving(keys=lambda: generic_keys(rsa_keys=3, kids=False))
    keys = walk.browser.get(walk.standin.url("jwks")).json()["keys"]
    assert [("kid" in key) for key in keys if key["use"] == "sig"] == [False] * 7
    assert "kid" not in payload(walk.tokens()["id_token"], 0)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES256K", "RS512"])
def test_another_algorithm_can_sign(behaving: Behaving, alg: str) -> None:
    walk = behaving(signing_alg=alg)
    tokens = walk.tokens()
    assert payload(tokens["id_token"], 0)["alg"] == alg
    size = 256 if alg == "ES256K" else int(alg[2:])
    assert len(decode(payload(tokens["id_token"])["at_hash"])) == size // 16


def test_the_clients_secret_can_sign(behaving: Behaving) -> None:
    token = behaving(signing_alg="HS256").tokens()["id_token"]
    assert jwt.decode(token, OctKey.import_key(CLIENT.secret or ""), algorithms=["HS256"]).claims["aud"] == "app"


def test_the_at_hash_is_of_the_access_token(behaving: Behaving) -> None:
    tokens = behaving().tokens()
    digest = hashlib.sha256(tokens["access_token"].encode()).digest()
    assert decode(payload(tokens["id_token"])["at_hash"]) == digest[:16]


def test_claims_can_be_changed_and_left_out(behaving: Behaving) -> None:
    claims = behaving(id_token=chain(append("nonce"), drop("iat"))).claims()
    assert claims["nonce"] == "a-nonce1"
    assert "iat" not in claims


def test_a_suffix_on_nothing_is_told_as_null(behaving: Behaving) -> None:
    assert behaving(id_token=append("nonce")).claims(nonce=None)["nonce"] == "null1"


def test_the_header_can_be_edited(behaving: Behaving) -> None:
    token = behaving(id_token_header=put(kid="unknown")).tokens()["id_token"]
    assert payload(token, 0)["kid"] == "unknown"


def test_the_signature_can_be_broken(behaving: Behaving) -> None:
    walk = behaving(id_token_compact=break_signature)
    with pytest.raises(BadSignatureError):
        walk.claims()


def test_the_token_can_go_unsigned(behaving: Behaving) -> None:
    token = behaving(id_token_compact=unsigned).tokens()["id_token"]
    assert payload(token, 0) == {"alg": "none"}
    assert token.endswith(".")
    assert "at_hash" not in payload(token)


def test_the_token_response_can_be_edited(behaving: Behaving) -> None:
    assert "id_token" not in behaving(token_response=drop("id_token")).tokens()


def test_userinfo_can_be_edited(behaving: Behaving) -> None:
    walk = behaving(userinfo=append("sub", "invalid"))
    assert walk.userinfo(walk.tokens()["access_token"]).json()["sub"] == "user-subject-1234531invalid"


def test_the_authorization_response_can_be_edited(behaving: Behaving) -> None:
    walk = behaving(authorization_response=put(iss="https://elsewhere.example"))
    assert answered(walk.authorize())["iss"] == "https://elsewhere.example"


def test_keys_can_rotate_just_before_signing(behaving: Behaving) -> None:
    walk = behaving(rotate_before_signing=True)
    before = {key.kid for key in walk.standin.keys.every}
    assert payload(walk.tokens()["id_token"], 0)["kid"] not in before


def test_keys_can_rotate_between_two_sign_ins(behaving: Behaving) -> None:
    walk = behaving()
    first = walk.standin.keys.published()["keys"]
    walk.standin.rotate_keys()
    second = walk.standin.keys.published()["keys"]
    assert {key["kid"] for key in first}.isdisjoint({key["kid"] for key in second})
    assert {key.get("n", key.get("x")) for key in first}.isdisjoint({key.get("n", key.get("x")) for key in second})


def test_a_page_can_stand_where_json_should(behaving: Behaving) -> None:
    walk = behaving(answers={"discovery": answers.html(502)})
    response = walk.browser.get(walk.standin.discovery_url)
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html; charset=utf-8")


def test_a_document_can_stand_where_another_should(behaving: Behaving) -> None:
    walk = behaving(answers={"token": answers.json({"error": "server_error"}, 500)})
    assert walk.redeem(walk.code()).status_code == 500


def test_a_flood_can_answer(behaving: Behaving) -> None:
    walk = behaving(answers={"jwks": answers.flood(megabytes=3)})
    assert len(walk.browser.get(walk.standin.url("jwks")).content) > 3_000_000


def test_a_redirect_can_lead_to_itself(behaving: Behaving) -> None:
    walk = behaving(answers={"discovery": answers.redirect_loop()})
    assert walk.browser.get(walk.standin.discovery_url).headers["location"] == walk.standin.discovery_url


def test_silence_lasts_until_the_caller_gives_up(behaving: Behaving) -> None:
    walk = behaving(answers={"discovery": answers.silence(60)})
    with pytest.raises(httpx2.ReadTimeout):
        walk.browser.get(walk.standin.discovery_url, timeout=0.2)


def test_a_slow_answer_comes_all_the_same(behaving: Behaving) -> None:
    walk = behaving(answers={"discovery": answers.slow(0.05)})
    assert walk.discover()["issuer"] == walk.standin.issuer


def test_the_behaviour_may_change_while_it_runs(behaving: Behaving) -> None:
    walk = behaving(answers={"discovery": answers.html()})
    walk.standin.behaviour = Behaviour()
    assert walk.discover()["issuer"] == walk.standin.issuer
