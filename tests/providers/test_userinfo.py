"""When userinfo is asked, and what of its answer is believed."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from gateway.errors import InvalidIdToken, ProviderError, ProviderFault, ProviderUnavailable, SubjectMismatch

from .op import ACCESS_TOKEN, CLIENT_ID, Answer, Endless, Op, answering, failing, finish, rsa, sign

COMPLETE = {"email": "ada@example.com", "email_verified": True, "name": "Ada L"}


async def test_complete_id_token_needs_no_call() -> None:
    op = Op(claims=COMPLETE)
    await finish(op.client(userinfo="missing"))
    assert op.count("/userinfo") == 0


@pytest.mark.parametrize("name", COMPLETE)
async def test_a_missing_claim_is_asked_for(name: str) -> None:
    op = Op(claims={key: value for key, value in COMPLETE.items() if key != name}, userinfo=COMPLETE)
    identity = (await finish(op.client(userinfo="missing"))).identity
    assert (identity.email, identity.email_verified, identity.name) == ("ada@example.com", True, "Ada L")


async def test_claims_nobody_asked_for_are_not_missed() -> None:
    op = Op()
    await finish(op.client(userinfo="missing", scopes=("openid",)))
    assert op.count("/userinfo") == 0


async def test_groups_that_were_configured_are_asked_for() -> None:
    op = Op(claims=COMPLETE, userinfo={"teams": ["a", "b"]})
    identity = (await finish(op.client(userinfo="missing", groups_claim="teams"))).identity
    assert identity.groups == ("a", "b")


async def test_never_is_never() -> None:
    op = Op()
    await finish(op.client(userinfo="never"))
    assert op.count("/userinfo") == 0


async def test_always_is_always() -> None:
    op = Op(claims=COMPLETE)
    await finish(op.client(userinfo="always"))
    assert op.count("/userinfo") == 1


async def test_access_token_goes_into_the_header() -> None:
    op = Op()
    await finish(op.client(userinfo="always"))
    call = op.calls[-1]
    assert call.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
    assert (call.method, call.url.query) == ("GET", b"")


@pytest.mark.parametrize("mode", ["missing", "always"])
@pytest.mark.parametrize("subject", ["ada-1invalid", "", None, 7, ["ada-1"], "\ud800"])
async def test_another_subject_is_refused(mode: str, subject: Any) -> None:
    op = Op(userinfo={"sub": subject})
    with pytest.raises(SubjectMismatch):
        await finish(op.client(userinfo=mode))


FAILURES: list[tuple[Answer, type[ProviderFault]]] = [
    (answering(500), ProviderUnavailable),
    (answering(401), ProviderError),
    (answering(302, Location="https://evil.example"), ProviderError),
    (answering(200, body="<html>"), ProviderError),
    (answering(200, body="[]"), ProviderError),
    (answering(200, body="x.y.z", Content_Type="application/jwt"), InvalidIdToken),
    (failing(httpx2.ReadTimeout), ProviderUnavailable),
    (lambda _request: httpx2.Response(200, stream=Endless()), ProviderUnavailable),
]


@pytest.mark.parametrize(("answer", "expected"), FAILURES)
async def test_failure_is_refused_where_userinfo_is_a_must(answer: Answer, expected: type[ProviderFault]) -> None:
    op = Op(claims=COMPLETE, answers={"/userinfo": answer})
    with pytest.raises(expected):
        await finish(op.client(userinfo="always"))


@pytest.mark.parametrize("answer", [answer for answer, _ in FAILURES])
async def test_failure_leaves_claims_out_otherwise(answer: Answer) -> None:
    op = Op(claims={"name": "Ada L"}, answers={"/userinfo": answer})
    identity = (await finish(op.client(userinfo="missing"))).identity
    assert (identity.name, identity.email) == ("Ada L", None)


async def test_provider_without_userinfo() -> None:
    op = Op(document={"userinfo_endpoint": None})
    assert (await finish(op.client(userinfo="missing"))).identity.email is None


async def test_aggregated_and_distributed_claims_are_ignored() -> None:
    sources = {"a": {"JWT": "e30.e30."}, "b": {"endpoint": "https://op.example/evil", "access_token": "x"}}
    op = Op(userinfo={"_claim_names": {"email": "a", "name": "b"}, "_claim_sources": sources})
    identity = (await finish(op.client(userinfo="always"))).identity
    assert (identity.email, identity.name, op.count("/evil")) == (None, None, 0)


async def test_id_token_goes_before_userinfo() -> None:
    op = Op(claims={"name": "Ada L"}, userinfo={"name": "Somebody"})
    assert (await finish(op.client(userinfo="always"))).identity.name == "Ada L"


async def test_proof_of_one_address_does_not_cover_another() -> None:
    op = Op(claims={"email": "victim@example.com"}, userinfo={"email": "eve@example.com", "email_verified": True})
    identity = (await finish(op.client(userinfo="always"))).identity
    assert (identity.email, identity.email_verified) == ("victim@example.com", False)


def signed(op: Op, **claims: Any) -> Answer:
    body = {"iss": op.issuer, "aud": CLIENT_ID, "sub": "ada-1", "email": "ada@example.com", **claims}
    token = sign(body, rsa(), {"alg": "RS256", "kid": "one"})
    return answering(200, body=token, Content_Type="application/jwt;charset=UTF-8")


async def test_userinfo_signed() -> None:
    op = Op()
    op.answers["/userinfo"] = signed(op)
    assert (await finish(op.client(userinfo="always"))).identity.email == "ada@example.com"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "https://evil.example"}, ProviderError),
        ({"aud": "other"}, InvalidIdToken),
        ({"sub": "eve"}, SubjectMismatch),
    ],
)
async def test_signed_userinfo_for_somebody_else(claims: dict[str, Any], expected: type[ProviderFault]) -> None:
    op = Op()
    op.answers["/userinfo"] = signed(op, **claims)
    with pytest.raises(expected):
        await finish(op.client(userinfo="always"))


async def test_unsigned_userinfo_is_refused() -> None:
    op = Op(answers={"/userinfo": answering(200, body="eyJhbGciOiJub25lIn0.e30.", Content_Type="application/jwt")})
    with pytest.raises(InvalidIdToken):
        await finish(op.client(userinfo="always"))
