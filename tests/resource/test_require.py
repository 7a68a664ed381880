"""What a call needs, as a table; and requirements that cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.resource import (
    InsufficientAuthentication,
    InsufficientScope,
    Principal,
    Refused,
    check,
    requirement,
)

NOW = 1_800_000_000
ADA = Principal(
    subject="ada",
    issuer="https://login.example.com",
    scopes=frozenset(("read", "write")),
    roles=frozenset(("staff",)),
    groups=frozenset(("crew",)),
    auth_time=NOW - 100,
    expires_at=NOW + 300,
    claims={},
)
DAEMON = Principal(
    subject="service",
    issuer="https://login.example.com",
    scopes=frozenset(("read",)),
    roles=frozenset(("Jobs.Run", "staff")),
    is_app=True,
    expires_at=NOW + 300,
    claims={},
)

TABLE: list[tuple[Principal, dict[str, Any], type[Refused] | None]] = [
    (ADA, {}, None),
    (DAEMON, {}, None),
    (ADA, {"scope": "read"}, None),
    (ADA, {"scope": "read write"}, None),
    (ADA, {"scope": ["read", "write"]}, None),
    (ADA, {"scope": "read admin"}, InsufficientScope),
    (ADA, {"scope": "READ"}, InsufficientScope),
    (ADA, {"scope": "staff"}, InsufficientScope),
    (ADA, {"role": "staff", "group": "crew", "scope": "read", "max_age": 100}, None),
    (ADA, {"role": "read"}, InsufficientScope),
    (ADA, {"role": ["staff", "boss"]}, InsufficientScope),
    (ADA, {"group": "staff"}, InsufficientScope),
    (ADA, {"app_role": "staff"}, InsufficientScope),
    (ADA, {"max_age": 99}, InsufficientAuthentication),
    (DAEMON, {"scope": "read"}, InsufficientScope),
    (DAEMON, {"role": "staff"}, InsufficientScope),
    (DAEMON, {"max_age": 1000}, InsufficientScope),
    (DAEMON, {"app_role": "Jobs.Run"}, None),
    (DAEMON, {"app_role": "read"}, None),
    (DAEMON, {"app_role": "Jobs.Stop"}, InsufficientScope),
    (DAEMON, {"any_of": [{"scope": "read"}, {"app_role": "Jobs.Run"}]}, None),
    (ADA, {"any_of": [{"scope": "admin"}, {"role": "staff"}]}, None),
    (ADA, {"any_of": [{"scope": "admin"}, {"role": "boss"}]}, InsufficientScope),
    (ADA, {"any_of": [{"role": "boss"}, {"max_age": 5}]}, InsufficientAuthentication),
    (ADA, {"scope": "admin", "any_of": [{"role": "staff"}]}, InsufficientScope),
]


@pytest.mark.parametrize(("principal", "needs", "refusal"), TABLE)
def test_who_has_what_it_needs(principal: Principal, needs: dict[str, Any], refusal: type[Refused] | None) -> None:
    if refusal is None:
        check(principal, requirement(**needs), NOW)
        return
    with pytest.raises(refusal):
        check(principal, requirement(**needs), NOW)


def test_without_a_time_of_signing_in_it_was_too_long_ago() -> None:
    unknown = Principal(subject="x", issuer="y", expires_at=NOW, claims={})
    with pytest.raises(InsufficientAuthentication):
        check(unknown, requirement(max_age=10**9), NOW)


@pytest.mark.parametrize(
    "needs",
    [
        {"scope": ""},
        {"scope": " "},
        {"scope": []},
        {"role": ["staff", ""]},
        {"group": ""},
        {"app_role": []},
        {"max_age": -1},
        {"scope": "read", "app_role": "Jobs.Run"},
        {"any_of": [{"role": ""}]},
    ],
)
def test_an_empty_requirement_is_a_mistake_and_lets_nobody_in(needs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"empty|seconds|people"):
        requirement(**needs)
