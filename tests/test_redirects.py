"""Redirect targets: what may be named, and the tricks that must not leave the allowed set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RedirectNotAllowed
from gateway.web.redirects import Redirects, origin

ALLOWED = ("https://app.example.com", "https://docs.example.com/team/")


def redirects() -> Redirects:
    return Redirects("https://login.example.com", ALLOWED, "/auth/account")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/app?x=1&y=/z",
        "/a/b#part",
        "/?next=https://evil.example",
        "https://login.example.com",
        "https://login.example.com/x",
        "https://app.example.com",
        "https://app.example.com/deep/path?q=1#f",
        "https://docs.example.com/team/",
        "https://docs.example.com/team/page",
    ],
)
def test_allowed(target: str) -> None:
    assert redirects().check(target) == target


def test_512_characters_are_the_most() -> None:
    longest = "/" + "a" * 511
    assert redirects().check(longest) == longest
    with pytest.raises(RedirectNotAllowed):
        redirects().check(longest + "a")


@pytest.mark.parametrize("target", [None, ""])
def test_none_is_the_default(target: str | None) -> None:
    assert redirects().check(target) == "/auth/account"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2fevil.example",
        "/%2Fevil.example",
        "/%5cevil.example",
        "/%255cevil.example",
        "/%25252fevil.example",
        "/./evil",
        "/../evil",
        "/x/../../evil",
        "/%2e%2e/evil",
        "/\tevil.example",
        "/\nevil.example",
        "/%0aevil",
        " /x",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "http://app.example.com/",
        "HTTPS://app.example.com/",
        "https://APP.example.com/",
        "https://app.example.com.evil.example/",
        "https://app.example.comevil.example/",
        "https://evil.example/https://app.example.com/",
        "https://app.example.com@evil.example/",
        "https://user@app.example.com/",
        "https://app.example.com:443@evil.example/",
        "https://app.example.com\\@evil.example/",
        "https://app.example.com%2f@evil.example/",
        "https://app.example.com:8443/",
        "https://app.example.com:443/",
        "https://app.example.com:",
        "https://app.example.com.",
        "https://app。example.com/",
        "https://äpp.example.com/",
        "https://docs.example.com/",
        "https://docs.example.com/team",
        "https://docs.example.com/teams/",
        "https://docs.example.com/team/../admin",
        "https://docs.example.com/team/%2e%2e/admin",
        "https://docs.example.com/team/%252e%252e/admin",
        "https://docs.example.com/team/..\\admin",
        "https://docs.example.com/team/..%5cadmin",
        "https://[::1]/",
        "https://127.0.0.1/",
        "/" + "a" * 3000,
        "app.example.com",
        "?x",
        "#x",
        ".",
    ],
)
def test_refused(target: str) -> None:
    with pytest.raises(RedirectNotAllowed):
        redirects().check(target)


@given(st.text())
def test_whatever_passes_stays_within_what_is_allowed(target: str) -> None:
    try:
        passed = redirects().check(target)
    except RedirectNotAllowed:
        return
    assert passed.startswith(("/", "https://login.example.com", *ALLOWED))
    assert not passed.startswith("//")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://login.example.com/sso", "https://login.example.com"),
        ("https://login.example.com:443", "https://login.example.com"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000/x", "http://[::1]:8000"),
    ],
)
def test_origin(url: str, expected: str) -> None:
    assert origin(url) == expected
