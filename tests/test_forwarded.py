"""What a proxy says it was asked for, and whether it is believed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.web.forwarded import Forwarded, forwarded, is_navigation

TRUSTED = [ip_network("192.0.2.0/24")]
SAID = [
    (b"x-forwarded-host", b"App.example:8443"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-uri", b"/a?b=c"),
    (b"x-forwarded-method", b"HEAD"),
]
ALL = Forwarded("app.example:8443", "https", "/a?b=c", "HEAD")


@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        ("192.0.2.1", TRUSTED, ALL),
        ("198.51.100.1", TRUSTED, Forwarded()),
        ("192.0.2.1", [], Forwarded()),
        ("not an address", TRUSTED, Forwarded()),
    ],
)
def test_only_a_trusted_proxy_is_believed(peer: str, trusted: list[object], expected: Forwarded) -> None:
    assert forwarded({"client": (peer, 1), "headers": SAID}, trusted) == expected  # type: ignore[arg-type]  # as settings


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Forwarded()),
        ([("host", "evil.example/x")], Forwarded()),
        ([("host", "user@evil.example")], Forwarded()),
        ([("host", "a.example, b.example")], Forwarded()),
        ([("host", "a.example"), ("host", "a.example")], Forwarded()),
        ([("host", "-a.example")], Forwarded()),
        ([("host", "[2001:db8::1]:8000")], Forwarded(host="[2001:db8::1]:8000")),
        ([("host", "evil.example/x"), ("uri", "/a")], Forwarded()),
        ([("host", ""), ("uri", "/a")], Forwarded()),
        ([("proto", "javascript")], Forwarded()),
        ([("proto", "HTTPS")], Forwarded()),
        ([("uri", ".evil.example/")], Forwarded()),
        ([("uri", "https://evil.example/")], Forwarded()),
        ([("uri", "")], Forwarded()),
        ([("uri", "/a"), ("uri", "/b")], Forwarded()),
        ([("uri", "//b")], Forwarded(uri="//b")),
        ([("method", "GET"), ("method", "POST")], Forwarded(method="")),
    ],
)
def test_what_is_not_understood_says_nothing(headers: list[tuple[str, str]], expected: Forwarded) -> None:
    raw = [(f"x-forwarded-{name}".encode(), value.encode()) for name, value in headers]
    assert forwarded({"client": ("192.0.2.1", 1), "headers": raw}, TRUSTED) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (ALL, "https://app.example:8443/a?b=c"),
        (Forwarded(host="app.example", uri="/a"), "http://app.example/a"),
        (Forwarded(proto="https", uri="/a"), "/a"),
        (Forwarded(host="app.example"), None),
    ],
)
def test_target(said: Forwarded, expected: str | None) -> None:
    assert said.target("http://localhost:8000") == expected


@pytest.mark.parametrize(
    ("headers", "method", "expected"),
    [
        ({"accept": "text/html"}, "GET", True),
        ({"accept": "text/html"}, "HEAD", True),
        ({"accept": "text/html"}, "POST", False),
        ({"accept": "text/html"}, "", False),
        ({"accept": "text/html", "sec-fetch-mode": "navigate"}, "GET", True),
        ({"accept": "text/html", "sec-fetch-mode": "cors"}, "GET", False),
        ({"accept": "text/html", "x-requested-with": "XMLHttpRequest"}, "GET", False),
        ({"accept": "*/*"}, "GET", False),
        ({"accept": "*/*", "sec-fetch-mode": "navigate"}, "GET", False),
        ({}, "GET", False),
    ],
)
def test_is_navigation(headers: dict[str, str], method: str, expected: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert is_navigation({"headers": raw}, Forwarded(method=method)) is expected
