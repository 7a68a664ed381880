"""Values: what each kind of key takes, what it becomes, and what is refused."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import addresses as at
from gateway.settings import parse
from gateway.settings.keys import GATEWAY, PROVIDER

TENANT = "11111111-aaaa-4bbb-8ccc-222222222222"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("14d", 1209600), ("2w", 1209600), (" 5 m ", 300)],
)
def test_durations(value: object, seconds: int) -> None:
    assert parse.duration()(value) == seconds


@pytest.mark.parametrize("value", ["", "m", "-5m", "1.5h", 1.5, True, "5 years", "1h30m", "٣m", [], -1, 10**12])
def test_durations_refused(value: object) -> None:
    with pytest.raises(parse.Unfit):
        parse.duration()(value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://Login.Example.com:443/", "https://login.example.com"),
        ("https://login.example.com/sso/", "https://login.example.com/sso"),
        ("https://login.example.com:8443", "https://login.example.com:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://gateway.localhost", "http://gateway.localhost"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTPS://[2001:DB8::0:1]", "https://[2001:db8::1]"),
    ],
)
def test_public_url(given: str, expected: str) -> None:
    assert at.public_url(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "login.example.com",
        "//login.example.com",
        "ftp://login.example.com",
        "https://",
        "https:///path",
        "https://a.example?x=1",
        "https://a.example#x",
        "https://u@a.example",
        "https://u:p@a.example",
        "https://a.example:99999",
        "https://a.example:x",
        "https://a example",
        "https://a.example/..",
        "https://a.example/x/../y",
        "https://a.example//y",
        "https://a.example/%2e%2e",
        "https://a.example\\@b.example",
        "https://a.example/\nx",
        "https://*.example",
        "https://-a-.example:8000",
        "https://bücher.example",
        "https://[::1%25lo]",
        "https://[v1.x]",
        "https://[::1",
        "http://a.example",
        "http://localhost.example",
        "http://0.0.0.0",
        "http://127.0.0.1.example",
        "http://[::ffff:8.8.8.8]",
        8000,
        ["https://a.example"],
    ],
)
def test_public_url_refused(given: object) -> None:
    with pytest.raises(parse.Unfit):
        at.public_url(given)


@given(st.text(alphabet="htps:/@#?[]%.\\ab1\t\n é*", max_size=30))
def test_an_address_is_refused_or_normal(text: str) -> None:
    try:
        url = at.public_url(text)
    except parse.Unfit:
        return
    assert at.public_url(url) == url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://App.example:443", "https://app.example"),
        ("http://localhost:3000", "http://localhost:3000"),
    ],
)
def test_origin(given: str, expected: str) -> None:
    assert at.origin(given) == expected


@pytest.mark.parametrize(
    "given",
    ["*", "null", "https://a.example/", "https://a.example/x", "http://a.example", "https://*.a.example", "a.example"],
)
def test_origin_refused(given: str) -> None:
    with pytest.raises(parse.Unfit):
        at.origin(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://App.example", "https://app.example"),
        ("https://app.example/", "https://app.example/"),
        ("https://app.example:443/a/b/", "https://app.example/a/b/"),
        ("http://intranet.example/", "http://intranet.example/"),
    ],
)
def test_redirect_prefix(given: str, expected: str) -> None:
    assert at.redirect_prefix(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "https://a.example/x",
        "https://a.example/../",
        "https://a.example/%2e/",
        "https://*.example/",
        "myapp://x/",
        "/x/",
        "javascript:x",
    ],
)
def test_redirect_prefix_refused(given: str) -> None:
    with pytest.raises(parse.Unfit):
        at.redirect_prefix(given)


@pytest.mark.parametrize(
    "given", ["//evil.example", "/\\evil.example", "/../x", "/a//b", "javascript:x", "evil", "/a b"]
)
def test_default_redirect_refused(given: str) -> None:
    with pytest.raises(parse.Unfit):
        at.redirect_target(given)


def test_networks() -> None:
    assert GATEWAY["trusted_proxies"].parse("10.0.0.0/8, ::1") == (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize("given", ["*", "10.0.0.1/8", "loadbalancer", "10.0.0.0/99"])
def test_networks_refused(given: str) -> None:
    with pytest.raises(parse.Unfit):
        GATEWAY["trusted_proxies"].parse(given)


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///gateway.db", "gateway.db"),
        ("sqlite:////var/lib/gateway.db", "/var/lib/gateway.db"),
        ("sqlite+aiosqlite:///a%20b.db?timeout=5", "a b.db"),
        ("sqlite:///file:x.db?uri=true", "x.db"),
        ("sqlite:///file:x?mode=memory&uri=true", None),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql://h/d", None),
    ],
)
def test_the_file_of_a_database(url: str, file: str | None) -> None:
    assert at.sqlite_file(at.database_url(url)) == file


@pytest.mark.parametrize(
    "given", ["gateway.db", "sqlite:gateway.db", "sqlite://gateway.db", "mysql://h/d", "postgresql://u:a/b@h/d"]
)
def test_database_refused(given: str) -> None:
    with pytest.raises(parse.Unfit):
        at.database_url(given)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("scopes", ["openid", "email", "openid"], ("openid", "email")),
        ("scopes", "openid, groups", ("openid", "groups")),
        ("id_token_algs", ["RS256", "ES256"], ("RS256", "ES256")),
        ("tenant", TENANT.upper(), TENANT),
        ("tenant", "Contoso.OnMicrosoft.com", "contoso.onmicrosoft.com"),
        ("allowed_tenants", ["*"], ("*",)),
        ("allowed_tenants", TENANT.upper(), (TENANT,)),
        ("email_trust", "never", "never"),
        ("email_trust", ["Example.com"], ("example.com",)),
        ("email_trust", "example.com", ("example.com",)),
        ("groups_claim", "realm_access.roles", "realm_access.roles"),
        ("groups_claim", "https://example.com/groups", "https://example.com/groups"),
        ("hosted_domains", ["Example.com."], ("example.com",)),
        (
            "authorize_params",
            {"prompt": "consent", "max": 3, "x": True},
            {"prompt": "consent", "max": "3", "x": "true"},
        ),
        ("leeway", "2m", 120),
        ("client_id", "  ", ""),
        ("client_secret", " spaced ", " spaced "),
        ("authority", "https://login.microsoftonline.us/", "https://login.microsoftonline.us"),
        ("store_tokens", "on", True),
        ("issuer", "https://Id.example/{tenantid}/", "https://Id.example/{tenantid}/"),
    ],
)
def test_provider_keys(key: str, value: Any, expected: Any) -> None:
    assert PROVIDER[key].parse(value) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scopes", "openid email"),
        ("scopes", []),
        ("id_token_algs", ["none"]),
        ("id_token_algs", ["HS256"]),
        ("id_token_algs", "RS265"),
        ("id_token_algs", []),
        ("tenant", "everybody"),
        ("allowed_tenants", ["contoso.example"]),
        ("email_trust", "nevr"),
        ("email_trust", []),
        ("email_trust", True),
        ("groups_claim", "a..b"),
        ("groups_claim", "a b"),
        ("authorize_params", {"state": "x"}),
        ("authorize_params", {"redirect_uri": "x"}),
        ("authorize_params", {"x": ["y"]}),
        ("authorize_params", "prompt"),
        ("leeway", "1h"),
        ("discovery_url", "http://id.example/.well-known/openid-configuration"),
        ("discovery_url", "https://id.example/#x"),
        ("authority", "http://login.example"),
        ("client_auth", "client_secret_jwt"),
        ("response_mode", "fragment"),
        ("issuer", "id.example"),
        ("label", ""),
        ("label", "a\nb"),
    ],
)
def test_provider_keys_refused(key: str, value: Any) -> None:
    with pytest.raises(parse.Unfit):
        PROVIDER[key].parse(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", "empty"),
        ("a\nb", r'"a\u000ab"'),
        ("x" * 200, '"' + "x" * 77 + '..."'),
        ("https://u:p@h/x", '"https://***@h/x"'),
        (True, "true"),
        (10**30, "a very large number"),
        ({}, "a table"),
        ([1, 2], "a list of 2"),
    ],
)
def test_what_was_seen_is_short_and_of_one_line(value: object, shown: str) -> None:
    assert parse.describe(value) == shown
