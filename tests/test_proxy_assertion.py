"""The assertion for an application behind a proxy: what it says, how long, and that it is nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from test_tokens_access import GRANT, ISSUER, Issuer

from gateway.errors import InvalidToken, Unavailable
from gateway.resource import InvalidToken as Refused
from gateway.resource import Verifier
from gateway.tokens.claims import AccessClaims
from gateway.tokens.keys import Keyring
from gateway.tokens.proxy_assertion import LIFE, ProxyAssertions

HOST = "app.example.com:8443"


@pytest.fixture
async def issuer(sqlite_url: str) -> AsyncIterator[Issuer]:
    one = Issuer(sqlite_url)
    await one.keyring.ensure()
    yield one
    await one.database.close()


def claims_of(issuer: Issuer, **said: object) -> AccessClaims:
    return issuer.tokens.verify(issuer.tokens.mint(replace(GRANT, **said)))  # type: ignore[arg-type]  # by name


def mint(issuer: Issuer, **said: object) -> str:
    return ProxyAssertions(ISSUER, issuer.keyring, issuer.clock).mint(claims_of(issuer, **said), HOST)


async def test_what_it_says(issuer: Issuer) -> None:
    token = mint(issuer, email="ada@example.com", email_verified=True, groups=("staff",))
    read = jwt.decode(token, KeySet.import_key_set(issuer.keyring.jwks()))
    now = int(issuer.clock.now)
    assert read.header == {"alg": "ES256", "kid": issuer.keyring.current.kid, "typ": "forward-auth+jwt"}
    assert read.claims == {
        "iss": ISSUER,
        "aud": HOST,
        "sub": GRANT.subject,
        "iat": now,
        "exp": now + LIFE,
        "sid": str(GRANT.session_id),
        "auth_time": GRANT.auth_time,
        "idp": "google",
        "email": "ada@example.com",
        "roles": ["admin"],
        "groups": ["staff"],
    }


async def test_an_address_that_nobody_verified_is_not_said(issuer: Issuer) -> None:
    token = mint(issuer, email="ada@example.com", email_verified=False)
    assert jwt.decode(token, KeySet.import_key_set(issuer.keyring.jwks())).claims["email"] is None


async def test_it_ends_with_the_access_token(issuer: Issuer) -> None:
    token = mint(issuer, not_after=int(issuer.clock.now) + 10)
    assert jwt.decode(token, KeySet.import_key_set(issuer.keyring.jwks())).claims["exp"] == int(issuer.clock.now) + 10


async def test_it_is_signed_with_the_key_of_the_moment(issuer: Issuer) -> None:
    assertions = ProxyAssertions(ISSUER, issuer.keyring, issuer.clock)
    claims = claims_of(issuer)
    before = assertions.mint(claims, HOST)
    await issuer.keyring.rotate(force=True)
    assert before.partition(".")[0] != assertions.mint(claims, HOST).partition(".")[0]


async def test_it_is_no_access_token_here_nor_at_an_api(issuer: Issuer) -> None:
    token = ProxyAssertions(ISSUER, issuer.keyring, issuer.clock).mint(claims_of(issuer), ISSUER)
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(token)
    with pytest.raises(Refused, match="typ"):
        await Verifier(ISSUER, ISSUER).verify(token)


async def test_nothing_is_signed_before_there_are_keys(issuer: Issuer) -> None:
    empty = ProxyAssertions(ISSUER, Keyring(issuer.database, None, issuer.clock))  # type: ignore[arg-type]  # never used
    with pytest.raises(Unavailable):
        empty.mint(claims_of(issuer), HOST)
