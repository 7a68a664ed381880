"""Every fault: named with its place, what was seen and a hint, all at once, and never with a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from loading import CORP, fault, faults

from gateway.errors import ConfigurationError
from gateway.settings import Settings, build, load
from gateway.settings.keys import APP, GATEWAY, PROVIDER, ROLE

# Faults


@pytest.mark.parametrize(
    ("text", "environ", "table", "key", "words"),
    [
        ('[gateway]\npublic_url = "http://a.example"', {}, "gateway", "public_url", "https"),
        ('[gateway]\npublik_url = "x"', {}, "gateway", "publik_url", 'Did you mean "public_url"?'),
        ('[gateway]\nlabel = "x"', {}, "gateway", "label", "[providers.<name>]"),
        ('public_url = "https://a.example"', {}, "", "public_url", "[gateway]"),
        ("[gatway]", {}, "", "gatway", 'Did you mean "gateway"?'),
        ("gateway = 3", {}, "gateway", "", "[gateway]"),
        ("providers = []", {}, "providers", "", "[providers.<name>]"),
        ("[providers]\ncorp = 3", {"GATEWAY_PROVIDERS__CORP__ENABLED": "no"}, "providers.corp", "", "table"),
        ("[roles]\nrole = 'a'", {}, "roles", "", "[[roles]]"),
        ("apps = 1", {}, "apps", "", "Write a table: [apps.<client_id>]"),
        ("", {"GATEWAY_PUBLIC_ULR": "x"}, "gateway", "public_ulr", "GATEWAY_PUBLIC_URL"),
        (
            CORP,
            {"GATEWAY_PROVIDERS__CORP__CLIENT_SECERT": "x"},
            "providers.corp",
            "client_secert",
            "GATEWAY_PROVIDERS__CORP__CLIENT_SECRET",
        ),
        ("[gateway]\nsignup = 'domains'", {}, "gateway", "signup_domains", "Name the domains"),
        ("[gateway]\nsignup_domains = ['a.example']", {}, "gateway", "signup_domains", 'signup = "domains"'),
        ("[gateway]\ncookie_domain = 'b.example'", {}, "gateway", "cookie_domain", "public_url"),
        (
            "[gateway]\ndefault_redirect = 'https://b.example/x'",
            {},
            "gateway",
            "default_redirect",
            "allowed_redirects",
        ),
        ("", {"GATEWAY_DATABASE_URL": "postgresql://h/d"}, "gateway", "secret_keys", "server database"),
        ("", {"GATEWAY_DATABASE_URL": "mysql://h/d"}, "gateway", "database_url", "postgresql://"),
        ("[gateway]\nsecret_keys = ['short']", {}, "gateway", "secret_keys", "32 bytes"),
        (f"[gateway]\nsecret_keys = ['changeme{'x' * 40}']", {}, "gateway", "secret_keys", "placeholder"),
        ("[gateway]\naccess_token_ttl = '5 parsecs'", {}, "gateway", "access_token_ttl", "15m"),
        ("[gateway]\nrate_limits = 'perhaps'", {}, "gateway", "rate_limits", "true or false"),
    ],
)
def test_each_fault_is_named_with_its_place_and_a_hint(
    tmp_path: Path, text: str, environ: dict[str, str], table: str, key: str, words: str
) -> None:
    found = fault(tmp_path, text, environ)
    assert (found.table, found.key) == (table, key)
    assert words in found.hint


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("[gateway", "Expected ']' at the end of a table declaration (at end of document)"),
        ("a = tru", "Invalid value (at line 1, column 5)"),
        ("a = " + "[" * 5000, "tables or lists nested too deeply"),
        ("a = " + "1" * 5000, "an unreadable number"),
    ],
)
def test_what_is_not_toml_is_named_with_its_place(tmp_path: Path, text: str, seen: str) -> None:
    assert fault(tmp_path, text).seen == seen


def test_a_file_in_another_encoding_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_bytes("[gateway]\naudience = 'Zoë'".encode("utf-16"))
    with pytest.raises(ConfigurationError) as refused:
        load(path, {})
    assert refused.value.faults[0].seen == "not UTF-8 text"


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = """
    [gateway]
    public_url = "http://a.example"
    cors_origins = ["*", "https://ok.example", "https://b.example/"]
    [providers.login]
    discovery_url = "https://id.example"
    client_id = "${UNSET}"
    [[roles]]
    role = "admin"
    [unknown]
    """
    found = faults(tmp_path, text, {"GATEWAY_TYPO": "1"})
    assert sorted((each.table, each.key) for each in found) == sorted(
        [
            ("gateway", "public_url"),
            ("gateway", "cors_origins"),
            ("gateway", "cors_origins"),
            ("gateway", "typo"),
            ("providers.login", ""),
            ("providers.login", "client_id"),
            ("providers.login", "client_secret"),
            ("providers.login", "discovery_url"),
            ("roles #1", "role"),
            ("", "unknown"),
        ]
    )


def test_a_fault_names_where_the_value_came_from(tmp_path: Path) -> None:
    found = faults(tmp_path, "[gateway]\nsignup = 'x'", {"GATEWAY_ACCOUNT_LINKING": "x"}, refresh_token_grace="x")
    assert {each.where for each in found} == {
        str(tmp_path / "providers.toml"),
        "environment variable GATEWAY_ACCOUNT_LINKING",
        "--refresh-token-grace",
    }


SECRET = "hunter2-correct-horse-battery"


@pytest.mark.parametrize(
    "text",
    [
        f"[gateway]\nsecret_keys = ['{SECRET}']",
        f"[gateway]\nsecret_keys = '{SECRET}'",
        f"[gateway]\nsecret_keys = {{ a = '{SECRET}' }}",
        f"[gateway]\ndatabase_url = 'mysql://u:{SECRET}@h/d'",
        f"[gateway]\ndatabase_url = '{SECRET}'",
        f"[gateway]\nredis_url = 'http://:{SECRET}@h'",
        f"[gateway]\npublic_url = 'https://u:{SECRET}@h.example'",
        f"[gateway]\nsecret_key = '{SECRET}'",
        f"client_secret = '{SECRET}'",
        f"{CORP}client_secert = '{SECRET}'",
        CORP.replace('"s3cret"', f"['{SECRET}']"),
        CORP.replace('"s3cret"', f'"{SECRET} ${{UNSET}}"'),
        f"{CORP}client_secret_file = '/nowhere'\nauthorize_params = {{ state = '{SECRET}' }}",
        f"{CORP}authorize_params = {{ 'a b' = '{SECRET}' }}",
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, text: str) -> None:
    assert SECRET not in repr(faults(tmp_path, text, {"GATEWAY_DATABASE_URL": ""}))


def test_settings_do_not_print_their_secrets(tmp_path: Path) -> None:
    text = f"""
    [gateway]
    database_url = "postgresql://u:{SECRET}@h/d"
    redis_url = "redis://:{SECRET}@h"
    secret_keys = ["{SECRET}{SECRET}"]
    {CORP.replace("s3cret", SECRET)}
    """
    assert SECRET not in repr(load_text(tmp_path, text))


def load_text(folder: Path, text: str) -> Settings:
    path = folder / "providers.toml"
    path.write_text(text)
    return load(path, {})


# Whatever a file holds


@given(st.text())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_raises_anything_but_a_configuration_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load(path, {"GATEWAY_DATABASE_URL": "sqlite://"})
    except ConfigurationError as refused:
        assert refused.faults  # noqa: PT017  a text that loads is as good


VALUES = st.recursive(
    st.one_of(
        st.text(),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.dates(),
        st.datetimes(),
        st.sampled_from(
            [
                "https://",
                "https://[::1",
                "https://a.example:99999",
                "http://127.0.0.1\\@evil",
                "//x",
                "/",
                "${A}",
                "${",
                "*",
            ]
        ),
        st.sampled_from(
            [
                "sqlite:///\0",
                "postgresql://h:x",
                "postgresql://[::1/d",
                "\0",
                "/dev/zero",
                "/proc/self/mem",
                "~x",
            ]
        ),
        st.sampled_from(["microsoft", "google", "common", "contoso.example", "private_key_jwt", "0" * 36, "domains"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def tables(keys: Mapping[str, object]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(sorted(keys)) | st.text(max_size=8), VALUES, max_size=8)


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "gateway": tables(GATEWAY) | VALUES,
        "providers": st.dictionaries(
            st.sampled_from(["google", "microsoft", "corp", "login", "Bad Name"]) | st.text(),
            tables(PROVIDER) | VALUES,
        )
        | VALUES,
        "roles": st.lists(tables(ROLE) | VALUES) | VALUES,
        "apps": st.dictionaries(st.sampled_from(["shop", "gateway"]) | st.text(), tables(APP) | VALUES) | VALUES,
        "other": VALUES,
    },
)


@given(DOCUMENTS, st.dictionaries(st.sampled_from([f"GATEWAY_{key.upper()}" for key in GATEWAY]), st.text()))
@hypothesis_settings(deadline=None)
def test_no_value_raises_anything_but_a_configuration_error(
    document: dict[str, object], environ: dict[str, str]
) -> None:
    try:
        build(document, environ | {"GATEWAY_DATABASE_URL": "sqlite://", "A": "b"})
    except ConfigurationError as refused:
        assert refused.faults  # noqa: PT017  a text that loads is as good


def test_deep_keys_are_refused_like_any_other(tmp_path: Path) -> None:
    deep = ".".join(["a"] * 3000)
    assert faults(tmp_path, f"{CORP}authorize_params.{deep} = 1\n[gateway.{deep}]\n[{deep}]")
