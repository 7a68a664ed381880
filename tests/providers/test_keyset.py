"""A provider's keys: which are taken, how long they stay, how often they are asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from gateway.errors import InvalidIdToken, ProviderUnavailable
from gateway.providers.keyset import FORGET_AFTER, read_keys
from gateway.providers.pools import Pools

from .op import Op, answering, any_nonce, ec, failing, finish, okp, public, rsa, sign


def kids(*members: Any) -> list[str | None]:
    return [key.kid for key in read_keys({"keys": list(members)}, 0)]


def without_kid(*keys: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in public(key).items() if name != "kid"} for key in keys]


def test_keys_need_no_alg_and_no_use() -> None:
    assert kids(public(rsa(), kid="a")) == ["a"]


SKIPPED: list[Any] = [
    public(rsa(), kid="x", use="enc"),
    public(rsa(), kid="x", key_ops=["encrypt"]),
    public(rsa(), kid="x", key_ops=None),
    public(rsa(), kid="x", key_ops=5),
    public(rsa(), kid="x", key_ops="verify"),
    {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"},
    {"kty": "EC", "crv": "P-1024", "x": "AA", "y": "AA", "kid": "x"},
    {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ", "kid": "x"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "x"},
    {"kty": "RSA", "n": "A" * 5000, "e": "AQAB", "kid": "x"},
    {"kty": "RSA", "n": public(rsa())["n"], "e": public(rsa())["n"], "kid": "x"},
    {"kty": "RSA", "n": 7, "e": "AQAB", "kid": "x"},
    {"kty": "RSA", "kid": "x"},
    {"kty": ["RSA"], "kid": "x"},
    {"kid": "x"},
    {},
    None,
    "key",
]


@pytest.mark.parametrize("member", SKIPPED)
def test_a_key_that_cannot_be_used_spoils_no_other(member: Any) -> None:
    assert kids(member, public(rsa(), kid="a")) == ["a"]


def test_odd_members_beside_the_material_do_not_matter() -> None:
    assert kids(public(rsa(), kid="a", x5c="not a list", x5u=7, issuer=1)) == ["a"]


def test_curves_nobody_asked_for_are_tolerated() -> None:
    assert (
        kids(public(ec(curve="secp256k1"), kid="k1"), public(okp("X25519"), kid="x"), public(rsa(), kid="a"))[-1] == "a"
    )


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [1]}])
def test_documents_without_keys(document: Any) -> None:
    assert read_keys(document, 0) == ()


async def test_kid_absent_single_jwks() -> None:
    op = Op(header={"alg": "RS256"})
    op.keys = [
        *without_kid(rsa(), ec(), ec(curve="secp256k1"), okp()),
        public(rsa(1), kid="e", use="enc", alg="RSA-OAEP"),
    ]
    assert (await finish(op.client())).identity.subject == "ada-1"


@pytest.mark.parametrize("signer", [0, 1, 2])
async def test_kid_absent_multiple_jwks(signer: int) -> None:
    op = Op(header={"alg": "RS256"}, key=rsa(signer), keys=without_kid(rsa(0), rsa(1), rsa(2), ec(0), ec(1)))
    assert (await finish(op.client())).identity.subject == "ada-1"


async def test_kid_absent_after_a_rotation() -> None:
    op = Op(header={"alg": "RS256"}, keys=without_kid(rsa()))
    client = op.client()
    await client.warm()
    op.key, op.keys = rsa(1), without_kid(rsa(1))
    assert (await finish(client)).identity.subject == "ada-1"


async def test_kid_absent_and_a_bad_signature() -> None:
    op = Op(header={"alg": "RS256"}, key=rsa(1), keys=without_kid(rsa()))
    with pytest.raises(InvalidIdToken):
        await finish(op.client())


async def test_a_token_with_kid_where_the_set_has_none() -> None:
    op = Op(keys=without_kid(rsa()))
    assert (await finish(op.client())).identity.subject == "ada-1"


async def test_a_token_with_a_new_kid_where_some_keys_have_none() -> None:
    op = Op(keys=without_kid(rsa(), ec()))
    client = op.client()
    await client.warm()
    op.keys, op.key = [*without_kid(rsa()), public(rsa(1), kid="one")], rsa(1)
    assert (await finish(client)).identity.subject == "ada-1"


async def test_a_kid_used_again_means_the_new_key() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.keys, op.key = [public(rsa(1), kid="one")], rsa(1)
    op.clock.now += 3601
    await client._keys._kept.renew()
    op.claims |= {"iat": int(op.clock()), "exp": int(op.clock()) + 300}
    assert (await finish(client)).identity.subject == "ada-1"
    op.key = rsa(0)
    with pytest.raises(InvalidIdToken):
        await finish(client)


async def test_a_bad_signature_with_a_known_kid_asks_for_nothing() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.key = rsa(1)
    with pytest.raises(InvalidIdToken):
        await finish(client)
    assert op.count("/jwks") == 1


async def test_a_key_that_a_replica_leaves_out_stays_for_a_day() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.keys = [public(rsa(1), kid="two")]
    op.clock.now += FORGET_AFTER - 1
    await client._keys._kept.renew()
    assert {key.kid for key in client._keys._kept.value or ()} == {"one", "two"}


async def test_a_key_that_is_gone_for_a_day_is_forgotten() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.keys = [public(rsa(1), kid="two")]
    op.clock.now += FORGET_AFTER
    await client._keys._kept.renew()
    assert {key.kid for key in client._keys._kept.value or ()} == {"two"}


@pytest.mark.parametrize(
    "answer",
    [
        answering(200, body='{"keys":[]}'),
        answering(200, body="<html>"),
        answering(200, body='{"keys":[{"kty":"EC"}]}'),
        answering(500),
        answering(302, Location="https://evil.example"),
        failing(httpx2.ConnectTimeout),
    ],
)
async def test_no_answer_takes_good_keys_away(answer: Any) -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.answers["/jwks"] = answer
    op.clock.now += 2 * FORGET_AFTER
    await client._keys._kept.renew()
    op.claims |= {"iat": int(op.clock()), "exp": int(op.clock()) + 300}
    assert (await finish(client)).identity.subject == "ada-1"


async def test_an_unknown_key_while_the_set_is_out_of_reach_is_an_outage() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.rotate("two", 1)
    op.answers["/jwks"] = answering(500)
    with pytest.raises(ProviderUnavailable):
        await finish(client)


async def test_no_keys_at_all_is_an_outage() -> None:
    with pytest.raises(ProviderUnavailable):
        await finish(Op(answers={"/jwks": answering(200, body='{"keys":[]}')}).client())


async def test_many_who_meet_a_new_key_at_once_share_the_fetch() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.rotate("two", 1)
    await asyncio.gather(*(finish(client) for _ in range(20)))
    assert op.count("/jwks") == 2


async def test_a_fetch_that_began_before_the_key_is_followed_by_another() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    old, gate = httpx2.Response(200, json={"keys": op.keys}), asyncio.Event()

    async def slow_once(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/jwks" and not gate.is_set():
            await gate.wait()
            return old
        return await op.handle(request)

    client._transport._pools = Pools([httpx2.MockTransport(slow_once)])
    renewal = client._keys._kept.start()
    op.rotate("two", 1)
    sign_in = asyncio.create_task(finish(client))
    await asyncio.sleep(0.05)
    gate.set()
    assert (await sign_in).identity.subject == "ada-1"
    assert renewal.done()


async def test_fetches_for_unknown_keys_come_back_with_time() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    token = sign(op.claims, rsa(1), {"alg": "RS256", "kid": "invented"})

    async def post() -> None:
        with pytest.raises(InvalidIdToken):
            await client.verify_posted(token, any_nonce)

    for _ in range(10):
        await post()
    spent = op.count("/jwks")
    op.clock.now += 60
    await post()
    await post()
    assert (spent, op.count("/jwks")) == (4, 5)


async def test_keys_of_one_provider_are_worth_nothing_at_another() -> None:
    theirs = Op(issuer="https://evil.example", key=rsa(1), keys=[public(rsa(1), kid="theirs")])
    theirs.claims["iss"] = "https://op.example"
    theirs.header["kid"] = "theirs"
    with pytest.raises(InvalidIdToken):
        await Op().client().verify_posted(theirs.id_token(), any_nonce)
