"""What applications ask for: where an answer may go, which fault goes where, what a person still has to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.apps import Ask, Denied, Person, allowed, decide, prove, read
from gateway.errors import UnprovenApp
from gateway.settings import AppSettings

NOW = 1_800_000_000
WEB = AppSettings(
    client_id="web",
    type="web",
    label="Web",
    redirect_uris=("https://app.example.com/cb", "https://app.example.com/other?tenant=1", "http://127.0.0.1:8123/cb"),
)
PHONE = AppSettings(
    client_id="phone",
    type="native",
    label="Phone",
    redirect_uris=("http://127.0.0.1/return", "http://[::1]:4000/return?x=1", "com.example.app:/return"),
)
SERVICE = AppSettings(client_id="robot", type="service", label="Robot", scopes=())
OFFICE = replace(WEB, client_id="office", providers=("microsoft",))
APPS = {app.client_id: app for app in (WEB, PHONE, SERVICE, OFFICE)}
PROVIDERS = {"google": 1, "microsoft": 2}
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

TRICKS = {
    "another path": "https://app.example.com/cb2",
    "a path below": "https://app.example.com/cb/",
    "a path above": "https://app.example.com/",
    "no path": "https://app.example.com",
    "dots": "https://app.example.com/x/../cb",
    "encoded dots": "https://app.example.com/x/%2e%2e/cb",
    "an encoded letter": "https://app.example.com/%63b",
    "an encoded slash": "https://app.example.com%2fcb",
    "a doubled slash": "https://app.example.com//cb",
    "a semicolon": "https://app.example.com/cb;x",
    "a query": "https://app.example.com/cb?x=1",
    "an empty query": "https://app.example.com/cb?",
    "another query": "https://app.example.com/other?tenant=2",
    "a longer query": "https://app.example.com/other?tenant=1&x=1",
    "a fragment": "https://app.example.com/cb#x",
    "an empty fragment": "https://app.example.com/cb#",
    "another scheme": "http://app.example.com/cb",
    "the scheme in capitals": "HTTPS://app.example.com/cb",
    "the host in capitals": "https://APP.example.com/cb",
    "the path in capitals": "https://app.example.com/CB",
    "no scheme": "//app.example.com/cb",
    "one slash": "https:/app.example.com/cb",
    "script": "javascript:alert(1)//https://app.example.com/cb",
    "data": "data:text/html,https://app.example.com/cb",
    "a user": "https://app.example.com@evil.example/cb",
    "a user of ours": "https://evil@app.example.com/cb",
    "a password": "https://app.example.com:x@evil.example/cb",
    "a backslash": "https://app.example.com\\@evil.example/cb",
    "a backslash for a slash": "https://app.example.com\\cb",
    "an encoded at": "https://app.example.com%40evil.example/cb",
    "a longer host": "https://app.example.com.evil.example/cb",
    "a host before": "https://evilapp.example.com/cb",
    "a sub-domain": "https://x.app.example.com/cb",
    "a dot at the end": "https://app.example.com./cb",
    "the own port": "https://app.example.com:443/cb",
    "another port": "https://app.example.com:8443/cb",
    "an empty port": "https://app.example.com:/cb",
    "letters that look alike": "https://\u0430pp.example.com/cb",
    "full width letters": "https://app\uff0eexample.com/cb",
    "an ideographic dot": "https://app.example\u3002com/cb",
    "a soft hyphen": "https://app\u00ad.example.com/cb",
    "the xn-- form": "https://xn--pp-7kc.example.com/cb",
    "a space before": " https://app.example.com/cb",
    "a space after": "https://app.example.com/cb ",
    "a line break after": "https://app.example.com/cb\n",
    "a header": "https://app.example.com/cb\r\nSet-Cookie: a=b",
    "a tab inside": "https://app.exa\tmple.com/cb",
    "NUL": "https://app.example.com/cb\x00",
    "two at once": "https://app.example.com/cb https://evil.example/",
    "joined by a comma": "https://app.example.com/cb,https://evil.example/",
    "a wildcard": "https://*.example.com/cb",
    "nothing": "",
    "a web application's other loopback port": "http://127.0.0.1:8124/cb",
    "a web application's loopback without a port": "http://127.0.0.1/cb",
}

NATIVE_TRICKS = {
    "another path": "http://127.0.0.1:5000/return2",
    "no path": "http://127.0.0.1:5000",
    "a query": "http://127.0.0.1:5000/return?x=1",
    "a name of this machine": "http://localhost:5000/return",
    "a user": "http://127.0.0.1:5000@evil.example/return",
    "a user without a port": "http://127.0.0.1@evil.example/return",
    "a longer host": "http://127.0.0.1.evil.example/return",
    "another loopback address": "http://127.0.0.2/return",
    "a short form": "http://127.1/return",
    "a number": "http://2130706433/return",
    "a mapped address": "http://[::ffff:127.0.0.1]/return",
    "https": "https://127.0.0.1/return",
    "no port": "http://127.0.0.1:0/return",
    "no such port": "http://127.0.0.1:65536/return",
    "a long port": "http://127.0.0.1:000080/return",
    "digits of another script": "http://127.0.0.1:\u0661\u0662/return",
    "the other family": "http://[::1]:5000/return",
    "the other family's address": "http://127.0.0.1:5000/return?x=1",
    "a longer scheme": "com.example.app.evil:/return",
    "the scheme with a host": "com.example.app://return",
    "the scheme with another path": "com.example.app:/return/x",
    "the scheme in capitals": "COM.example.app:/return",
    "a line break": "http://127.0.0.1:5000/return\n",
}


@pytest.mark.parametrize("uri", WEB.redirect_uris)
def test_a_registered_address_is_proven(uri: str) -> None:
    assert prove(APPS, "web", uri) is WEB


@pytest.mark.parametrize("uri", TRICKS.values(), ids=TRICKS.keys())
def test_no_trick_leaves_the_registered_addresses(uri: str) -> None:
    """AV-10.4.1, BFF-5: character by character."""
    with pytest.raises(UnprovenApp):
        prove(APPS, "web", uri)


@pytest.mark.parametrize(
    "uri",
    [
        *PHONE.redirect_uris,
        "http://127.0.0.1:1/return",
        "http://127.0.0.1:51234/return",
        "http://127.0.0.1:65535/return",
        "http://[::1]:5000/return?x=1",
        "http://[::1]/return?x=1",
    ],
)
def test_a_native_application_takes_the_loopback_port_it_gets(uri: str) -> None:
    """NAT-2."""
    assert prove(APPS, "phone", uri) is PHONE


@pytest.mark.parametrize("uri", NATIVE_TRICKS.values(), ids=NATIVE_TRICKS.keys())
def test_nothing_but_the_port_varies(uri: str) -> None:
    """NAT-2."""
    with pytest.raises(UnprovenApp):
        prove(APPS, "phone", uri)


@pytest.mark.parametrize("client_id", [None, "", "gateway", "nobody", "WEB", "web ", "robot", "phone"])
def test_nobody_is_sent_to_an_address_of_another_application(client_id: str | None) -> None:
    with pytest.raises(UnprovenApp):
        prove(APPS, client_id, WEB.redirect_uris[0])


def test_without_an_address_nobody_is_sent_anywhere() -> None:
    with pytest.raises(UnprovenApp):
        prove(APPS, "web", None)


def asked(**other: str | None) -> dict[str, str]:
    sound: dict[str, str | None] = {
        "client_id": "web",
        "redirect_uri": WEB.redirect_uris[0],
        "response_type": "code",
        "scope": "openid email",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (sound | other).items() if value is not None}


def read_as(app: AppSettings, **other: str | None) -> Ask:
    return read(app, asked(**other), PROVIDERS, NOW, "")


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "A"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "\n"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),  # which would mean plain
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "  "}, "invalid_scope"),
        ({"scope": "openid admin"}, "invalid_scope"),
        ({"scope": "openid groups"}, "invalid_scope"),
        ({"prompt": "create"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"max_age": "\u0661"}, "invalid_request"),
        ({"max_age": "9" * 40}, "invalid_request"),
        ({"provider": "facebook"}, "invalid_request"),
        ({"provider": "google/../microsoft"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example.com/r"}, "request_uri_not_supported"),
        ({"state": "x" * 1025}, "invalid_request"),
        ({"nonce": "x" * 1025}, "invalid_request"),
        ({"nonce": "\u00e9" * 513}, "invalid_request"),  # bytes, not characters
        ({"login_hint": "x" * 1025}, "invalid_request"),
    ],
)
def test_each_fault_goes_back_to_the_application(other: dict[str, Any], code: str) -> None:
    """AV-10.4.6, AV-10.4.11: with a code of RFC 6749 section 4.1.2.1, PKCE with S256 and nothing else."""
    with pytest.raises(Denied) as denied:
        read_as(WEB, **other)
    assert denied.value.code == code
    assert denied.value.description.isascii()


@pytest.mark.parametrize(
    ("other", "name", "value"),
    [
        ({}, "prompt", ()),
        ({"prompt": "login consent"}, "prompt", ("login", "consent")),
        ({"prompt": "none"}, "prompt", ("none",)),
        ({"max_age": "0"}, "max_age", 0),
        ({"max_age": "3600"}, "max_age", 3600),
        ({"scope": "email openid email"}, "scope", "email openid"),
        ({"state": ""}, "state", None),
        ({"state": "\u00e9 &=#\u2028"}, "state", "\u00e9 &=#\u2028"),
        ({"response_mode": "query"}, "redirect_uri", WEB.redirect_uris[0]),
        ({"provider": "google"}, "provider", "google"),
        ({"claims": "{}", "display": "popup", "foo": "bar"}, "challenge", CHALLENGE),
    ],
)
def test_what_a_sound_request_asks(other: dict[str, Any], name: str, value: object) -> None:
    assert getattr(read_as(WEB, **other), name) == value


def test_a_provider_that_is_not_one_of_the_application() -> None:
    assert allowed(OFFICE, PROVIDERS) == ["microsoft"]
    with pytest.raises(Denied):
        read_as(OFFICE, provider="google")


OLD = Person("account", "before", "google", NOW - 1000)
FRESH = Person("account", "after", "google", NOW)
AT_MICROSOFT = replace(FRESH, provider="microsoft")
LET_PASS = replace(FRESH, auth_time=NOW - 1000)  # has gone to the provider since, which asked nothing
CAREFUL = replace(WEB, consent=True)


@pytest.mark.parametrize(
    ("app", "other", "person", "consented", "missing"),
    [
        (WEB, {}, None, False, "sign_in"),
        (WEB, {}, OLD, False, None),
        (WEB, {"prompt": "none"}, OLD, False, None),
        (WEB, {"prompt": "login"}, OLD, False, "sign_in"),
        (WEB, {"prompt": "login"}, FRESH, False, None),
        (WEB, {"prompt": "select_account"}, OLD, False, "sign_in"),
        (WEB, {"prompt": "select_account"}, FRESH, False, None),
        (WEB, {"max_age": "1000"}, OLD, False, None),
        (WEB, {"max_age": "999"}, OLD, False, "sign_in"),
        (WEB, {"max_age": "0"}, OLD, False, "sign_in"),
        (WEB, {"max_age": "0"}, replace(FRESH, auth_time=NOW - 30), False, None),
        (WEB, {"prompt": "login"}, LET_PASS, False, "sign_in"),
        (WEB, {"max_age": "999"}, LET_PASS, False, "sign_in"),
        (WEB, {"max_age": "1000"}, LET_PASS, False, None),
        (WEB, {"prompt": "select_account"}, LET_PASS, False, None),
        (WEB, {"prompt": "login select_account"}, LET_PASS, False, "sign_in"),
        (OFFICE, {}, OLD, False, "sign_in"),
        (OFFICE, {}, FRESH, False, "sign_in"),
        (OFFICE, {}, AT_MICROSOFT, False, None),
        (OFFICE, {"prompt": "none"}, FRESH, True, "sign_in"),
        (CAREFUL, {}, None, True, "sign_in"),
        (CAREFUL, {}, OLD, False, "consent"),
        (CAREFUL, {}, OLD, True, None),
        (CAREFUL, {"prompt": "login"}, OLD, True, "sign_in"),
        (CAREFUL, {"prompt": "login"}, FRESH, False, "consent"),
        (WEB, {"prompt": "consent"}, OLD, False, "consent"),
        (WEB, {"prompt": "consent"}, OLD, True, None),
        (WEB, {"prompt": "login consent"}, FRESH, False, "consent"),
    ],
)
def test_what_a_person_still_has_to_do(
    app: AppSettings, other: dict[str, str], person: Person | None, consented: bool, missing: str | None
) -> None:
    """`before` is the session that the browser had when the request came."""
    ask = replace(read_as(app, **other), present="before")
    assert decide(ask, app, person, consented, NOW) == missing


@pytest.mark.parametrize(
    ("expected", "person", "missing"),
    [
        ("account", OLD, None),
        ("account", FRESH, None),
        ("another", None, "sign_in"),
        ("another", OLD, "sign_in"),
        ("another", FRESH, "another_person"),
        (None, FRESH, None),
    ],
)
def test_whom_the_application_expects(expected: str | None, person: Person | None, missing: str | None) -> None:
    """To sign in as somebody else is asked for once."""
    ask = replace(read_as(WEB), present="before", subject=expected)
    assert decide(ask, WEB, person, False, NOW) == missing
