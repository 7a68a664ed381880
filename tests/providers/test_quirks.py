"""Rules beside the claims: which issuers a provider goes by, and what its configuration adds to a request."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import IssuerMismatch
from gateway.providers.quirks import load_rules

from .op import CODE_VERIFIER, NONCE, STATE, Op

TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"
CONTOSO = "https://login.microsoftonline.com/11111111-aaaa-4bbb-8ccc-222222222222/v2.0"
GOOGLE = "https://accounts.google.com"


@pytest.mark.parametrize("quirk", ["../google", "no_such_quirk", "Google", ""])
def test_unknown_quirk(quirk: str) -> None:
    with pytest.raises(ValueError, match="quirk"):
        load_rules(Op().settings(quirk=quirk))


@pytest.mark.parametrize(
    ("quirk", "issuer", "iss", "passes"),
    [
        ("google", GOOGLE, GOOGLE, True),
        ("google", GOOGLE, "accounts.google.com", True),
        ("google", GOOGLE, "https://accounts.google.com/", False),
        ("microsoft", TEMPLATE, CONTOSO, True),
        ("microsoft", TEMPLATE, TEMPLATE, False),
        ("microsoft", TEMPLATE, CONTOSO + "/", False),
        ("microsoft", TEMPLATE, "https://login.microsoftonline.com/common/v2.0", False),
        ("microsoft", CONTOSO, CONTOSO, True),
        ("microsoft", CONTOSO, CONTOSO.replace("1", "2"), False),
        (None, GOOGLE, "accounts.google.com", False),
    ],
)
async def test_issuer_parameter_of_the_callback(quirk: str | None, issuer: str, iss: str, passes: bool) -> None:
    tenant = "common" if issuer == TEMPLATE else None
    client = Op(issuer=issuer).client(quirk=quirk, tenant=tenant)
    try:
        await client.check_callback_issuer(iss)
    except IssuerMismatch:
        assert not passes
    else:
        assert passes


@pytest.mark.parametrize(
    ("given", "hd"),
    [
        ({}, None),
        ({"hosted_domains": ("example.com",)}, "example.com"),
        ({"hosted_domains": ("example.com", "example.org")}, "*"),
        ({"hosted_domains": ("example.com",), "authorize_params": {"hd": "x.example"}}, "x.example"),
    ],
)
async def test_google_is_told_the_domain(given: dict[str, Any], hd: str | None) -> None:
    client = Op(issuer=GOOGLE).client(quirk="google", **given)
    url = await client.begin(state=STATE, nonce=NONCE, code_verifier=CODE_VERIFIER)
    assert parse_qs(urlsplit(url).query).get("hd", []) == ([hd] if hd else [])


def test_microsoft_userinfo_is_not_called_for_a_claim_it_does_not_know() -> None:
    rules = load_rules(Op(issuer=TEMPLATE).settings(quirk="microsoft", tenant="common"))
    assert rules.wanted_claims() == {"email", "name"}
