"""ID tokens for applications: what they say, and which of them count as a hint."""

from __future__ import annotations

import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.db import Database
from gateway.errors import Unavailable
from gateway.sealing import Sealer
from gateway.tokens.id_token import Hint, IdTokens
from gateway.tokens.keys import Keyring

NOW = 1_800_000_000
URL = "https://login.example.com"
SAID = {"sub": "account", "aud": "shop", "auth_time": NOW - 5, "sid": "session"}


@pytest.fixture(scope="module")
async def keyrings(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> AsyncIterator[dict[str, Keyring]]:
    """Made once: RSA keys take their time."""
    path = tmp_path_factory.mktemp("keys") / "gateway.db"
    shutil.copy(sqlite_template, path)
    database, sealer = Database(f"sqlite:///{path}"), Sealer([b"1" * 32])
    made = {
        "ES256": Keyring(database, sealer, lambda: NOW, "ES256"),
        "RS256": Keyring(database, sealer, lambda: NOW, "RS256", family="id-rs256"),
    }
    for keyring in made.values():
        await keyring.ensure()
    yield made
    await database.close()


def published(keyrings: dict[str, Keyring]) -> KeySet:
    return KeySet.import_key_set({"keys": [key for one in keyrings.values() for key in one.jwks()["keys"]]})


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_what_it_says(keyrings: dict[str, Keyring], alg: str) -> None:
    """OpenID Connect Core sections 2 and 3.1.3.6; META-1: whoever knows the published keys can check it."""
    token = jwt.decode(IdTokens(URL, keyrings).mint(alg, "an-access-token", NOW, SAID), published(keyrings), [alg])
    half = urlsafe_b64encode(sha256(b"an-access-token").digest()[:16]).rstrip(b"=").decode()
    assert token.claims == SAID | {"iss": URL, "iat": NOW, "exp": NOW + 300, "at_hash": half}
    assert token.header.keys() == {"alg", "kid", "typ"}
    assert token.header["typ"] == "JWT"


async def test_keys_of_two_families_have_their_own_ids(keyrings: dict[str, Keyring]) -> None:  # META-1
    keys = [key for one in keyrings.values() for key in one.jwks()["keys"]]
    assert len({key["kid"] for key in keys}) == len(keys) == 4
    assert {(key["alg"], key["use"]) for key in keys} == {("ES256", "sig"), ("RS256", "sig")}
    assert all(set(key) & {"d", "p", "q", "k"} == set() for key in keys)


async def test_an_algorithm_without_keys(keyrings: dict[str, Keyring]) -> None:
    with pytest.raises(Unavailable):
        IdTokens(URL, keyrings).mint("EdDSA", "x", NOW, SAID)


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
async def test_an_old_one_is_still_a_hint(keyrings: dict[str, Keyring], alg: str) -> None:
    tokens = IdTokens(URL, keyrings)
    assert tokens.read_hint(tokens.mint(alg, "x", NOW - 86_400, SAID)) == Hint("shop", "account", "session")


def changed(token: str, place: int, **other: Any) -> str:
    parts = token.split(".")
    content = json.loads(urlsafe_b64decode(parts[place] + "=="))
    parts[place] = urlsafe_b64encode(json.dumps(content | other).encode()).rstrip(b"=").decode()
    return ".".join(parts)


async def test_what_is_no_hint(keyrings: dict[str, Keyring]) -> None:
    tokens = IdTokens(URL, keyrings)
    good = tokens.mint("ES256", "x", NOW, SAID)
    unsigned = changed(good, 0, alg="none").rpartition(".")[0] + "."
    lacking = tokens.mint("ES256", "x", NOW, {"sub": "account", "aud": "shop"})
    for bad in (
        "",
        "x",
        "..",
        "\u00e9.\u00e9.\u00e9",
        "A" * 9000,
        good[:-4] + "AAAA",
        unsigned,
        lacking,
        changed(good, 0, typ="at+jwt"),
        changed(good, 0, alg="RS256"),
        changed(good, 1, aud="another"),
        changed(good, 1, sid="another"),
        IdTokens("https://another.example", keyrings).mint("ES256", "x", NOW, SAID),
        keyrings["ES256"].signer("at+jwt").sign({"iss": URL, **SAID}),
    ):
        assert tokens.read_hint(bad) is None, bad
