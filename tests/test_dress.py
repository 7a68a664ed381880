"""The security headers that every answer wears."""

from __future__ import annotations

import pytest

from gateway.web.dress import Dress, wants_hsts

SITE = "https://id.example.com"
PAGE = [(b"content-type", b"text/html; charset=utf-8")]
DATA = [(b"content-type", b"application/json")]


def test_a_page_may_load_our_style_and_post_to_us() -> None:
    worn = dict(Dress(SITE, ())(PAGE))
    assert worn[b"content-security-policy"] == (
        b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none';"
        b" form-action 'self'"
    )


def test_a_form_may_lead_to_the_providers_named() -> None:
    worn = dict(Dress(SITE, ["https://accounts.google.com"])(PAGE))
    assert worn[b"content-security-policy"].endswith(b"form-action 'self' https://accounts.google.com")


@pytest.mark.parametrize("headers", [DATA, []])
def test_what_is_no_page_may_load_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    worn = dict(Dress(SITE, ())(headers))
    assert worn[b"content-security-policy"] == b"default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "own", [(b"cache-control", b"public, max-age=300"), (b"content-security-policy", b"default-src 'self'")]
)
def test_what_a_handler_sets_stays(own: tuple[bytes, bytes]) -> None:
    worn = Dress(SITE, ())([*PAGE, own])
    assert [pair for pair in worn if pair[0] == own[0]] == [own]


def test_several_headers_of_one_name_stay() -> None:
    cookies = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    assert Dress(SITE, ())([*PAGE, *cookies])[1:3] == cookies


@pytest.mark.parametrize("name", [b"server", b"x-powered-by", b"x-request-id"])
def test_nothing_says_what_is_behind_it(name: bytes) -> None:
    assert name not in dict(Dress(SITE, ())([*PAGE, (name, b"x/1.0")]))


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        ("https://id.example.com", True),
        ("https://id.example.com:8443/base", True),
        ("http://id.example.com", False),
        ("https://localhost:8443", False),
        ("https://app.localhost", False),
        ("https://127.0.0.1", False),
        ("https://[::1]:8443", False),
    ],
)
def test_hsts_is_for_names_on_the_net(public_url: str, expected: bool) -> None:
    assert wants_hsts(public_url) is expected


def test_on_http_there_is_no_hsts() -> None:
    assert b"strict-transport-security" not in dict(Dress("http://localhost:8000", ())(PAGE))
