"""Microsoft's tokens, Google's and others', beside the gateway's: what passes, and what each refusal says to change."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.resource import (
    B2C,
    AccessTokens,
    Entra,
    ExternalId,
    GoogleIdTokens,
    InvalidToken,
    OpenID,
    Principal,
    Verifier,
)

from .issuing import (
    API,
    B2C_ISS,
    B2C_TFP,
    CLIENT,
    FLOW,
    ISSUER,
    KEY,
    NOW,
    OTHER_TENANT,
    RSA,
    TENANT,
    Clock,
    Published,
    b2c_world,
    entra,
    entra_token,
    entra_world,
    ours,
    token,
)

V1 = {"ver": "1.0", "iss": f"https://sts.windows.net/{TENANT}/", "azp": None, "azpacr": None, "appid": "caller"}
OTHER = {"iss": f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0", "tid": OTHER_TENANT}
APP = {"scp": None, "roles": ["Jobs.Run"], "idtyp": "app", "sub": "service", "oid": "service"}


def ask(issuer: Any, claims: dict[str, Any], world: Published | None = None, **header: Any) -> Principal:
    made = Verifier(issuer, clock=Clock(), transport=(world or entra_world()).transport)
    return made.verify_sync(entra_token(claims, **header))


def refusal(issuer: Any, claims: dict[str, Any], world: Published | None = None, **header: Any) -> str:
    with pytest.raises(InvalidToken) as caught:
        ask(issuer, claims, world, **header)
    return caught.value.explanation


def test_a_person_of_entra() -> None:
    principal = ask(Entra(TENANT, CLIENT), entra(roles=["Editor"], groups=["g"]))
    assert (principal.subject, principal.is_app) == ("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb", False)
    assert (principal.scopes, principal.roles) == ({"Orders.Read", "access_as_user"}, {"Editor"})
    assert principal.client_id == "caller"


@pytest.mark.parametrize("aud", [CLIENT, f"api://{CLIENT}", f"api://{CLIENT}/", "https://orders.contoso.example"])
def test_version_1_means_the_same_person(aud: str) -> None:
    issuer = Entra(TENANT, CLIENT, audiences=["https://orders.contoso.example"])
    principal = ask(issuer, entra(**V1, aud=aud))
    assert principal.issuer == entra()["iss"]
    assert principal.subject == ask(issuer, entra()).subject


def test_a_daemon_is_an_application() -> None:
    principal = ask(Entra(TENANT, CLIENT), entra(**APP))
    assert (principal.is_app, principal.roles, principal.scopes) == (True, {"Jobs.Run"}, set())


def test_several_tenants_each_with_their_own_keys() -> None:
    world = entra_world()
    issuer = Entra([TENANT, OTHER_TENANT], CLIENT)
    assert ask(issuer, entra(), world).issuer != ask(issuer, entra(**OTHER), world).issuer
    assert any(OTHER_TENANT in url for url in world.asked)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("another tenant", OTHER, "is it the tenant"),
    ("a tenant that is only said", {"tid": OTHER_TENANT}, "tid"),
    ("no tenant", {"tid": None}, "tid"),
    ("another version than iss", {"ver": "1.0"}, "requestedAccessTokenVersion"),
    ("no version", {"ver": None}, "requestedAccessTokenVersion"),
    ("another audience", {"aud": "api://other"}, "audience"),
    ("Graph", {"aud": "https://graph.microsoft.com"}, f"api://{CLIENT}/<scope>"),
    ("Graph by id", {"aud": "00000003-0000-0000-c000-000000000000"}, "Microsoft Graph"),
    ("expired", {"exp": NOW - 1}, "expired"),
    ("an ID token", {"nonce": "n", "scp": None, "azp": None}, "ID token"),
    ("an ID token with roles", {"scp": None, "azp": None, "roles": ["Editor"]}, "ID token"),
    ("an ID token of the hybrid flow", {"c_hash": "x"}, "ID token"),
    ("neither scp nor roles", {"scp": None}, "expose a scope"),
    ("scp of an application", {"idtyp": "app"}, "contradict"),
    ("roles of a person without scp", {"scp": None, "roles": ["x"], "idtyp": "user"}, "contradict"),
    ("a guest by acct", {"acct": 1}, "guests=True"),
    ("a guest by idp", {"idp": f"https://sts.windows.net/{OTHER_TENANT}/"}, "guests=True"),
    ("a guest with a personal account", {"idp": "live.com"}, "guests=True"),
    ("a client that is not listed", {"azp": "stranger"}, "clients"),
]


@pytest.mark.parametrize(("changed", "hint"), [rest for _, *rest in REFUSED], ids=[name for name, *_ in REFUSED])
def test_what_entra_tokens_are_refused_for(changed: dict[str, Any], hint: str) -> None:
    assert hint in refusal(Entra(TENANT, CLIENT, clients=["caller"]), entra(**changed))


def test_a_version_that_is_not_wanted() -> None:
    assert "1.0" in refusal(Entra(TENANT, CLIENT, versions=["2.0"]), entra(**V1, aud=f"api://{CLIENT}"))


def test_graph_tokens_are_recognised_by_their_header() -> None:
    assert "Microsoft Graph" in refusal(Entra(TENANT, CLIENT), entra(), nonce="x")


def test_a_key_of_another_tenant_signs_for_nobody_here() -> None:
    world = entra_world()
    base = f"https://login.microsoftonline.com/{TENANT}/v2.0"
    world.publish(base, ("m1", RSA), issuer=f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0")
    assert "another tenant" in refusal(Entra(TENANT, CLIENT), entra(), world)


@pytest.mark.parametrize("changed", [{"acct": 0}, {"idp": f"https://sts.windows.net/{TENANT}/"}])
def test_who_is_at_home_is_no_guest(changed: dict[str, Any]) -> None:
    assert ask(Entra(TENANT, CLIENT), entra(**changed))


def test_guests_by_policy() -> None:
    assert ask(Entra(TENANT, CLIENT, guests=True), entra(acct=1, idp="live.com"))


def test_a_tenant_is_named_by_its_id() -> None:
    with pytest.raises(ValueError, match="by its id"):
        Entra("contoso.onmicrosoft.com", CLIENT)


@pytest.mark.parametrize("iss", [B2C_ISS, B2C_TFP, B2C_TFP.lower()])
def test_a_person_of_b2c(iss: str) -> None:
    issuer = B2C("contoso", TENANT, "B2C_1_susi", CLIENT)
    principal = ask(issuer, entra(**FLOW | {"iss": iss, "tfp": "b2c_1_SUSI"}), b2c_world(iss))
    assert (principal.issuer, principal.scopes) == (B2C_ISS, {"Orders.Read", "access_as_user"})


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"tfp": "B2C_1_edit"}, "user flow"),
        ({"tfp": None}, "user flow"),
        ({"tfp": "B2C_1_reset"}, "user flow"),
        ({"aud": "other"}, "audience"),
        ({"scp": None, "azp": None}, "ID token"),
        ({"iss": f"https://contoso.b2clogin.com/{OTHER_TENANT}/v2.0/"}, "issuer"),
        ({"iss": f"https://contoso.b2clogin.com/tfp/{TENANT}/B2C_1_edit/v2.0/"}, "issuer"),
    ],
)
def test_what_b2c_tokens_are_refused_for(changed: dict[str, Any], hint: str) -> None:
    assert hint in refusal(B2C("contoso", TENANT, "B2C_1_susi", CLIENT), entra(**FLOW | changed), b2c_world())


def test_external_id() -> None:
    iss = f"https://{TENANT}.ciamlogin.com/{TENANT}/v2.0"
    world = Published()
    where = f"https://contoso.ciamlogin.com/{TENANT}/v2.0/.well-known/openid-configuration"
    world.publish(iss, ("m1", RSA), metadata=where)
    issuer = ExternalId(TENANT, CLIENT, subdomain="contoso")
    assert ask(issuer, entra(iss=iss), world).issuer == iss
    assert "issuer" in refusal(issuer, entra(), world)


def google_world() -> Published:
    world = Published()
    world.publish("https://accounts.google.com", ("m1", RSA))
    return world


def google(**changed: Any) -> dict[str, Any]:
    claims = {"iss": "https://accounts.google.com", "aud": "web", "azp": "web", "sub": "11", "exp": NOW + 3600}
    return claims | {"iat": NOW, "hd": "example.com"} | changed


@pytest.mark.parametrize("iss", ["https://accounts.google.com", "accounts.google.com"])
def test_ids_of_google(iss: str) -> None:
    principal = ask(GoogleIdTokens(["web", "ios"]), google(iss=iss, azp="ios"), google_world())
    assert (principal.issuer, principal.subject) == ("https://accounts.google.com", "11")


@pytest.mark.parametrize("changed", [{"aud": "other"}, {"azp": "other"}, {"hd": "evil.example"}, {"exp": NOW}])
def test_ids_of_google_for_others(changed: dict[str, Any]) -> None:
    assert refusal(GoogleIdTokens("web", hosted_domains=["example.com"]), google(**changed), google_world())


def test_an_issuer_with_habits_of_its_own() -> None:
    world = Published()
    world.publish("https://kc.example.com/realms/main", ("m1", RSA))
    issuer = OpenID("https://kc.example.com/realms/main", API, types=["JWT"], roles_claim="realm_access.roles")
    claims = ours(iss=issuer.issuer, roles=None, realm_access={"roles": ["boss"]}, jti=None, typ="Bearer")
    assert ask(issuer, claims, world).roles == {"boss"}
    for changed in ({"nonce": "n"}, {"typ": "ID"}, {"typ": "Refresh"}):
        assert "ID token" in refusal(issuer, claims | changed, world)
    assert "typ" in refusal(OpenID(issuer.issuer, API), claims, world)


def test_several_issuers_side_by_side_keep_their_keys_apart() -> None:
    world = entra_world()
    world.publish(ISSUER, ("k1", KEY))
    verifier = Verifier([AccessTokens(ISSUER, API), Entra(TENANT, CLIENT)], clock=Clock(), transport=world.transport)
    assert verifier.verify_sync(token()).issuer == ISSUER
    assert verifier.verify_sync(entra_token()).claims["tid"] == TENANT
    crossed = [token(ours(), key=RSA, alg="RS256", kid="m1"), entra_token(entra(), key=KEY, alg="ES256", kid="k1")]
    for one in crossed:
        with pytest.raises(InvalidToken):
            verifier.verify_sync(one)
