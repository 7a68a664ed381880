"""A sign-in through one provider: what is sent there, what is believed, and what its failures come to."""

from __future__ import annotations

import asyncio
import logging
from base64 import urlsafe_b64decode

import httpx2
import pytest

from gateway.errors import (
    InvalidIdToken,
    IssuerMisconfigured,
    IssuerMismatch,
    NonceMismatch,
    ProviderDenied,
    ProviderError,
    ProviderUnavailable,
)
from gateway.providers.pools import Pools

from .op import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CODE,
    CODE_VERIFIER,
    NONCE,
    NOW,
    Op,
    answering,
    any_nonce,
    b64,
    begin,
    ec,
    failing,
    finish,
    public,
    rsa,
    sign,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


async def test_finish_gives_the_person_of_the_id_token() -> None:
    op = Op(claims={"email": "ada@example.com", "email_verified": True, "name": "Ada L", "sid": "s-1"})
    identity = (await finish(op.client())).identity
    assert (identity.provider, identity.issuer, identity.subject) == ("op", "https://op.example", "ada-1")
    assert (identity.email, identity.email_verified, identity.name) == ("ada@example.com", True, "Ada L")
    assert (identity.provider_session, identity.ids) == ("s-1", {"sub": "ada-1"})


async def test_finish_sends_code_verifier_and_the_same_redirect_uri() -> None:
    op = Op()
    await finish(op.client())
    assert op.form()["code"] == [CODE]
    assert op.form()["code_verifier"] == [CODE_VERIFIER]
    assert op.form()["redirect_uri"] == ["https://login.example/auth/op/callback"]
    assert op.form()["grant_type"] == ["authorization_code"]


async def test_requests_say_who_we_are() -> None:
    op = Op()
    await finish(op.client())
    assert {call.headers["User-Agent"] for call in op.calls} == {"login-gateway"}


async def test_id_token_comes_along_for_a_provider_with_an_end_session_page() -> None:
    op = Op(document={"end_session_endpoint": "https://op.example/logout"})
    vouched = await finish(op.client())
    assert (vouched.id_token, vouched.end_session) == (op.id_token(), True)


async def test_first_logins_at_once_fetch_each_document_once() -> None:
    op = Op()
    client = op.client()
    await asyncio.gather(*(begin(client) for _ in range(20)))
    await asyncio.gather(*(finish(client) for _ in range(20)))
    assert (op.count("/.well-known/openid-configuration"), op.count("/jwks"), op.count("/token")) == (1, 1, 20)


async def test_warm_logins_ask_the_provider_nothing() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    before = len(op.calls)
    await begin(client)
    assert len(op.calls) == before


async def test_keys_are_on_their_way_when_somebody_is_sent_to_the_provider() -> None:
    op = Op()
    await begin(op.client())
    await asyncio.sleep(0.01)
    assert op.count("/jwks") == 1


async def test_a_sign_in_at_a_provider_that_hangs_ends_in_time() -> None:
    op = Op()
    client = op.client()
    await client.warm()

    async def hang(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    client._transport._pools = Pools([httpx2.MockTransport(hang)])
    async with asyncio.timeout(8):
        with pytest.raises(ProviderUnavailable):
            await finish(client)


async def test_slow_provider_whose_userinfo_hangs_costs_the_claims_and_not_the_sign_in() -> None:
    op = Op()
    client = op.client(userinfo="missing")
    await client.warm()

    async def slow(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(60 if request.url.path == "/userinfo" else 2.8)
        return await op.handle(request)

    client._transport._pools = Pools([httpx2.MockTransport(slow)])
    assert (await finish(client)).identity.email is None


async def test_nonce_of_another_sign_in_is_refused() -> None:
    op = Op(claims={"nonce": NONCE + "1"})
    with pytest.raises(NonceMismatch):
        await finish(op.client())


async def test_refusal_before_userinfo() -> None:
    op = Op(claims={"nonce": "other"})
    with pytest.raises(NonceMismatch):
        await finish(op.client(userinfo="always"))
    assert op.count("/userinfo") == 0


HOSTILE = {
    "verify": False,
    "proxy": "http://127.0.0.1:9",
    "timeout": 0.000001,
    "code_challenge_method": "plain",
    "code_challenge_methods_supported": ["plain"],
    "client_id": "other",
    "self": 1,
    "transport": None,
    "scope": "everything",
    "follow_redirects": True,
    "id_token_signing_alg_values_supported": ["none", "HS256"],
    "jwks": {"keys": []},
}


async def test_hostile_members_of_the_document_change_nothing() -> None:
    op = Op(document=HOSTILE)
    client = op.client()
    url = httpx2.URL(await begin(client))
    await finish(client)
    assert url.params["code_challenge_method"] == "S256"
    assert url.params["client_id"] == CLIENT_ID


async def test_algorithms_of_the_document_are_not_believed() -> None:
    op = Op(document={"id_token_signing_alg_values_supported": ["none"]})
    op.token_answer = {"id_token": f"{b64({'alg': 'none'})}.{b64(op.claims)}."}
    with pytest.raises(InvalidIdToken, match="none"):
        await finish(op.client())


async def test_another_issuer_in_the_document_means_no_redirect() -> None:
    op = Op()
    op.document["issuer"] += "INVALID"
    with pytest.raises(IssuerMisconfigured):
        await begin(op.client())
    assert op.count("/jwks") == 0


async def test_issuer_with_a_slash_fits_a_configuration_without() -> None:
    op = Op(issuer="https://op.example/")
    assert (await finish(op.client(issuer="https://op.example"))).identity.issuer == "https://op.example/"


async def test_token_issuer_is_held_against_the_document_to_the_letter() -> None:
    op = Op(issuer="https://op.example/", claims={"iss": "https://op.example"})
    with pytest.raises(InvalidIdToken):
        await finish(op.client())


@pytest.mark.parametrize(
    ("promised", "iss", "passes"),
    [
        (False, None, True),
        (False, "https://op.example", True),
        (False, "https://op.example/", False),
        (False, "https://evil.example", False),
        (False, "", False),
        (True, None, False),
        (True, "https://op.example", True),
    ],
)
async def test_issuer_parameter_of_the_callback(promised: bool, iss: str | None, passes: bool) -> None:  # ISS-1
    client = Op(document={"authorization_response_iss_parameter_supported": promised}).client()
    try:
        await client.check_callback_issuer(iss)
    except IssuerMismatch:
        assert not passes
    else:
        assert passes


def test_refusal_reads_the_error_parameter() -> None:
    refusal = Op().client().refusal("access_denied")
    assert isinstance(refusal, ProviderDenied)


async def test_metadata_is_the_document() -> None:
    op = Op(document={"x": 1})
    assert (await op.client().metadata())["x"] == 1


async def test_posted_token_may_be_for_a_further_audience() -> None:
    op = Op(claims={"aud": "phone", "azp": "phone"})
    client = op.client(audiences=("phone",))
    posted = await client.verify_posted(op.id_token(), any_nonce)
    assert posted.vouched.identity.subject == "ada-1"


async def test_further_audiences_do_not_count_for_a_code() -> None:
    op = Op(claims={"aud": "phone"})
    with pytest.raises(InvalidIdToken):
        await finish(op.client(audiences=("phone",)))


@pytest.mark.parametrize(("claims", "told"), [({}, NONCE), ({"nonce": None}, None)])
async def test_the_caller_judges_the_nonce_of_a_posted_token(claims: dict[str, object], told: str | None) -> None:
    heard: list[str | None] = []
    op = Op(claims=claims)
    await op.client().verify_posted(op.id_token(), heard.append)
    assert heard == [told]


async def test_nobody_is_let_in_against_the_callers_judgement() -> None:
    def refuse(_nonce: str | None) -> None:
        raise NonceMismatch("not mine")

    op = Op()
    with pytest.raises(NonceMismatch):
        await op.client().verify_posted(op.id_token(), refuse)


async def test_a_nonce_that_is_no_text_is_refused() -> None:
    op = Op(claims={"nonce": ["one"]})
    with pytest.raises(NonceMismatch):
        await op.client().verify_posted(op.id_token(), any_nonce)


async def test_another_signature_under_the_same_claims_is_the_same_token() -> None:
    """Whoever has an ECDSA signature (r, s) can make (r, n - s) from it, which is as good."""
    op = Op(key=ec(), keys=[public(ec(), kid="one", use="sig")], header={"alg": "ES256", "kid": "one"})
    token, client = op.id_token(), op.client(id_token_algs=("ES256",))
    signed, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    other = b64(raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32))
    digests = {(await client.verify_posted(each, any_nonce)).digest for each in (token, f"{signed}.{other}")}
    assert len(digests) == 1


async def test_a_posted_token_lapses_with_its_age_or_its_end() -> None:
    op = Op(claims={"exp": NOW + 86_400})
    posted = await op.client().verify_posted(op.id_token(), any_nonce)
    assert posted.expires_at == NOW + 900 + 60
    op.claims["exp"] = NOW + 300
    assert (await op.client().verify_posted(op.id_token(), any_nonce)).expires_at == NOW + 300 + 60


async def test_posted_token_is_fresh() -> None:
    op = Op(claims={"iat": NOW - 1000})
    with pytest.raises(InvalidIdToken):
        await op.client().verify_posted(op.id_token(), any_nonce)


async def test_outage_after_the_documents_were_read_stops_nobody() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.clock.now += 7 * 86400
    op.answers = {
        "/.well-known/openid-configuration": failing(httpx2.ConnectError),
        "/jwks": answering(200, body='{"keys":[]}'),
    }
    op.claims |= {"iat": int(op.clock()), "exp": int(op.clock()) + 300}
    await begin(client)
    assert (await finish(client)).identity.subject == "ada-1"


async def test_keys_replaced_at_the_moment_of_signing() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    op.rotate("two", 1)
    assert (await finish(client)).identity.subject == "ada-1"


async def test_rotations_never_run_out() -> None:
    op = Op()
    client = op.client()
    for number in range(12):
        op.rotate(f"kid-{number}", number % 2)
        await finish(client)
    assert op.count("/jwks") == 12


async def test_a_flood_of_unknown_keys_is_a_handful_of_fetches() -> None:
    op = Op()
    client = op.client()
    await client.warm()

    async def one(number: int) -> None:
        token = sign(op.claims, rsa(1), {"alg": "RS256", "kid": f"invented-{number}"})
        with pytest.raises(InvalidIdToken):
            await client.verify_posted(token, any_nonce)

    for number in range(50):
        await one(number)
    await asyncio.gather(*(one(number) for number in range(50)))
    assert op.count("/jwks") <= 5


async def test_a_flood_of_posted_tokens_leaves_rotations_alone() -> None:
    op = Op()
    client = op.client()
    await client.warm()
    for number in range(20):
        token = sign(op.claims, rsa(1), {"alg": "RS256", "kid": f"invented-{number}"})
        with pytest.raises(InvalidIdToken):
            await client.verify_posted(token, any_nonce)
    op.rotate("two", 1)
    assert (await finish(client)).identity.subject == "ada-1"


async def test_log_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    op = Op(claims={"email": "ada@example.com"}, answers={"/userinfo": answering(500)})
    client = op.client(userinfo="missing")
    with caplog.at_level(logging.DEBUG):
        await begin(client)
        await finish(client)
        op.claims["nonce"] = "other"
        with pytest.raises(NonceMismatch):
            await finish(client)
        op.answers["/token"] = answering(400, body='{"error":"invalid_grant","error_description":"secret-4711"}')
        with pytest.raises(ProviderError):
            await finish(client)
    everything = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for secret in (CODE, NONCE, CODE_VERIFIER, ACCESS_TOKEN, "secret-4711", "ada@example.com", op.id_token()):
        assert secret not in everything


async def test_cookies_of_the_provider_are_not_kept() -> None:
    op = Op()
    client = op.client(userinfo="always")
    op.answers = {
        "/jwks": lambda _: httpx2.Response(200, json={"keys": op.keys}, headers={"Set-Cookie": "a=b"}),
        "/token": lambda _: httpx2.Response(200, json=op.tokens(), headers={"Set-Cookie": "c=d"}),
    }
    await client.warm()
    for _ in range(2):
        await finish(client)
    assert not any("Cookie" in call.headers for call in op.calls)


async def test_nobodys_token_stays_with_the_client_for_all() -> None:
    client = Op().client()
    await finish(client)
    assert client._token_requests.token is None
