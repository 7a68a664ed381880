"""The token endpoint: what its answers come to."""

from __future__ import annotations

import httpx2
import pytest

from gateway.errors import GatewayError, InvalidIdToken, ProviderError, ProviderUnavailable

from .op import Answer, Endless, Op, answering, failing, finish

TOKEN_ANSWERS: list[tuple[Answer, type[GatewayError]]] = [
    (answering(500), ProviderUnavailable),
    (answering(503, body=b"<html>"), ProviderUnavailable),
    (answering(429), ProviderUnavailable),
    (failing(httpx2.ConnectError), ProviderUnavailable),
    (failing(httpx2.ReadTimeout), ProviderUnavailable),
    (failing(httpx2.RemoteProtocolError), ProviderUnavailable),
    (answering(200, body=b"<html>hello</html>"), ProviderError),
    (answering(200, body=b"[1]"), ProviderError),
    (answering(200, body=b"[" * 100_000), ProviderError),
    (answering(302, Location="https://evil.example/"), ProviderError),
    (answering(404, body=b"nothing"), ProviderError),
    (answering(400, body='{"error":"invalid_grant"}'), ProviderError),
    (answering(200, body='{"error":"bad_verification_code"}'), ProviderError),
    (answering(401, body='{"error":"invalid_client","error_description":"AADSTS7000215: no"}'), ProviderError),
    (answering(400, body='{"error":"temporarily_unavailable"}'), ProviderUnavailable),
    (answering(400, body='{"error":["x"]}'), ProviderError),
    (answering(400, body='{"message":"no"}'), ProviderError),
    (answering(200, body=b"\x1f\x8b", Content_Encoding="gzip"), ProviderError),
]


@pytest.mark.parametrize(("answer", "expected"), TOKEN_ANSWERS)
async def test_failures_of_the_token_endpoint(answer: Answer, expected: type[GatewayError]) -> None:
    op = Op(answers={"/token": answer})
    with pytest.raises(expected):
        await finish(op.client())


@pytest.mark.parametrize("answer", [answering(500), failing(httpx2.ConnectError), failing(httpx2.ReadError)])
async def test_a_code_is_never_sent_twice(answer: Answer) -> None:
    op = Op(answers={"/token": answer})
    with pytest.raises(ProviderUnavailable):
        await finish(op.client())
    assert op.count("/token") == 1


async def test_token_errors_are_named_without_their_text() -> None:
    text = '{"error":"invalid_client","error_description":"AADSTS7000215: ada@example.com"}'
    op = Op(answers={"/token": answering(401, body=text)})
    with pytest.raises(ProviderError) as caught:
        await finish(op.client())
    assert caught.value.cause == "the token endpoint answered invalid_client, AADSTS7000215"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"token_type": "mac"}, ProviderError),
        ({"token_type": None}, ProviderError),
        ({"access_token": ""}, ProviderError),
        ({"access_token": 7}, ProviderError),
        ({"access_token": "a\r\nX: y"}, ProviderError),
        ({"id_token": None}, InvalidIdToken),
        ({"id_token": {"a": 1}}, InvalidIdToken),
    ],
)
async def test_token_answers_that_lack_something(
    members: dict[str, object], expected: type[GatewayError]
) -> None:  # TOK-4
    op = Op(token_answer=members)
    with pytest.raises(expected):
        await finish(op.client())


@pytest.mark.parametrize(
    "members",
    [
        {"token_type": "bearer"},
        {"token_type": "BEARER", "scope": "openid"},
        {"expires_in": None},
        {"expires_in": "soon"},
        {"expires_in": [1]},
        {"expires_at": "never"},
        {"refresh_token": "r", "x-unknown": {"a": 1}},
    ],
)
async def test_token_answers_with_oddities_are_taken(members: dict[str, object]) -> None:  # TOK-4
    op = Op(token_answer=members)
    assert (await finish(op.client())).identity.subject == "ada-1"


async def test_endless_token_answer_is_broken_off() -> None:
    body = Endless()
    op = Op(answers={"/token": lambda _request: httpx2.Response(200, stream=body)})
    with pytest.raises(ProviderError):
        await finish(op.client())
    assert body.read < 1_000_000
