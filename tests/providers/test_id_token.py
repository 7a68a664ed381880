"""The refusal matrix of the one verifier. Names with hyphens are modules of the OpenID conformance suite."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from gateway.errors import InvalidIdToken, NonceMismatch
from gateway.providers.id_token import Verified

from .op import ACCESS_TOKEN, CLIENT_ID, NONCE, NOW, Key, Op, any_nonce, b64, ec, finish, okp, public, rsa, sign

Change = dict[str, Any]
GONE = object()


def changed(claims: Change) -> Op:
    op = Op()
    op.claims |= claims
    op.claims = {name: value for name, value in op.claims.items() if value is not GONE}
    return op


REFUSED: list[tuple[str, Change, str]] = [
    ("invalid-iss", {"iss": "https://op.example1"}, "iss"),
    ("iss with a slash more", {"iss": "https://op.example/"}, "iss"),
    ("iss in capitals", {"iss": "https://OP.example"}, "iss"),
    ("iss missing", {"iss": GONE}, "iss"),
    ("iss a list", {"iss": ["https://op.example"]}, "iss"),
    ("missing-aud", {"aud": GONE}, "aud"),
    ("invalid-aud", {"aud": CLIENT_ID + "1"}, "aud"),
    ("aud empty", {"aud": []}, "aud"),
    ("aud null", {"aud": None}, "aud"),
    ("aud an object", {"aud": {CLIENT_ID: 1}}, "aud"),
    ("aud a list with another", {"aud": [CLIENT_ID, "other"]}, "aud"),
    ("aud a list with another, azp ours", {"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID}, "aud"),
    ("aud another, azp ours", {"aud": "other", "azp": CLIENT_ID}, "aud"),
    ("aud a list in a list", {"aud": [[CLIENT_ID]]}, "aud"),
    ("azp another", {"azp": "other"}, "azp"),
    ("azp null", {"azp": None}, "azp"),
    ("azp a list", {"azp": [CLIENT_ID]}, "azp"),
    ("exp missing", {"exp": GONE}, "exp"),
    ("exp past", {"exp": NOW - 61}, "expired"),
    ("exp to the second", {"exp": NOW - 60}, "expired"),
    ("exp a string", {"exp": str(NOW + 300)}, "exp"),
    ("exp a boolean", {"exp": True}, "exp"),
    ("exp endless", {"exp": float("inf")}, "exp"),
    ("exp no number", {"exp": float("nan")}, "exp"),
    ("exp beyond numbers", {"exp": 10**400}, "exp"),
    ("missing-iat", {"iat": GONE}, "iat"),
    ("iat a string", {"iat": str(NOW)}, "iat"),
    ("iat a boolean", {"iat": True}, "iat"),
    ("iat a week ago", {"iat": NOW - 7 * 86400}, "issued"),
    ("iat to come", {"iat": NOW + 61}, "future"),
    ("nbf to come", {"nbf": NOW + 61}, "not valid yet"),
    ("nbf a string", {"nbf": "now"}, "nbf"),
    ("nbf null", {"nbf": None}, "nbf"),
    ("missing-sub", {"sub": GONE}, "sub"),
    ("sub empty", {"sub": ""}, "sub"),
    ("sub blank", {"sub": "  "}, "sub"),
    ("sub a number", {"sub": 7}, "sub"),
    ("sub null", {"sub": None}, "sub"),
    ("sub of 256", {"sub": "a" * 256}, "sub"),
    ("sub with a zero byte", {"sub": "a\0b"}, "sub"),
    ("sub with half a character", {"sub": "a\ud800"}, "sub"),
    ("nonce-invalid", {"nonce": NONCE + "1"}, "nonce"),
    ("nonce missing", {"nonce": GONE}, "nonce"),
    ("nonce null", {"nonce": None}, "nonce"),
    ("nonce a list", {"nonce": [NONCE]}, "nonce"),
    ("nonce with half a character", {"nonce": "\udfff"}, "nonce"),
    ("invalid-athash", {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
    ("at_hash empty", {"at_hash": ""}, "at_hash"),
    ("at_hash null", {"at_hash": None}, "at_hash"),
]


@pytest.mark.parametrize(("claims", "cause"), [(c, w) for _, c, w in REFUSED], ids=[name for name, _, _ in REFUSED])
async def test_claims_that_are_refused(claims: Change, cause: str) -> None:
    with pytest.raises(InvalidIdToken, match=cause):
        await finish(changed(claims).client())


ACCEPTED: list[tuple[str, Change]] = [
    ("as it is", {}),
    ("missing-athash", {"at_hash": GONE}),
    ("aud a list of us", {"aud": [CLIENT_ID]}),
    ("azp ours", {"azp": CLIENT_ID}),
    ("azp one of audiences", {"azp": "phone"}),
    ("expired within the leeway", {"exp": NOW - 59}),
    ("issued within the leeway", {"iat": NOW + 60, "nbf": NOW + 60}),
    ("issued five minutes back, as Entra does", {"iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3600}),
    ("times with fractions", {"iat": NOW - 0.5, "exp": NOW + 0.5}),
    ("good for a day", {"exp": NOW + 86_700}),
    ("sub of 255", {"sub": "a" * 255}),
    ("sub with a space and signs", {"sub": "auth0|Ada L+é"}),
    ("claims of others", {"acr": 1, "typ": "ID", "auth_time": NOW, "nonce_supported": False}),
]


@pytest.mark.parametrize("claims", [c for _, c in ACCEPTED], ids=[name for name, _ in ACCEPTED])
async def test_claims_that_are_accepted(claims: Change) -> None:
    op = changed(claims)
    assert (await finish(op.client(audiences=("phone",)))).identity.subject == op.claims["sub"]


async def test_leeway_is_configured() -> None:
    with pytest.raises(InvalidIdToken):
        await finish(changed({"exp": NOW - 1}).client(leeway=0))


async def test_nonce_has_an_error_of_its_own() -> None:
    with pytest.raises(NonceMismatch):
        await finish(changed({"nonce": "another"}).client())


async def test_a_token_cannot_switch_its_nonce_off() -> None:
    with pytest.raises(NonceMismatch):
        await finish(changed({"nonce": GONE, "nonce_supported": False}).client())


HEADERS: list[tuple[str, Change, bool]] = [
    ("no typ", {}, True),
    ("typ JWT", {"typ": "JWT"}, True),
    ("typ jwt", {"typ": "jwt"}, True),
    ("typ application/jwt", {"typ": "application/JWT"}, True),
    ("typ at+jwt", {"typ": "at+jwt"}, False),
    ("typ logout+jwt", {"typ": "logout+jwt"}, False),
    ("typ secevent+jwt", {"typ": "application/secevent+jwt"}, False),
    ("typ empty", {"typ": ""}, False),
    ("typ null", {"typ": None}, False),
    ("typ a list", {"typ": ["JWT"]}, False),
    ("crit", {"crit": ["exp"], "exp": 1}, False),
    ("crit empty", {"crit": []}, False),
    ("b64", {"b64": True}, False),
    ("b64 with crit", {"b64": False, "crit": ["b64"]}, False),
    ("zip", {"zip": "DEF"}, False),
    ("enc", {"enc": "A256GCM"}, False),
    ("kid a number", {"kid": 1}, False),
    ("kid null", {"kid": None}, False),
    ("kid unknown", {"kid": "other"}, False),
    ("kid a path", {"kid": "../../etc/passwd"}, False),
    ("alg a list", {"alg": ["RS256"]}, False),
    ("alg missing", {"alg": GONE}, False),
    ("x5c of 8 kB", {"x5c": ["A" * 8000]}, True),
    ("members nobody knows", {"x5t": "abc", "nonce": "n", "ver": 1}, True),
    ("jku", {"jku": "https://evil.example/jwks"}, True),
]


@pytest.mark.parametrize(("header", "passes"), [(h, p) for _, h, p in HEADERS], ids=[name for name, _, _ in HEADERS])
async def test_headers(header: Change, passes: bool) -> None:
    op = Op()
    header = {name: value for name, value in {"alg": "RS256", "kid": "one", **header}.items() if value is not GONE}
    text = f"{b64(header)}.{b64(op.claims)}"
    op.token_answer["id_token"] = resign(text)
    if passes:
        await finish(op.client())
    else:
        with pytest.raises(InvalidIdToken):
            await finish(op.client())
    assert op.count("/evil") == 0


def resign(text: str) -> str:
    """RS256 over exactly this header and payload."""
    return f"{text}.{b64(JWSRegistry.algorithms['RS256'].sign(text.encode(), rsa()))}"


async def test_a_key_in_the_header_signs_nothing() -> None:
    op = Op(key=rsa(1), header={"alg": "RS256", "kid": "one", "jwk": public(rsa(1))})
    with pytest.raises(InvalidIdToken):
        await finish(op.client())


async def test_addresses_in_the_header_are_not_fetched() -> None:
    op = Op(key=rsa(1))
    op.header |= {"kid": "x", "jku": "https://op.example/evil", "x5u": "https://op.example/evil"}
    with pytest.raises(InvalidIdToken):
        await finish(op.client())
    assert op.count("/evil") == 0


ALGORITHMS: list[tuple[str, Key]] = [
    ("RS256", rsa()),
    ("RS384", rsa()),
    ("PS256", rsa()),
    ("PS512", rsa()),
    ("ES256", ec()),
    ("ES384", ec(curve="P-384")),
    ("ES512", ec(curve="P-521")),
    ("EdDSA", okp()),
    ("EdDSA", okp("Ed448")),
    ("Ed25519", okp()),
    ("Ed448", okp("Ed448")),
]


@pytest.mark.parametrize(("alg", "key"), ALGORITHMS)
async def test_pinned_algorithms_verify_with_their_at_hash(alg: str, key: Key) -> None:
    op = Op(key=key, header={"alg": alg, "kid": "k"}, keys=[public(key, kid="k")])
    op.claims["at_hash"] = AT_HASH[alg if key.get("crv") != "Ed448" else "Ed448"](ACCESS_TOKEN)
    assert (await finish(op.client(id_token_algs=(alg,)))).identity.subject == "ada-1"


@pytest.mark.parametrize(("alg", "key"), ALGORITHMS)
async def test_pinned_algorithms_refuse_a_broken_signature(alg: str, key: Key) -> None:
    op = Op(keys=[public(key, kid="k")])
    head, body, signature = sign(op.claims, key, {"alg": alg, "kid": "k"}).split(".")
    op.token_answer["id_token"] = f"{head}.{body}.{flip(signature)}"
    with pytest.raises(InvalidIdToken):
        await finish(op.client(id_token_algs=(alg,)))


def flip(signature: str) -> str:
    """Every byte XOR 0x5A, as the suite's invalid-sig modules do it."""
    return b64(bytes(byte ^ 0x5A for byte in urlsafe_b64decode(signature.encode())))


def left_half(name: str) -> Callable[[str], str]:
    def make(value: str) -> str:
        digest = (
            hashlib.shake_256(value.encode()).digest(114)
            if name == "shake"
            else hashlib.new(name, value.encode()).digest()
        )
        return b64(digest[: len(digest) // 2])

    return make


AT_HASH = {
    **dict.fromkeys(("RS256", "PS256", "ES256"), left_half("sha256")),
    **dict.fromkeys(("RS384", "ES384"), left_half("sha384")),
    **dict.fromkeys(("PS512", "ES512", "EdDSA", "Ed25519"), left_half("sha512")),
    "Ed448": left_half("shake"),
}


async def test_another_algorithm_of_the_providers_own_keys_is_refused() -> None:
    op = Op(key=ec(), header={"alg": "ES256", "kid": "e"})
    op.keys.append(public(ec(), kid="e"))
    with pytest.raises(InvalidIdToken, match="ES256"):
        await finish(op.client())


async def test_algorithm_and_key_must_fit() -> None:
    op = Op(header={"alg": "RS256", "kid": "e"}, keys=[public(ec(), kid="e")])
    with pytest.raises(InvalidIdToken):
        await finish(op.client())


async def test_a_key_for_one_algorithm_serves_no_other() -> None:
    op = Op(header={"alg": "RS256", "kid": "one"}, keys=[public(rsa(), kid="one", alg="PS256")])
    with pytest.raises(InvalidIdToken):
        await finish(op.client(id_token_algs=("RS256", "PS256")))


@pytest.mark.parametrize(
    ("alg", "meant_for", "passes"),
    [("ES256", "ES256", True), ("ES256", "ES256K", False), ("Ed25519", "EdDSA", True), ("Ed25519", "ES256", False)],
)
async def test_keys_on_curves_keep_to_their_algorithm(alg: str, meant_for: str, passes: bool) -> None:
    key = ec() if alg == "ES256" else okp()
    op = Op(key=key, header={"alg": alg, "kid": "k"}, keys=[public(key, kid="k", alg=meant_for)])
    del op.claims["at_hash"]
    client = op.client(id_token_algs=(alg,))
    if passes:
        await finish(client)
    else:
        with pytest.raises(InvalidIdToken):
            await finish(client)


async def test_hmac_with_the_public_key_is_refused() -> None:
    op = Op()
    text = f"{b64({'alg': 'HS256', 'kid': 'one'})}.{b64(op.claims)}"
    mac = hmac.digest(rsa().as_pem(private=False), text.encode(), "sha256")
    op.token_answer["id_token"] = f"{text}.{b64(mac)}"
    with pytest.raises(InvalidIdToken, match="HS256"):
        await finish(op.client())


@pytest.mark.parametrize("algs", [("none",), ("HS256",), ("RS256", "HS512"), ()])
def test_algorithms_without_a_public_key_cannot_be_configured(algs: tuple[str, ...]) -> None:
    op = Op()
    with pytest.raises(ValueError, match="not signature algorithms"):
        op.client(id_token_algs=algs)


def unsigned() -> str:
    op = Op()
    return f"{b64({'alg': 'none'})}.{b64(op.claims)}."


def duplicated() -> str:
    """`sub` comes twice; parsers differ in which one they take."""
    claims = json.dumps(Op().claims).replace("{", '{"sub":"eve",', 1)
    return resign(f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(claims.encode())}")


def utf_16() -> str:
    return resign(f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(json.dumps(Op().claims).encode('utf-16'))}")


def latin_1() -> str:
    claims = json.dumps(Op().claims | {"name": "é"}, ensure_ascii=False).encode("latin-1")
    return resign(f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64(claims)}")


FORMS: list[tuple[str, str]] = [
    ("idtoken-sig-none", unsigned()),
    ("empty", ""),
    ("two parts", "e30.e30"),
    ("half a character in Latin-1", latin_1()),
    ("four parts", "e30.e30.e30.e30"),
    ("five parts, encrypted", "e30.e30.e30.e30.e30"),
    ("JSON serialisation", '{"payload":"e30","signatures":[]}'),
    ("not base64url", "e30=.e30=.AA=="),
    ("with a line break", sign(Op().claims, rsa(), {"alg": "RS256", "kid": "one"}) + "\n"),
    ("with a space", " " + sign(Op().claims, rsa(), {"alg": "RS256", "kid": "one"})),
    ("other characters", "é.e30.AA"),
    ("a list for claims", resign(f"{b64({'alg': 'RS256', 'kid': 'one'})}.{b64([1])}")),
    ("a list for a header", f"{b64([1])}.{b64({})}.AA"),
    ("a member twice", duplicated()),
    ("UTF-16", utf_16()),
    ("nesting", f"{b64({'alg': 'RS256'})}.{b64(b'[' * 30_000)}.AA"),
    ("ten megabytes", "e30." + "A" * 10_000_000 + ".AA"),
    ("p2c", f"{b64({'alg': 'PBES2-HS256+A128KW', 'p2c': 10**9})}.{b64({})}.AA"),
]


@pytest.mark.parametrize("token", [token for _, token in FORMS], ids=[name for name, _ in FORMS])
async def test_forms_that_are_refused(token: str) -> None:
    op = Op()
    with pytest.raises(InvalidIdToken):
        await op.client().verify_posted(token, any_nonce)


async def test_causes_name_no_claim() -> None:
    op = changed({"sub": "ada-secret\0", "email": "ada@example.com"})
    with pytest.raises(InvalidIdToken) as caught:
        await finish(op.client())
    assert "ada" not in caught.value.cause


def test_nobody_else_makes_verified() -> None:
    with pytest.raises(TypeError):
        Verified({"sub": "eve"}, "https://op.example", "eve", object())
