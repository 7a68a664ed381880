"""Access tokens: what RFC 9068 asks of them, and that nothing but ours, unaltered and in time, is believed."""

from __future__ import annotations

import hmac
import json
import uuid
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet
from listening import statements_of

from gateway.db import Database
from gateway.errors import InvalidToken, Unavailable
from gateway.sealing import Sealer
from gateway.tokens.access import MAX_SIZE, AccessGrant, AccessTokens, VerifiedTokens
from gateway.tokens.claims import LEEWAY
from gateway.tokens.keys import Keyring
from gateway.tokens.signing import Algorithm, Signer

ISSUER = "https://login.example.com"
TTL = 300
SESSION = uuid.UUID("5f0c1bb5-0b0e-4f52-9c3c-0a6d7f1e2a90")
ACCOUNT = "0c7b47c2-0e53-4a5e-9c39-6ad5ad5f9a11"
GRANT = AccessGrant(
    subject=ACCOUNT, session_id=SESSION, auth_time=1_799_999_000, idp="google", scope="openid email", roles=("admin",)
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.5

    def __call__(self) -> float:
        return self.now


class Issuer:
    """A keyring in a database, and the tokens on top of it."""

    def __init__(self, url: str, alg: Algorithm = "ES256") -> None:
        self.database = Database(url)
        self.clock = Clock()
        self.keyring = Keyring(self.database, Sealer([b"1" * 32]), self.clock, alg, token_life=TTL)
        self.tokens = self.reader()

    def reader(self, audience: str = ISSUER, issuer: str = ISSUER) -> AccessTokens:
        return AccessTokens(issuer, audience, TTL, self.keyring, self.clock)

    def sign(self, claims: dict[str, Any], typ: str = "at+jwt") -> str:
        """Whatever claims, signed with the key that signs."""
        return self.keyring.signer(typ).sign(claims)


@pytest.fixture
async def issuer(sqlite_url: str) -> AsyncIterator[Issuer]:
    one = Issuer(sqlite_url)
    await one.keyring.ensure()
    yield one
    await one.database.close()


def decoded(part: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return value


def segment(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    return decoded(token.split(".")[1])


def refuses(tokens: AccessTokens, token: str) -> bool:
    try:
        tokens.verify(token)
    except InvalidToken:
        return True
    return False


async def test_the_header_says_what_it_is(issuer: Issuer) -> None:  # AT-1
    header = decoded(issuer.tokens.mint(GRANT).split(".")[0])
    assert header == {"alg": "ES256", "kid": issuer.keyring.current.kid, "typ": "at+jwt"}


async def test_the_claims_are_those_of_the_contract(issuer: Issuer) -> None:  # AT-2
    claims = claims_of(issuer.tokens.mint(GRANT))
    assert len(claims.pop("jti")) >= 16
    assert claims == {
        "iss": ISSUER,
        "sub": ACCOUNT,
        "aud": ISSUER,
        "client_id": "gateway",
        "iat": 1_800_000_000,
        "exp": 1_800_000_000 + TTL,
        "sid": str(SESSION),
        "auth_time": 1_799_999_000,
        "idp": "google",
        "scope": "openid email",
        "roles": ["admin"],
    }


async def test_personal_data_is_said_where_it_is_given(issuer: Issuer) -> None:
    grant = AccessGrant(
        subject=ACCOUNT,
        session_id=SESSION,
        auth_time=1,
        idp="google",
        groups=("staff", "größe"),
        email="ada@example.com",
        email_verified=False,
        name="Ada",
    )
    verified = issuer.tokens.verify(issuer.tokens.mint(grant))
    assert (verified.groups, verified.email, verified.email_verified, verified.name) == (
        ("staff", "größe"),
        "ada@example.com",
        False,
        "Ada",
    )


async def test_what_was_minted_is_read_back(issuer: Issuer) -> None:
    verified = issuer.tokens.verify(issuer.tokens.mint(GRANT))
    assert (verified.subject, verified.session_id, verified.idp) == (ACCOUNT, SESSION, "google")
    assert (verified.audience, verified.client_id, verified.scope) == ((ISSUER,), "gateway", "openid email")
    assert (verified.roles, verified.auth_time, verified.groups) == (("admin",), 1_799_999_000, None)


async def test_every_token_has_an_id_of_its_own(issuer: Issuer) -> None:
    assert len({claims_of(issuer.tokens.mint(GRANT))["jti"] for _ in range(200)}) == 200


async def test_no_token_outlives_its_session(issuer: Issuer) -> None:
    grant = AccessGrant(subject=ACCOUNT, session_id=SESSION, auth_time=1, idp="google", not_after=1_800_000_010)
    assert claims_of(issuer.tokens.mint(grant))["exp"] == 1_800_000_010


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
async def test_an_ordinary_verifier_believes_it_by_the_published_keys(sqlite_url: str, alg: Algorithm) -> None:
    one = Issuer(sqlite_url, alg)
    await one.keyring.ensure()
    await one.database.close()
    keys = KeySet.import_key_set(json.loads(json.dumps(one.keyring.jwks())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA
        read = jwt.decode(one.tokens.mint(GRANT), keys, algorithms=[alg])
    assert (read.claims["sub"], read.header["typ"]) == (ACCOUNT, "at+jwt")


@pytest.mark.parametrize("alg", ["EdDSA", "RS256"])
async def test_other_algorithms_are_read_back_as_well(sqlite_url: str, alg: Algorithm) -> None:
    one = Issuer(sqlite_url, alg)
    await one.keyring.ensure()
    await one.database.close()
    assert one.tokens.verify(one.tokens.mint(GRANT)).subject == ACCOUNT


async def test_altering_any_character_is_refused(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    altered = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token))
    ]
    assert [one for one in altered if not refuses(issuer.tokens, one)] == []


async def test_truncating_anywhere_is_refused(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    assert [end for end in range(len(token)) if not refuses(issuer.tokens, token[:end])] == []


SHAPES = ["", ".", "..", "...", "a.b.c", "a.b.c.d", "\x00", "ü.ü.ü", "\ud800", "e30.e30.e30", "A" * (MAX_SIZE + 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
async def test_other_shapes_are_refused(issuer: Issuer, shape: str) -> None:
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(shape)


async def test_a_signature_with_padding_or_another_alphabet_is_refused(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    assert refuses(issuer.tokens, token + "=")
    assert refuses(issuer.tokens, token + "\n")


@given(st.text(alphabet='eyJhbGciOiJFUzI1NiIs.{}":[]-_', max_size=200))
def test_garbage_is_refused(garbage: str) -> None:
    tokens = AccessTokens(ISSUER, ISSUER, TTL, Keyring(Database("sqlite://"), Sealer([b"1" * 32])))
    assert refuses(tokens, garbage)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another issuer": lambda claims: claims.update(iss="https://evil.example"),
    "issuer with slash": lambda claims: claims.update(iss=ISSUER + "/"),
    "no issuer": lambda claims: claims.pop("iss"),
    "another audience": lambda claims: claims.update(aud="https://api.example.com"),
    "other audiences": lambda claims: claims.update(aud=["a", "b"]),
    "no audience": lambda claims: claims.pop("aud"),
    "audience of numbers": lambda claims: claims.update(aud=[ISSUER, 1]),
    "expired": lambda claims: claims.update(exp=1_800_000_000),
    "no expiry": lambda claims: claims.pop("exp"),
    "expiry as text": lambda claims: claims.update(exp="1900000000"),
    "expiry true": lambda claims: claims.update(exp=True),
    "expiry not a number": lambda claims: claims.update(exp=float("nan")),
    "issued in the future": lambda claims: claims.update(iat=1_800_000_002 + LEEWAY),
    "not issued": lambda claims: claims.pop("iat"),
    "not yet valid": lambda claims: claims.update(nbf=1_800_000_002 + LEEWAY),
    "no subject": lambda claims: claims.pop("sub"),
    "empty subject": lambda claims: claims.update(sub=""),
    "subject a number": lambda claims: claims.update(sub=1),
    "no client": lambda claims: claims.pop("client_id"),
    "no session": lambda claims: claims.pop("sid"),
    "session no id": lambda claims: claims.update(sid="1"),
    "no auth_time": lambda claims: claims.pop("auth_time"),
    "no provider": lambda claims: claims.pop("idp"),
    "no scope": lambda claims: claims.pop("scope"),
    "no roles": lambda claims: claims.pop("roles"),
    "roles as text": lambda claims: claims.update(roles="admin"),
    "roles of objects": lambda claims: claims.update(roles=[{}]),
    "no id": lambda claims: claims.pop("jti"),
    "groups as text": lambda claims: claims.update(groups="staff"),
    "email a list": lambda claims: claims.update(email=["a@example.com"]),
    "email_verified as text": lambda claims: claims.update(email_verified="true"),
    "name null": lambda claims: claims.update(name=None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_claim_that_does_not_hold_is_refused_although_signed(
    issuer: Issuer, change: Callable[[dict[str, Any]], object]
) -> None:
    claims = claims_of(issuer.tokens.mint(GRANT))
    change(claims)
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(issuer.sign(claims))


async def test_a_payload_that_is_no_object_is_refused(issuer: Issuer) -> None:
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(issuer.sign([]))  # type: ignore[arg-type]  # that is the point


async def test_one_audience_of_several_is_enough(issuer: Issuer) -> None:
    claims = claims_of(issuer.tokens.mint(GRANT)) | {"aud": ["https://api.example.com", ISSUER]}
    assert issuer.tokens.verify(issuer.sign(claims)).audience == ("https://api.example.com", ISSUER)


async def test_a_clock_that_is_a_little_ahead_is_tolerated(issuer: Issuer) -> None:
    claims = claims_of(issuer.tokens.mint(GRANT)) | {"iat": 1_800_000_000 + LEEWAY, "nbf": 1_800_000_000 + LEEWAY}
    assert issuer.tokens.verify(issuer.sign(claims)).iat == 1_800_000_000 + LEEWAY


@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "secevent+jwt", "application/at+jwt", "AT+JWT", ""])
async def test_another_type_of_token_is_refused_although_signed(issuer: Issuer, typ: str) -> None:
    token = issuer.sign(claims_of(issuer.tokens.mint(GRANT)), typ=typ)
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(token)


async def test_further_header_parameters_are_refused(issuer: Issuer) -> None:
    key = issuer.keyring.current
    assert key.private is not None
    header = {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
    payload = json.dumps(claims_of(issuer.tokens.mint(GRANT)))
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    tokens = [
        jws.serialize_compact(header | extra, payload, key.private, registry=registry)
        for extra in ({"crit": ["typ"]}, {"jku": "https://evil.example"}, {"zip": "DEF"}, {"cty": "JWT"})
    ]
    assert [token for token in tokens if not refuses(issuer.tokens, token)] == []


async def test_an_unsigned_token_is_refused(issuer: Issuer) -> None:
    payload = issuer.tokens.mint(GRANT).split(".")[1]
    for alg in ("none", "None", "ES256"):
        header = segment({"alg": alg, "kid": issuer.keyring.current.kid, "typ": "at+jwt"})
        assert refuses(issuer.tokens, f"{header}.{payload}.")


async def test_an_hmac_with_our_public_key_is_refused(issuer: Issuer) -> None:
    kid = issuer.keyring.current.kid
    public = ECKey.import_key(dict(issuer.keyring.current.public)).as_pem(private=False)
    payload = issuer.tokens.mint(GRANT).split(".")[1]
    signed = f"{segment({'alg': 'HS256', 'kid': kid, 'typ': 'at+jwt'})}.{payload}"
    tag = hmac.digest(public, signed.encode(), "sha256")
    forged = f"{signed}.{urlsafe_b64encode(tag).rstrip(b'=').decode()}"
    assert refuses(issuer.tokens, forged)


async def test_a_key_that_comes_with_the_token_is_refused(issuer: Issuer) -> None:
    own = ECKey.generate_key("P-256")
    claims = claims_of(issuer.tokens.mint(GRANT))
    embedded = jwt.encode({"alg": "ES256", "typ": "at+jwt", "jwk": own.as_dict(private=False)}, claims, own)
    renamed = Signer(own, alg="ES256", kid=issuer.keyring.current.kid, typ="at+jwt").sign(claims)
    assert refuses(issuer.tokens, embedded)
    assert refuses(issuer.tokens, renamed)


async def test_a_token_dies_at_its_expiry_also_when_it_was_seen_before(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    issuer.tokens.verify(token)
    issuer.clock.now = 1_800_000_000 + TTL
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(token)


async def test_tokens_verify_through_the_whole_rotation_and_not_beyond(issuer: Issuer) -> None:  # META-2
    before = issuer.tokens.mint(GRANT)
    await issuer.keyring.rotate(force=True)
    after = issuer.tokens.mint(GRANT)
    assert decoded(after.split(".")[0])["kid"] == issuer.keyring.current.kid
    assert issuer.tokens.verify(before).subject == issuer.tokens.verify(after).subject == ACCOUNT


async def test_a_retired_key_takes_its_tokens_with_it_at_once(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    kid = issuer.tokens.verify(token).kid
    await issuer.keyring.rotate(force=True)
    issuer.tokens.verify(token)
    await issuer.keyring.retire(kid)
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(token)


async def test_a_token_of_a_key_made_elsewhere_is_accepted_once_the_keys_were_read(
    issuer: Issuer, sqlite_url: str
) -> None:
    other = Issuer(sqlite_url)
    await other.keyring.ensure()
    await other.keyring.rotate(force=True)
    await other.keyring.rotate(force=True)
    token = other.tokens.mint(GRANT)
    await other.database.close()
    with pytest.raises(InvalidToken):
        issuer.tokens.verify(token)
    await issuer.keyring.upkeep()
    assert issuer.tokens.verify(token).subject == ACCOUNT


async def test_neither_minting_nor_verifying_asks_the_database(issuer: Issuer) -> None:
    asked = statements_of(issuer.database)
    token = issuer.tokens.mint(GRANT)
    issuer.tokens.verify(token)
    issuer.tokens.verify(token)
    refuses(issuer.tokens, token[:-1])
    assert asked == []


async def test_without_keys_nothing_is_minted_and_nothing_accepted(issuer: Issuer) -> None:
    token = issuer.tokens.mint(GRANT)
    unloaded = AccessTokens(ISSUER, ISSUER, TTL, Keyring(issuer.database, Sealer([b"1" * 32])), issuer.clock)
    with pytest.raises(Unavailable):
        unloaded.mint(GRANT)
    assert refuses(unloaded, token)


async def test_the_cache_keeps_no_token_and_no_more_than_its_size(issuer: Issuer) -> None:
    tokens = AccessTokens(ISSUER, ISSUER, TTL, issuer.keyring, issuer.clock, cache_size=10)
    minted = [tokens.mint(GRANT) for _ in range(50)]
    for token in minted:
        tokens.verify(token)
    kept = tokens._verified
    assert len(kept) <= 10
    assert all(len(digest) == 32 for digest in [*kept._young, *kept._old])


def test_what_is_asked_for_again_outlives_what_is_not() -> None:
    cache = VerifiedTokens(4)
    claims: Any = object()
    cache.put(b"again", claims)
    for number in range(20):
        assert cache.get(b"again") is claims
        cache.put(bytes([number]), claims)
    assert cache.get(bytes([0])) is None
    assert len(cache) <= 4
