"""Cookie attributes: every one we ever set, on https and on loopback http."""

from __future__ import annotations

import pytest

from gateway.web.cookies import Cookies, parse


def attributes(cookie: str) -> tuple[str, set[str]]:
    name, *rest = cookie.split("; ")
    return name.partition("=")[0], set(rest)


def test_on_https() -> None:  # RT-7, BFF-1, AV-3.3.1
    cookies = Cookies.of("https://login.example.com", "", None)
    carried = cookies.set_session("a", 300, "r", 1000, "b")
    (access, of_access), (refresh, of_refresh), (browser, of_browser) = map(attributes, carried)
    assert access == "__Host-gateway"
    assert of_access == {"Max-Age=300", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"}
    assert refresh == "__Secure-gateway-refresh"
    assert of_refresh == {"Max-Age=1000", "Path=/auth", "HttpOnly", "Secure", "SameSite=Lax"}
    assert browser == "__Host-gateway-browser"
    assert of_browser == {"Max-Age=1000", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"}


def test_on_loopback_http() -> None:
    cookies = Cookies.of("http://localhost:8000", "", None)
    names = [attributes(cookie) for cookie in cookies.set_session("a", 300, "r", 1000, "b")]
    assert [name for name, _ in names] == ["gateway", "gateway-refresh", "gateway-browser"]
    assert all("Secure" not in rest for _, rest in names)


def test_below_a_path_the_refresh_cookie_goes_only_there() -> None:
    cookies = Cookies.of("https://example.com/sso", "/sso", None)
    access, refresh, browser = (attributes(cookie) for cookie in cookies.set_session("a", 300, "r", 1000, "b"))
    assert "Path=/" in access[1]
    assert "Path=/sso/auth" in refresh[1]
    assert "Path=/" in browser[1]


def test_a_shared_session_names_its_domain_and_cannot_be_host_only() -> None:
    cookies = Cookies.of("https://login.example.com", "", "example.com")
    access, refresh, browser = (attributes(cookie) for cookie in cookies.set_session("a", 300, "r", 1000, "b"))
    assert access[0] == "__Secure-gateway"
    assert "Domain=example.com" in access[1] & refresh[1]
    assert "Domain=example.com" not in browser[1]


@pytest.mark.parametrize(
    ("url", "cross_site", "same_site"),
    [
        ("https://login.example.com", False, "SameSite=Lax"),
        ("https://login.example.com", True, "SameSite=None"),
        ("http://localhost:8000", True, "SameSite=Lax"),
    ],
)
def test_an_attempt_survives_a_form_post_only_where_the_provider_posts(
    url: str, cross_site: bool, same_site: str
) -> None:
    name, rest = attributes(Cookies.of(url, "", None).set_attempt("state", "packed", cross_site=cross_site))
    assert name.endswith("gateway-attempt-state")
    assert {"Max-Age=600", "Path=/", "HttpOnly", same_site} <= rest


def test_clearing_names_the_same_cookies() -> None:
    cookies = Cookies.of("https://login.example.com", "", "example.com")
    cleared = [attributes(cookie) for cookie in cookies.clear_session()]
    kept = [attributes(cookie) for cookie in cookies.set_session("a", 0, "r", 0, "b")]
    assert cleared == kept


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("", {}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1; a=2", {"a": "1"}),
        ("a=x=y;b", {"a": "x=y"}),
        ("  a = 1", {"a ": " 1"}),
    ],
)
def test_parse(header: str, pairs: dict[str, str]) -> None:
    assert parse(header) == pairs
