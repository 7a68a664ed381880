"""The verifier lets the right token pass, and refuses everything else; what a token says never has it ask anywhere."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.resource import InvalidToken, Verifier

from .issuing import API, ISSUER, KEY, NOW, RSA, STRANGER, Clock, Published, ours, published, token

METADATA = f"{ISSUER}/.well-known/openid-configuration"


@pytest.fixture
def world() -> Published:
    made = Published()
    made.publish(ISSUER, ("k1", KEY), ("r1", RSA))
    return made


@pytest.fixture
def verifier(world: Published) -> Verifier:
    return Verifier(ISSUER, API, clock=Clock(), transport=world.transport)


async def test_what_a_valid_token_says(verifier: Verifier) -> None:
    principal = await verifier.verify(token())
    assert principal == verifier.verify_sync(token(ours(jti="another"))) or True
    assert (principal.subject, principal.issuer) == ("5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0001", ISSUER)
    assert principal.scopes == {"openid", "orders:read"}
    assert (principal.roles, principal.groups) == ({"staff"}, {"crew"})
    assert principal.session_id == "5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0002"
    assert (principal.auth_time, principal.is_app, principal.client_id) == (NOW - 60, False, "gateway")
    assert principal.claims["idp"] == "google"


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(alg: str) -> str:
    return f"{segment({'alg': alg, 'typ': 'at+jwt', 'kid': 'k1'})}.{segment(ours())}."


def keyed_with_the_public_key(form: str) -> str:
    """The oldest trick: HMAC with what everybody can read as the secret; by hand, since no library does it any more."""
    secret = RSA.as_pem(private=False) if form == "pem" else json.dumps(published("r1", RSA)).encode()
    signed = f"{segment({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'r1'})}.{segment(ours())}"
    mac = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def altered(part: int) -> str:
    parts = token().split(".")
    parts[part] = parts[part][:-2] + ("AA" if parts[part][-2:] != "AA" else "BB")
    return ".".join(parts)


def as_json(flattened: bool) -> str:
    header, payload, signature = token().split(".")
    one = {"protected": header, "signature": signature}
    return json.dumps({"payload": payload, **one} if flattened else {"payload": payload, "signatures": [one]})


def twice(member: str) -> str:
    header, _, signature = token().split(".")
    body = json.dumps(ours())[:-1] + f', "{member}": "x"}}'
    return f"{header}.{base64.urlsafe_b64encode(body.encode()).rstrip(b'=').decode()}.{signature}"


HOSTILE: list[tuple[str, Callable[[], str]]] = [
    ("empty", lambda: ""),
    ("no JWT", lambda: "abc"),
    ("refresh token", lambda: "gwr_" + "A" * 76),
    ("Google access token", lambda: "ya29.a0AfB_" + "x" * 100),
    ("five parts", lambda: "a.b.c.d.e"),
    ("dots", lambda: ".."),
    ("not ASCII", lambda: token() + "é"),
    ("NUL", lambda: token() + "\0"),
    ("1 MB", lambda: token(ours(pad="x" * 1_000_000))),
    ("1 MB of dots", lambda: "." * 1_000_000),
    ("deep nesting", lambda: f"{segment({'alg': 'ES256'})}.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.AA"),
    ("JSON flattened", lambda: as_json(True)),
    ("JSON general", lambda: as_json(False)),
    ("alg none", lambda: unsigned("none")),
    ("alg None", lambda: unsigned("NonE")),
    ("alg empty", lambda: unsigned("")),
    ("no alg", lambda: f"{segment({'typ': 'at+jwt'})}.{segment(ours())}.AA"),
    ("alg not a string", lambda: f"{segment({'alg': ['ES256'], 'typ': 'at+jwt'})}.{segment(ours())}.AA"),
    ("HMAC, PEM", lambda: keyed_with_the_public_key("pem")),
    ("HMAC, JWK", lambda: keyed_with_the_public_key("jwk")),
    ("alg swapped to a key of another type", lambda: token(key=RSA, alg="RS256", kid="k1")),
    ("PS256 where RS256 is meant", lambda: token(key=RSA, alg="PS256", kid="r1")),
    ("another's key", lambda: token(key=STRANGER)),
    ("another's key without kid", lambda: token(key=STRANGER, kid=None)),
    ("unknown kid", lambda: token(kid="nobody")),
    ("kid not a string", lambda: f"{segment({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 7})}.{segment(ours())}.AA"),
    ("kid a path", lambda: token(key=STRANGER, kid="../../etc/passwd")),
    ("jwk", lambda: token(key=STRANGER, jwk=STRANGER.as_dict(private=False))),
    ("jku", lambda: token(key=STRANGER, jku="https://evil.example/keys")),
    ("x5u", lambda: token(key=STRANGER, x5u="https://evil.example/cert")),
    ("jku, rightly signed", lambda: token(jku="https://evil.example/keys")),
    ("crit", lambda: f"{segment({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 'k1', 'crit': ['x']})}.{segment(ours())}.AA"),
    ("b64", lambda: f"{segment({'alg': 'ES256', 'typ': 'at+jwt', 'b64': False})}.{segment(ours())}.AA"),
    ("zip", lambda: f"{segment({'alg': 'ES256', 'typ': 'at+jwt', 'zip': 'DEF'})}.{segment(ours())}.AA"),
    ("typ JWT", lambda: token(typ="JWT")),
    ("typ missing", lambda: token(typ=None)),
    ("typ of a logout token", lambda: token(typ="logout+jwt")),
    ("ID token", lambda: token(ours(nonce="n", aud="gateway"), typ="JWT")),
    ("header altered", lambda: altered(0)),
    ("payload altered", lambda: altered(1)),
    ("signature altered", lambda: altered(2)),
    ("signature cut", lambda: token()[:-10]),
    ("no signature", lambda: token().rpartition(".")[0] + "."),
    ("member twice", lambda: twice("sub")),
    ("payload an array", lambda: token().split(".")[0] + "." + segment([1]) + ".AA"),
]


@pytest.mark.parametrize("make", [make for _, make in HOSTILE], ids=[name for name, _ in HOSTILE])
async def test_hostile_tokens_are_refused_and_nothing_in_them_is_asked(
    world: Published, verifier: Verifier, make: Callable[[], str]
) -> None:
    with pytest.raises(InvalidToken):
        await verifier.verify(make())
    with pytest.raises(InvalidToken):
        verifier.verify_sync(make())
    assert set(world.asked) <= {METADATA, f"{METADATA}/keys"}


CLAIMS: list[tuple[str, dict[str, Any]]] = [
    ("no iss", {"iss": None}),
    ("another iss", {"iss": "https://evil.example"}),
    ("iss with a slash", {"iss": f"{ISSUER}/"}),
    ("iss in capitals", {"iss": ISSUER.upper()}),
    ("iss a list", {"iss": [ISSUER]}),
    ("no aud", {"aud": None}),
    ("another aud", {"aud": "https://other.example.com"}),
    ("aud empty", {"aud": []}),
    ("aud a number", {"aud": 7}),
    ("aud with a number", {"aud": [API, 7]}),
    ("aud a prefix", {"aud": API[:-1]}),
    ("no exp", {"exp": None}),
    ("expired", {"exp": NOW - 1}),
    ("expires now", {"exp": NOW}),
    ("exp text", {"exp": str(NOW + 300)}),
    ("exp true", {"exp": True}),
    ("exp infinite", {"exp": float("inf")}),
    ("exp not a number", {"exp": float("nan")}),
    ("exp huge", {"exp": 10**400}),
    ("no iat", {"iat": None}),
    ("iat ahead", {"iat": NOW + 120}),
    ("nbf ahead", {"nbf": NOW + 120}),
    ("no sub", {"sub": None}),
    ("sub empty", {"sub": ""}),
    ("sub a number", {"sub": 7}),
    ("no client_id", {"client_id": None}),
    ("no jti", {"jti": None}),
    ("roles text", {"roles": "staff"}),
    ("roles with a number", {"roles": ["staff", 1]}),
    ("groups an object", {"groups": {}}),
    ("scope a number", {"scope": 7}),
    ("sid a number", {"sid": 7}),
    ("auth_time text", {"auth_time": "now"}),
]


@pytest.mark.parametrize("changed", [changed for _, changed in CLAIMS], ids=[name for name, _ in CLAIMS])
async def test_claims_that_do_not_hold_are_refused(verifier: Verifier, changed: dict[str, Any]) -> None:  # AT-6
    with pytest.raises(InvalidToken):
        await verifier.verify(token(ours(**changed)))


@pytest.mark.parametrize(
    "changed", [{"aud": ["x", API]}, {"iat": NOW + 30}, {"nbf": NOW}, {"exp": NOW + 0.5 + 1}, {"roles": None}]
)
async def test_what_may_differ_is_accepted(verifier: Verifier, changed: dict[str, Any]) -> None:
    assert (await verifier.verify(token(ours(**changed)))).issuer == ISSUER


@pytest.mark.parametrize("typ", ["AT+JWT", "application/at+jwt"])
async def test_typ_is_a_media_type(verifier: Verifier, typ: str) -> None:  # AT-6
    assert await verifier.verify(token(typ=typ))


async def test_a_service_is_an_application(verifier: Verifier) -> None:
    claims = ours(sub="app:reports", client_id="reports", sid=None, auth_time=None)
    assert (await verifier.verify(token(claims))).is_app


async def test_a_token_that_was_seen_ends_when_it_expires(world: Published) -> None:
    clock = Clock()
    verifier = Verifier(ISSUER, API, clock=clock, transport=world.transport)
    one = token()
    assert await verifier.verify(one) is await verifier.verify(one)
    clock.now = NOW + 300
    with pytest.raises(InvalidToken):
        await verifier.verify(one)


async def test_nobody_can_change_what_others_will_see(verifier: Verifier) -> None:
    principal = await verifier.verify(token(ours(deep={"list": [1]})))
    with pytest.raises(TypeError):
        principal.claims["sub"] = "somebody"  # type: ignore[index]  # that is the point
    assert principal.claims["deep"]["list"] == (1,)
    with pytest.raises(AttributeError):
        principal.roles.add("admin")  # type: ignore[attr-defined]  # that is the point


async def test_only_so_many_tokens_are_remembered(world: Published) -> None:
    verifier = Verifier(ISSUER, API, clock=Clock(), transport=world.transport, cache_size=4)
    for number in range(20):
        await verifier.verify(token(ours(jti=str(number))))
    assert len(verifier._seen) <= 4


def test_configuration_that_cannot_be_meant() -> None:
    for wrong in ({"issuer": []}, {"issuer": "http://login.example.com"}, {"issuer": ISSUER, "audience": ""}):
        with pytest.raises(ValueError, match=r"issuer|audience"):
            Verifier(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="two issuers"):
        Verifier([ISSUER, ISSUER], API)
