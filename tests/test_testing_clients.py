"""Client authentication at a stand-in's token endpoint: each way, and each way to get it wrong."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.testing import Client, StandIn, keys
from gateway.testing.clients import ASSERTION_TYPE

from walking import CLIENT, Walk, basic_header

KEY = ECKey.generate_key("P-256", {"kid": "ours"})
CERTIFIED = keys.rsa()


@pytest.fixture
def walk() -> Iterator[Walk]:
    with StandIn(clients=[CLIENT]).serve() as standin, Walk(standin) as walk:
        yield walk


def registered(walk: Walk, **changes: Any) -> Client:
    client = replace(CLIENT, **changes)
    walk.standin.clients[:] = [client]
    walk.client = client
    return client


def outcome(walk: Walk, **form: Any) -> tuple[int, str | None]:
    response = walk.redeem(walk.code(), headers=form.pop("headers", {}), **form)
    return response.status_code, response.json().get("error")


def assertion(
    walk: Walk, key: ECKey | RSAKey = KEY, alg: str = "ES256", header: dict[str, Any] | None = None, **claims: Any
) -> str:
    now = int(time.time())
    ordinary = {"iss": "app", "sub": "app", "aud": walk.standin.issuer, "jti": str(uuid.uuid4()), "iat": now}
    members = {**ordinary, "exp": now + 60, **claims}
    registry = jws.JWSRegistry(algorithms=[alg])
    wanted = {name: value for name, value in members.items() if value is not None}
    return jwt.encode({"alg": alg, **(header or {})}, wanted, key, registry=registry)


def asserted(token: str) -> dict[str, str]:
    return {"client_assertion": token, "client_assertion_type": ASSERTION_TYPE}


def test_basic_wants_both_halves_form_encoded(walk: Walk) -> None:
    headers = {"Authorization": basic_header("app", CLIENT.secret or "")}
    assert outcome(walk, headers=headers) == (200, None)


@pytest.mark.parametrize(
    "header",
    [
        basic_header("app", "wrong"),
        basic_header("another", CLIENT.secret or ""),
        "Basic YXBwOmE6Yg==",  # app:a:b, not encoded
        "Basic ???",
        "Bearer YXBwOmE=",
    ],
)
def test_a_wrong_header_is_refused(walk: Walk, header: str) -> None:
    assert outcome(walk, headers={"Authorization": header}) == (401, "invalid_client")


def test_no_authentication_is_refused(walk: Walk) -> None:
    assert outcome(walk, client_id="app") == (401, "invalid_client")


def test_a_client_has_one_way_to_authenticate(walk: Walk) -> None:
    assert outcome(walk, client_id="app", client_secret=CLIENT.secret) == (401, "invalid_client")


def test_two_ways_at_once_are_refused(walk: Walk) -> None:
    headers = {"Authorization": basic_header("app", CLIENT.secret or "")}
    assert outcome(walk, headers=headers, client_secret=CLIENT.secret) == (400, "invalid_request")


def test_the_body_may_not_name_another_client(walk: Walk) -> None:
    headers = {"Authorization": basic_header("app", CLIENT.secret or "")}
    assert outcome(walk, headers=headers, client_id="another") == (401, "invalid_client")


def test_the_secret_may_come_in_the_body_where_that_is_registered(walk: Walk) -> None:
    registered(walk, auth_method="client_secret_post")
    assert outcome(walk, client_id="app", client_secret=CLIENT.secret) == (200, None)
    assert walk.discover()["token_endpoint_auth_methods_supported"] == ["client_secret_post"]


def test_a_public_client_only_names_itself(walk: Walk) -> None:
    registered(walk, auth_method="none", secret=None)
    assert outcome(walk, client_id="app") == (200, None)


@pytest.fixture
def asserting(walk: Walk) -> Walk:
    registered(walk, auth_method="private_key_jwt", secret=None, keys=(KEY.as_dict(private=False),))
    return walk


@pytest.mark.parametrize("audience", ["issuer", "token endpoint", "list"])
def test_an_assertion_is_addressed_to_the_issuer_or_the_token_endpoint(asserting: Walk, audience: str) -> None:
    issuer, endpoint = asserting.standin.issuer, asserting.standin.url("token")
    aud = {"issuer": issuer, "token endpoint": endpoint, "list": [issuer, "x"]}[audience]
    assert outcome(asserting, **asserted(assertion(asserting, aud=aud))) == (200, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "another"},
        {"sub": "another"},
        {"aud": "https://elsewhere.example"},
        {"jti": None},
        {"iat": None},
        {"exp": None},
        {"exp": 1},
        {"exp": 99_999_999_999},
        {"nbf": 99_999_999_999},
        {"key": ECKey.generate_key("P-256")},
    ],
)
def test_a_wrong_assertion_is_refused(asserting: Walk, wrong: dict[str, Any]) -> None:
    assert outcome(asserting, **asserted(assertion(asserting, **wrong))) == (401, "invalid_client")


def test_an_assertion_is_good_once(asserting: Walk) -> None:
    token = assertion(asserting)
    assert outcome(asserting, **asserted(token)) == (200, None)
    asserting.verifier += "2"
    assert outcome(asserting, **asserted(token)) == (401, "invalid_client")


def test_an_assertion_needs_its_type(asserting: Walk) -> None:
    form = {**asserted(assertion(asserting)), "client_assertion_type": "jwt"}
    assert outcome(asserting, **form) == (401, "invalid_client")


def test_an_assertion_that_is_no_jwt_is_refused(asserting: Walk) -> None:
    assert outcome(asserting, **asserted("nonsense")) == (401, "invalid_client")


def test_a_registered_algorithm_is_the_only_one(asserting: Walk) -> None:
    registered(asserting, auth_method="private_key_jwt", keys=asserting.client.keys, assertion_alg="PS256")
    assert outcome(asserting, **asserted(assertion(asserting))) == (401, "invalid_client")


def test_a_certificate_is_named_by_its_thumbprint(walk: Walk) -> None:
    certificate = keys.certificate(CERTIFIED)
    pem = certificate.public_bytes(Encoding.PEM).decode()
    registered(walk, auth_method="private_key_jwt", certificate=pem)
    thumbprint = keys.thumbprint(certificate)
    named = assertion(walk, CERTIFIED, "PS256", {"x5t#S256": thumbprint})
    assert outcome(walk, **asserted(assertion(walk, CERTIFIED, "PS256"))) == (401, "invalid_client")
    walk.verifier += "2"
    assert outcome(walk, **asserted(named)) == (200, None)
