"""Schemathesis plays through /openapi.json: whatever it sends, answers are as described and nothing breaks."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from conftest import database, sql
from harness import World, world
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from gateway.web.openapi import describe

ENDS_THE_SESSION = ["signOut"]
TAKEN = {"RefreshGrant", "ProviderAnswer", "SignOut"}  # parameters nobody knows are ignored (RFC 6749 section 3.1)
OPEN = {"Description", "Error"}  # somebody else's format; extended by the codes of each answer
SOME = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


def strict(description: dict[str, Any]) -> dict[str, Any]:
    """The description with every shape of an answer closed: it may hold nothing that is not described."""
    closed = copy.deepcopy(description)
    for name in closed["components"]["schemas"].keys() - TAKEN - OPEN:
        closed["components"]["schemas"][name]["additionalProperties"] = False
    return closed


SCHEMA = schemathesis.openapi.from_dict(strict(describe("http://localhost", "gateway", "gateway-refresh")))


@pytest.fixture(scope="module")
def sqlite_for_all(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('schemathesis') / 'gateway.db'}"


@pytest.fixture(scope="module")
def postgres_for_all(postgres_template: str) -> Iterator[str]:
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    sql(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield database(name)
    sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def gate(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.getfixturevalue(f"{request.param}_for_all")) as made:
        yield made


@pytest.fixture(scope="module")
def token(gate: World) -> str:
    with gate.gateway.browser() as browser:
        gate.sign_in(browser, "google")
        return browser.cookies["gateway"]


# OAuth answers a well-formed but unknown token with 400, so that what fits the schema need not be accepted.
LEFT_OUT = [positive_data_acceptance]


@SCHEMA.parametrize()
@SOME
def test_a_stranger_is_answered_as_described(gate: World, case: schemathesis.Case) -> None:
    case.call_and_validate(base_url=gate.gateway.url, excluded_checks=LEFT_OUT)


@SCHEMA.exclude(operation_id=ENDS_THE_SESSION).parametrize()
@SOME
def test_somebody_signed_in_is_answered_as_described(gate: World, token: str, case: schemathesis.Case) -> None:
    signed_in = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=gate.gateway.url, headers=signed_in, excluded_checks=LEFT_OUT)
