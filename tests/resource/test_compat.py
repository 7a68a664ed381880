"""A program written for fastapi-microsoft-identity runs by changing the import, and is safe where that was not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.testclient import TestClient

from gateway.resource.compat import (
    AuthError,
    Configuration,
    get_token_claims,
    initialize,
    requires_auth,
    requires_b2c_auth,
    validate_scope,
)
from gateway.testing import Client, Microsoft
from gateway.testing.directory import TENANTS
from gateway.testing.tokens import sign

from .issuing import CLIENT, FLOW, KEY, OTHER_TENANT, b2c_world, entra, entra_token
from .issuing import TENANT as B2C_TENANT

TENANT = next(iter(TENANTS.values()))

router = APIRouter()


@router.get("/api/weather/{city}")
@requires_auth
async def weather(request: Request, city: str, units: str = "metric") -> Any:
    try:
        validate_scope("access_as_user", request)
        return {"city": city, "units": units, "who": get_token_claims(request)["oid"]}
    except AuthError as error:
        return Response(content=error.error_msg, status_code=error.status_code)


@router.get("/jobs")
@requires_auth
async def jobs(request: Request) -> Any:
    try:
        validate_scope("Jobs.Run", request, True)
        return "run"
    except AuthError as error:
        return Response(content=error.error_msg, status_code=error.status_code)


@router.get("/sync")
@requires_auth
def in_a_thread(request: Request) -> str:
    return str(get_token_claims(request)["tid"])


@router.get("/undecorated")
async def undecorated(request: Request) -> Any:
    try:
        return get_token_claims(request)
    except AuthError as error:
        return Response(content=error.error_msg, status_code=error.status_code)


@router.get("/b2c")
@requires_b2c_auth
async def b2c(request: Request) -> Any:
    try:
        validate_scope("access_as_user", request)
        return get_token_claims(request)["emails"]
    except AuthError as error:
        return Response(content=error.error_msg, status_code=error.status_code)


@pytest.fixture(scope="module")
def microsoft() -> Iterator[Microsoft]:
    stand_in = Microsoft(clients=[Client(id=CLIENT)])
    with stand_in.serve():
        yield stand_in


@pytest.fixture
def client(microsoft: Microsoft) -> Iterator[TestClient]:
    initialize(TENANT, CLIENT, authority=microsoft.base_url)
    app = FastAPI()
    app.include_router(router)
    yield TestClient(app)
    Configuration.configured = None


def signed(microsoft: Microsoft, **changed: Any) -> str:
    """An access token as the stand-in's key makes it, valid now."""
    now = int(microsoft.now())
    said = {"iss": microsoft.issuer_of(TENANT), "tid": TENANT, "iat": now, "nbf": now, "exp": now + 3600}
    key = microsoft.keys.every[0]
    return sign({"alg": "RS256", "kid": key.kid, "typ": "JWT"}, entra(**said | changed), key.private)


def get(client: TestClient, path: str, token: str | None) -> Any:
    return client.get(path, headers={} if token is None else {"Authorization": f"Bearer {token}"})


def test_the_program_runs(client: TestClient, microsoft: Microsoft) -> None:
    answer = get(client, "/api/weather/oslo", signed(microsoft, scp="access_as_user"))
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"city": "oslo", "units": "metric", "who": entra()["oid"]}
    assert get(client, "/sync", signed(microsoft)).json() == TENANT


APP = {"scp": None, "roles": ["Jobs.Run", "access_as_user"], "idtyp": "app"}


@pytest.mark.parametrize(
    ("path", "changed", "status"),
    [
        ("/api/weather/oslo", {"scp": "other"}, 403),
        ("/api/weather/oslo", {"scp": "ACCESS_AS_USER"}, 200),
        ("/api/weather/oslo", {"scp": "other", "roles": ["access_as_user"]}, 403),
        ("/api/weather/oslo", APP, 403),
        ("/api/weather/oslo", {"roles": ["Editor"]}, 200),
        ("/jobs", APP, 200),
        ("/jobs", {"scp": "Jobs.Run"}, 403),
        ("/jobs", {"roles": ["Jobs.Run"]}, 403),
        ("/jobs", {"aud": "other"}, 401),
        ("/jobs", {"tid": OTHER_TENANT}, 401),
        ("/jobs", {"exp": 1}, 401),
        ("/undecorated", {}, 200),
        ("/undecorated", {"exp": 1}, 401),
    ],
)
def test_scope_and_role_are_not_confused(
    client: TestClient, microsoft: Microsoft, path: str, changed: dict[str, Any], status: int
) -> None:
    assert get(client, path, signed(microsoft, **changed)).status_code == status


@pytest.mark.parametrize("path", ["/api/weather/oslo", "/jobs", "/undecorated"])
def test_tokens_that_nobody_verified_never_pass(client: TestClient, path: str) -> None:
    forged = entra_token(entra(), key=KEY, alg="ES256", kid="k1")
    for token in (None, "x", entra_token(), forged):
        answer = get(client, path, token)
        assert answer.status_code == 401
        assert TENANT not in answer.text


def test_explained_it_says_what_to_change(client: TestClient, microsoft: Microsoft) -> None:
    initialize(TENANT, CLIENT, authority=microsoft.base_url, explain=True)
    assert "audience is 'other'" in get(client, "/jobs", signed(microsoft, aud="other")).json()["error_description"]


def test_a_person_of_a_b2c_user_flow(client: TestClient) -> None:
    """And nobody else: not of another flow, and no token of the directory itself."""
    initialize(B2C_TENANT, CLIENT, "B2C_1_susi", "contoso", transport=b2c_world().transport)
    now = int(time.time())
    valid = FLOW | {"iat": now, "nbf": now, "exp": now + 60}
    assert get(client, "/b2c", entra_token(entra(**valid))).json() == ["a@example.com"]
    for changed in ({"tfp": "B2C_1_edit"}, {"iss": entra()["iss"]}, {"aud": "another"}, {"exp": now - 1}):
        assert get(client, "/b2c", entra_token(entra(**valid | changed))).status_code == 401
    for changed in ({"scp": "other"}, {"scp": None, "roles": ["access_as_user"]}):
        assert get(client, "/b2c", entra_token(entra(**valid | changed))).status_code == 403
    assert get(client, "/jobs", entra_token(entra(**valid))).status_code == 401  # there the directory's own come in


def test_what_was_not_initialized_is_said(client: TestClient, microsoft: Microsoft) -> None:
    with pytest.raises(RuntimeError, match="b2c_policy_name"):
        get(client, "/b2c", signed(microsoft))
