"""Client authentication at the token endpoint: one way in one request, and which application it proves.

A refresh token of nobody stands for the grant: `invalid_grant` says that the client was believed.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey, OctKey

from calling import APP_SECRET, URL, Calling, assertion, basic, calling

BELIEVED = (400, "invalid_grant")
NOT_BELIEVED = (401, "invalid_client")
TWO_WAYS = (400, "invalid_request")
OTHER_KEY = ECKey.import_key(ec.derive_private_key(0xBAD, ec.SECP256R1()))


@pytest.fixture
async def called(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    async with calling(sqlite_url, tmp_path) as made:
        yield made


async def outcome(called: Calling, headers: dict[str, str] | None = None, **form: str) -> tuple[int, str]:
    answer = await called.token(headers, grant_type="refresh_token", refresh_token="gwr_nothing", **form)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == 'Basic realm="gateway"'
    return answer.status_code, answer.json()["error"]


WRONG = APP_SECRET + "!"
MALFORMED = ["Basic", "Basic ", "Basic %%%", "Basic d2Vi", "Bearer x.y.z", "Basic /////w==", "Digest d2ViOg=="]


@pytest.mark.parametrize(
    ("headers", "form", "expected"),
    [
        (basic("web"), {}, BELIEVED),
        (basic("web"), {"client_id": "web"}, BELIEVED),
        ({}, {"client_id": "web", "client_secret": APP_SECRET}, BELIEVED),
        (basic("robot"), {}, (400, "unauthorized_client")),
        ({}, {"client_id": "spa"}, BELIEVED),
        ({}, {"client_id": "phone"}, BELIEVED),
        ({}, {"client_id": "spa", "client_secret": ""}, BELIEVED),
        (basic("spa", ""), {}, BELIEVED),
        ({}, {"client_id": "web"}, NOT_BELIEVED),
        ({}, {"client_id": "keyed"}, NOT_BELIEVED),
        ({}, {"client_id": "gateway"}, NOT_BELIEVED),
        ({}, {"client_id": "nobody", "client_secret": APP_SECRET}, NOT_BELIEVED),
        ({}, {"client_id": "Web", "client_secret": APP_SECRET}, NOT_BELIEVED),
        ({}, {"client_id": "keyed", "client_secret": APP_SECRET}, NOT_BELIEVED),
        ({}, {"client_id": "spa", "client_secret": APP_SECRET}, NOT_BELIEVED),
        (basic("web", WRONG), {}, NOT_BELIEVED),
        (basic("web", ""), {}, NOT_BELIEVED),
        (basic("spa"), {}, NOT_BELIEVED),
        (basic("web"), {"client_id": "spa"}, NOT_BELIEVED),
        (basic("web"), {"client_secret": APP_SECRET}, TWO_WAYS),
        (basic("web"), assertion("web", 0), TWO_WAYS),
        ({}, {"client_secret": APP_SECRET, **assertion("web", 0)}, TWO_WAYS),
        *[({"Authorization": malformed}, {}, NOT_BELIEVED) for malformed in MALFORMED],
    ],
)
async def test_who_is_believed(  # AV-10.4.10, TOK-2, TOK-5
    called: Calling, headers: dict[str, str], form: dict[str, str], expected: tuple[int, str]
) -> None:
    assert await outcome(called, headers, **form) == expected


async def test_basic_credentials_that_were_not_form_encoded_are_another_secret(called: Calling) -> None:
    raw = {"Authorization": "Basic " + b64encode(f"web:{APP_SECRET}".encode()).decode()}
    assert await outcome(called, raw) == NOT_BELIEVED


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"aud": URL},
        {"aud": [URL, f"{URL}/auth/token"]},
        {"aud": f"{URL}/auth/revoke"},
        {"iat": None},
        {"exp_in": 300},
        {"exp_in": -59},
    ],
    ids=str,
)
async def test_assertions_that_are_believed(called: Calling, changed: dict[str, Any]) -> None:  # BCP-5
    now = called.clock.now
    if "exp_in" in changed:
        changed = {"exp": now + changed["exp_in"]}
    assert await outcome(called, **assertion("keyed", now, **changed)) == BELIEVED


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "web"},
        {"sub": "web"},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"aud": []},
        {"aud": "https://other.example.com"},
        {"aud": [URL, "https://other.example.com"]},
        {"aud": {"a": 1}},
        {"aud": f"{URL}/"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"exp": None},
        {"exp": "1900000000"},
        {"exp": True},
        {"exp": 1e308},
        {"exp_in": -60},
        {"exp_in": 361},
        {"iat_in": 61},
        {"nbf_in": 61},
    ],
    ids=str,
)
async def test_assertions_that_are_not(called: Calling, changed: dict[str, Any]) -> None:  # BCP-5
    now = called.clock.now
    moved = {name.removesuffix("_in"): now + value for name, value in changed.items() if name.endswith("_in")}
    assert await outcome(called, **assertion("keyed", now, **moved or changed)) == NOT_BELIEVED


def encoded(header: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()


async def test_signatures_that_are_not(called: Calling) -> None:  # JWT-2, JWT-4
    now = called.clock.now
    genuine = assertion("keyed", now)
    header, payload, signature = genuine["client_assertion"].split(".")
    stripped = "eyJhbGciOiJub25lIn0." + payload + "."
    forged = [
        assertion("keyed", now, OTHER_KEY)["client_assertion"],
        assertion("keyed", now, OctKey.import_key("k" * 32), "HS256")["client_assertion"],  # type: ignore[arg-type]  # another kind of key is the point
        stripped,
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}",
        "x" * 60_000,
        "..",
        "a.b.c",
        "[].[].[]",
        *(f"{encoded({'alg': 'ES256', 'crit': odd})}.{payload}.{signature}" for odd in (1, None, [1], [[]], ["exp"])),
    ]
    assert {await outcome(called, **genuine | {"client_assertion": one}) for one in forged} == {NOT_BELIEVED}


async def test_an_assertion_of_another_kind_is_none(called: Calling) -> None:
    form = assertion("keyed", called.clock.now) | {"client_assertion_type": "urn:example"}
    assert await outcome(called, **form) == NOT_BELIEVED


async def test_an_assertion_counts_once(called: Calling) -> None:  # BCP-5
    form = assertion("keyed", called.clock.now)
    outcomes = Counter(await asyncio.gather(*(outcome(called, **form) for _ in range(8))))
    assert outcomes == {BELIEVED: 1, NOT_BELIEVED: 7}


async def test_two_apps_may_use_the_same_id(called: Calling) -> None:
    now = called.clock.now
    assert await outcome(called, **assertion("keyed", now, jti="1")) == BELIEVED
    assert await outcome(called, **assertion("signer", now, jti="1")) == (400, "unauthorized_client")


async def test_an_app_that_is_named_beside_its_assertion_is_the_same(called: Calling) -> None:
    now = called.clock.now
    assert await outcome(called, client_id="keyed", **assertion("keyed", now)) == BELIEVED
    assert await outcome(called, client_id="web", **assertion("keyed", now)) == NOT_BELIEVED
