"""Schemathesis plays through /openapi.json: whatever it sends, answers are as described and nothing breaks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from gateway.web.openapi import describe

from harness import World

ENDS_THE_SESSION = ["signOut", "deleteAccount", "deleteAccountForm"]
# Parameters nobody knows are ignored (RFC 6749 section 3.1).
TAKEN = {
    "Consent",
    "EndSession",
    "Grant",
    "AboutToken",
    "ProviderAnswer",
    "SignOut",
    "JoinAnswer",
    "ProfileChange",
    "PostedToken",
    "PostedForm",
}
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
def token(lasting_world: World) -> str:
    with lasting_world.gateway.browser() as browser:
        lasting_world.sign_in(browser, "google")
        return browser.cookies["gateway"]


# OAuth answers a well-formed but unknown token with 400, so what fits the schema need not be accepted.
NOT_ASKED = [positive_data_acceptance]
# DELETE there reads "end-others" as the id of a session, which is not found.
NOT_ASKED_OF = {"endOtherSessionsForm": [unsupported_method]}


@SCHEMA.parametrize()
@SOME
def test_a_stranger_is_answered_as_described(lasting_world: World, case: schemathesis.Case) -> None:
    case.call_and_validate(base_url=lasting_world.gateway.url, excluded_checks=not_asked(case))


@SCHEMA.exclude(operation_id=ENDS_THE_SESSION).parametrize()
@SOME
def test_somebody_signed_in_is_answered_as_described(lasting_world: World, token: str, case: schemathesis.Case) -> None:
    signed_in = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=lasting_world.gateway.url, headers=signed_in, excluded_checks=not_asked(case))


def not_asked(case: schemathesis.Case) -> list[Any]:
    return NOT_ASKED + NOT_ASKED_OF.get(case.operation.definition.raw["operationId"], [])


def test_all_the_while_somebody_was_signed_in(lasting_world: World, token: str) -> None:
    with lasting_world.gateway.api(Authorization=f"Bearer {token}") as client:
        assert client.get("/auth/me").status_code == 200
