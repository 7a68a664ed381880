"""The stand-in for Microsoft: every kind of tenant and account, as the real one treats them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing import Client, Microsoft, Person, directory
from gateway.testing import google as google_stand_in
from gateway.testing.directory import CONSUMERS, CONTOSO, EXAMPLE, guest, personal_account, work_account

from walking import CALLBACK, CLIENT, Walk, answered

ADA = work_account("Ada Lovelace", "ada@example.com", edov=True)
MARGARET = personal_account("Margaret Hamilton", "margaret@example.net")


@pytest.fixture
def walk() -> Iterator[Walk]:
    with Microsoft(clients=[CLIENT], automatic=True).serve() as standin, Walk(standin) as walk:
        yield walk


def claims_of(walk: Walk, person: Person, **params: str | None) -> dict[str, Any]:
    walk.standin.next_person = person
    return walk.claims(**params)


@pytest.mark.parametrize(
    ("authority", "path", "issuer"),
    [
        ("common", "common", "{tenantid}"),
        ("organizations", "organizations", "{tenantid}"),
        ("consumers", "consumers", CONSUMERS),
        (EXAMPLE, EXAMPLE, EXAMPLE),
        (EXAMPLE.upper(), EXAMPLE, EXAMPLE),
        ("contoso.example", CONTOSO, CONTOSO),
        (CONSUMERS, CONSUMERS, CONSUMERS),
    ],
)
def test_each_authority_has_its_own_document(walk: Walk, authority: str, path: str, issuer: str) -> None:
    walk.authority, base = authority, walk.standin.base_url
    document = walk.discover()
    assert document["issuer"] == f"{base}/{issuer}/v2.0"
    assert document["authorization_endpoint"] == f"{base}/{path}/oauth2/v2.0/authorize"
    assert document["jwks_uri"] == f"{base}/{path}/discovery/v2.0/keys"
    assert document["end_session_endpoint"] == f"{base}/{path}/oauth2/v2.0/logout"
    assert document["userinfo_endpoint"] == f"{base}/oidc/userinfo"


def test_an_unknown_tenant_has_none(walk: Walk) -> None:
    walk.authority = "nobody.example"
    assert walk.discover()["error"] == "invalid_tenant"


def test_discovery_neither_advertises_pkce_nor_the_iss_parameter(walk: Walk) -> None:
    absent = {"code_challenge_methods_supported", "authorization_response_iss_parameter_supported"}
    assert absent.isdisjoint(walk.discover())


def test_keys_name_an_issuer_and_no_algorithm(walk: Walk) -> None:
    keys, base = walk.browser.get(walk.standin.url("jwks", "common")).json()["keys"], walk.standin.base_url
    assert not any("alg" in key for key in keys)
    assert all(key["kid"] == key["x5t"] for key in keys)
    template, personal = f"{base}/{{tenantid}}/v2.0", f"{base}/{CONSUMERS}/v2.0"
    assert [key["issuer"] for key in keys] == [template, template, personal]


def test_a_work_account(walk: Walk) -> None:
    claims = claims_of(walk, ADA)
    assert claims["iss"] == f"{walk.standin.base_url}/{EXAMPLE}/v2.0"
    assert (claims["tid"], claims["oid"]) == (EXAMPLE, ADA.object_id)
    assert (claims["email"], claims["xms_edov"]) == ("ada@example.com", True)
    assert (claims["ver"], claims["preferred_username"]) == ("2.0", "ada@example.com")
    assert claims["exp"] == claims["iat"] + 3900 == claims["nbf"] + 3900
    assert {"email_verified", "at_hash", "azp"}.isdisjoint(claims)


@pytest.mark.parametrize("spelling", [True, 1, "1", "true", False, "0"])
def test_xms_edov_is_spelled_as_told(walk: Walk, spelling: object) -> None:
    claims = claims_of(walk, work_account("Ada", "ada@example.com", edov=spelling))
    assert (claims["xms_edov"], type(claims["xms_edov"])) == (spelling, type(spelling))


def test_without_xms_edov_nothing_is_said_about_the_address(walk: Walk) -> None:
    assert "xms_edov" not in claims_of(walk, work_account("Ada", "ada@example.com"))


def test_a_personal_account(walk: Walk) -> None:
    claims = claims_of(walk, MARGARET)
    assert claims["iss"] == f"{walk.standin.base_url}/{CONSUMERS}/v2.0"
    assert (claims["tid"], claims["xms_edov"]) == (CONSUMERS, "1")
    assert re.fullmatch(r"0{8}-0{4}-0{4}-[0-9a-f]{4}-[0-9a-f]{12}", claims["oid"])
    assert claims["exp"] - claims["iat"] == 86700


def test_personal_accounts_are_signed_for_with_a_key_of_their_own(walk: Walk) -> None:
    walk.standin.next_person = MARGARET
    kid = walk.verified(walk.tokens()["id_token"]).header["kid"]
    key = next(key for key in walk.standin.keys.every if key.kid == kid)
    assert key.members["issuer"] == f"{walk.standin.base_url}/{CONSUMERS}/v2.0"


def test_oid_comes_only_with_the_profile_scope(walk: Walk) -> None:
    claims = claims_of(walk, ADA, scope="openid email")
    assert {"oid", "name"}.isdisjoint(claims)
    assert claims["tid"] == EXAMPLE


def test_email_comes_only_with_the_email_scope(walk: Walk) -> None:
    assert {"email", "xms_edov"}.isdisjoint(claims_of(walk, ADA, scope="openid profile"))


def test_sub_is_another_for_every_client_and_oid_is_not(walk: Walk) -> None:
    first = claims_of(walk, ADA)
    walk.client = Client("other", CLIENT.secret, (CALLBACK,))
    walk.standin.clients.append(walk.client)
    walk.verifier += "2"
    second = claims_of(walk, ADA)
    assert first["sub"] != second["sub"]
    assert first["oid"] == second["oid"]


def test_a_guest_is_somebody_else_there(walk: Walk) -> None:
    claims = claims_of(walk, guest(ADA, CONTOSO))
    assert claims["tid"] == CONTOSO
    assert claims["oid"] != ADA.object_id
    assert (claims["acct"], claims["idp"]) == (1, f"{walk.standin.base_url}/{EXAMPLE}/v2.0")


def test_groups_and_roles_are_told(walk: Walk) -> None:
    claims = claims_of(walk, work_account("Ada", "ada@example.com", groups=("g1", "g2"), roles=("Editor",)))
    assert (claims["groups"], claims["roles"]) == (["g1", "g2"], ["Editor"])


def test_too_many_groups_are_only_pointed_at(walk: Walk) -> None:
    claims = claims_of(walk, work_account("Ada", "ada@example.com", groups=tuple(map(str, range(201)))))
    assert "groups" not in claims
    assert claims["_claim_names"] == {"groups": "src1"}
    assert claims["_claim_sources"]["src1"]["endpoint"].endswith("/getMemberObjects")


@pytest.mark.parametrize(
    ("authority", "names"),
    [
        ("common", {"Ada", "Katherine", "Margaret"}),
        ("organizations", {"Ada", "Katherine"}),
        ("consumers", {"Margaret"}),
        ("example.com", {"Ada"}),
        (CONTOSO, {"Katherine"}),
    ],
)
def test_who_can_sign_in_depends_on_the_authority(walk: Walk, authority: str, names: set[str]) -> None:
    assert {person.given_name for person in walk.standin.people_at(authority)} == names


def test_whoever_cannot_sign_in_at_an_authority_cannot_be_chosen(walk: Walk) -> None:
    walk.authority = "consumers"
    assert walk.choose(person=ADA.subject).status_code == 400


@pytest.mark.parametrize(
    ("authority", "tenant"), [("common", EXAMPLE), ("consumers", CONSUMERS), ("contoso.example", CONTOSO)]
)
def test_an_invented_person_belongs_to_the_tenant_asked(walk: Walk, authority: str, tenant: str) -> None:
    walk.authority = authority
    answer = answered(walk.choose(name="New One", email="new@example.com", verified="true"))
    claims = walk.verified(walk.redeem(answer["code"]).json()["id_token"]).claims
    assert (claims["tid"], claims["email"], "xms_edov" in claims) == (tenant, "new@example.com", True)


def test_an_invented_person_with_ones_address_is_somebody_else(walk: Walk) -> None:
    invented = walk.standin.invent("Mallory", "ada@example.com", False, "common")
    assert (invented.tenant, invented.edov) == (EXAMPLE, None)
    assert invented.object_id != ADA.object_id


def test_the_answer_carries_session_state_and_no_issuer(walk: Walk) -> None:
    assert set(answered(walk.authorize())) == {"code", "state", "session_state"}


def test_form_post_works(walk: Walk) -> None:
    assert 'name="session_state"' in walk.authorize(response_mode="form_post").text


def test_pkce_is_enforced_when_sent(walk: Walk) -> None:
    answer = walk.redeem(walk.code(), code_verifier="w" * 43).json()
    assert answer["error"] == "invalid_grant"
    assert answer["error_description"].startswith("AADSTS501481: ")


def test_errors_name_a_number_and_a_trace(walk: Walk) -> None:
    code = walk.code()
    walk.redeem(code)
    text = walk.redeem(code).json()["error_description"]
    assert text.startswith("AADSTS54005: ")
    assert "Trace ID: " in text


def test_a_wrong_secret_is_refused(walk: Walk) -> None:
    response = walk.redeem(walk.code(), secret="wrong")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_userinfo_names_the_same_sub_and_no_oid(walk: Walk) -> None:
    tokens = walk.tokens()
    userinfo = walk.userinfo(tokens["access_token"]).json()
    assert userinfo["sub"] == walk.verified(tokens["id_token"]).claims["sub"]
    assert {"oid", "email_verified"}.isdisjoint(userinfo)


def test_signing_out_leads_back_to_a_registered_redirect_uri(walk: Walk) -> None:
    walk.authorize()
    params = {"post_logout_redirect_uri": CALLBACK, "state": "s"}
    response = walk.browser.get(walk.standin.url("logout", "common"), params=params)
    assert (response.status_code, response.headers["location"]) == (302, CALLBACK + "?state=s")
    assert answered(walk.authorize(prompt="none"))["error"] == "login_required"


def test_signing_out_leads_nowhere_else(walk: Walk) -> None:
    params = {"post_logout_redirect_uri": "https://elsewhere.example/"}
    response = walk.browser.get(walk.standin.url("logout", "common"), params=params)
    assert response.status_code == 200
    assert "signed out" in response.text


def test_ada_is_known_to_both_stand_ins_and_nobody_else_is() -> None:
    google = {person.email: person for person in google_stand_in.people()}
    microsoft = {person.email: person for person in directory.default_people()}
    assert set(google) & set(microsoft) == {"ada@example.com"}
    assert google["ada@example.com"].email_verified
    assert microsoft["ada@example.com"].edov is True
