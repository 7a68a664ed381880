"""Which discovery documents are believed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx2
import pytest

from gateway.errors import IssuerMisconfigured, ProviderUnavailable
from gateway.providers.discovery import endpoint, read_metadata

from .op import Answer, Endless, Op, answering, begin, failing

DOCUMENT: dict[str, Any] = Op().document
WELL_KNOWN = "/.well-known/openid-configuration"
URL = "https://op.example" + WELL_KNOWN


def read(document: dict[str, Any]) -> Any:
    return read_metadata(document, URL, lambda issuer: issuer == "https://op.example")


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [None, "", 7, [], "/authorize", "http://op.example/x", "ftp://op.example/x"])
def test_endpoints_that_sign_in_needs(name: str, value: object) -> None:
    with pytest.raises(ProviderUnavailable, match=name):
        read(DOCUMENT | {name: value})


@pytest.mark.parametrize("name", ["userinfo_endpoint", "end_session_endpoint"])
@pytest.mark.parametrize("value", [None, 7, "http://169.254.169.254/"])
def test_endpoints_that_are_left_out_when_they_are_unfit(name: str, value: object) -> None:
    assert getattr(read(DOCUMENT | {name: value}), name) is None


@pytest.mark.parametrize("issuer", [None, 7, "", []])
def test_document_without_issuer(issuer: object) -> None:
    with pytest.raises(ProviderUnavailable):
        read(DOCUMENT | {"issuer": issuer})


def test_document_of_another_issuer() -> None:  # META-3
    with pytest.raises(IssuerMisconfigured, match=r"https://evil\.example"):
        read(DOCUMENT | {"issuer": "https://evil.example"})


@pytest.mark.parametrize("value", ["true", 1, None, ["x"]])
def test_issuer_parameter_is_promised_by_true_alone(value: object) -> None:
    assert not read(DOCUMENT | {"authorization_response_iss_parameter_supported": value}).iss_parameter


@pytest.mark.parametrize("value", [None, "client_secret_post", [1], {}])
def test_unreadable_auth_methods_are_none(value: object) -> None:
    assert read(DOCUMENT | {"token_endpoint_auth_methods_supported": value}).auth_methods == ()


@pytest.mark.parametrize(
    ("url", "plain", "good"),
    [
        ("https://op.example/x?p=1", False, True),
        ("http://127.0.0.1:81/x", True, True),
        ("http://localhost/x", True, True),
        ("http://op.localhost/x", True, True),
        ("http://[::1]:81/x", True, True),
        ("http://127.0.0.1/x", False, False),
        ("http://op.example/x", True, False),
        ("http://localhost.evil.example/x", True, False),
        ("https://user@op.example/x", False, False),
        ("https://op.example/x#f", False, False),
        ("https://op.example:x/", False, False),
        ("https:///x", False, False),
        ("https://op.example/\r\n", False, False),
        ("https://öp.example/", False, False),
        ("https://op.example/a b", False, False),
        ("javascript:alert(1)", True, False),
    ],
)
def test_endpoint(url: str, plain: bool, good: bool) -> None:
    assert endpoint(url, plain=plain, inside=True) == (url if good else None)


INSIDE = [
    "localhost",
    "LOCALHOST.",
    "op.localhost",
    "127.0.0.1",
    "127.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "10.0.0.7",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104  nothing is bound to it
    "224.0.0.1",
    "[::1]",
    "[::ffff:10.0.0.7]",
    "[fd00::1]",
    "[fe80::1%25eth0]",
    "%31%30.0.0.7",
]


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_a_provider_elsewhere_does_not_send_the_gateway_to_its_neighbours(name: str, host: str) -> None:
    with pytest.raises(ProviderUnavailable, match=name):
        read(DOCUMENT | {name: f"https://{host}/x"})


@pytest.mark.parametrize(
    "host", ["203.0.114.1", "[2606:4700::1]", "op2.example", "10.0.0.7.example", "xn--op-yka.example."]
)
def test_a_provider_may_have_endpoints_at_other_addresses(host: str) -> None:
    assert read(DOCUMENT | {"jwks_uri": f"https://{host}/x"}).jwks_uri == f"https://{host}/x"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.5", "[fd00::5]"])
def test_a_provider_inside_may_have_its_endpoints_inside(host: str) -> None:
    document = DOCUMENT | {"jwks_uri": "https://10.0.0.7/x"}
    known = read_metadata(document, f"https://{host}{WELL_KNOWN}", lambda _issuer: True)
    assert known.jwks_uri == "https://10.0.0.7/x"


ANSWERS: list[Answer] = [
    answering(200, body="<html>"),
    answering(200, body="[]"),
    answering(200, body="null"),
    answering(200, body="[" * 200_000),
    answering(200, body=b"\xff\xfe"),
    answering(200, body="1" * 10_000),
    answering(404),
    answering(500),
    answering(429),
    answering(302, Location=URL),
    answering(301, Location="https://evil.example/"),
    answering(204),
    failing(httpx2.ConnectError),
    failing(httpx2.ReadTimeout),
    failing(httpx2.RemoteProtocolError),
]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_nonsense_makes_the_provider_unavailable(answer: Answer) -> None:  # META-4
    with pytest.raises(ProviderUnavailable):
        await begin(Op(answers={WELL_KNOWN: answer}).client())


async def test_redirects_are_not_followed() -> None:
    op = Op(answers={WELL_KNOWN: answering(302, Location="https://op.example/elsewhere")})
    with pytest.raises(ProviderUnavailable):
        await begin(op.client())
    assert op.count("/elsewhere") == 0


async def test_endless_document_is_broken_off() -> None:  # META-4
    body = Endless()
    op = Op(answers={WELL_KNOWN: lambda _request: httpx2.Response(200, stream=body)})
    with pytest.raises(ProviderUnavailable):
        await begin(op.client())
    assert body.read < 1_000_000


async def test_compressed_document_is_not_unpacked() -> None:
    packed = gzip.compress(json.dumps(DOCUMENT).encode())
    op = Op(answers={WELL_KNOWN: answering(200, body=packed, Content_Encoding="gzip")})
    with pytest.raises(ProviderUnavailable):
        await begin(op.client())


async def test_a_connection_that_was_dead_is_tried_once_more() -> None:
    op = Op()

    def first_dead(request: httpx2.Request) -> httpx2.Response:
        op.answers.clear()
        raise httpx2.RemoteProtocolError("gone", request=request)

    op.answers[WELL_KNOWN] = first_dead
    assert (await begin(op.client())).startswith("https://op.example/authorize?")


async def test_failure_is_believed_for_a_moment() -> None:
    op = Op(answers={WELL_KNOWN: answering(500)})
    client = op.client()
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            await begin(client)
    assert op.count(WELL_KNOWN) == 1


async def test_provider_that_comes_back_is_used() -> None:
    op = Op(answers={WELL_KNOWN: answering(500)})
    client = op.client()
    with pytest.raises(ProviderUnavailable):
        await begin(client)
    op.answers.clear()
    op.clock.now += 5
    assert await begin(client)
