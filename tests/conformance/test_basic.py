"""The modules of the Basic and Form Post profiles, under the names they have in the OpenID conformance suite."""

from __future__ import annotations

import pytest
from suite import CLIENT_ID, Conduct, assert_rejected, assert_signed_in

from gateway.testing import Behaviour
from gateway.testing.behaviour import Edit, append, break_signature, chain, drop, put, unsigned
from gateway.testing.keys import generic_keys

HOSTILE = "id: 1 %+&=é"  # every character that separates something somewhere


def algs(*names: str) -> Edit:
    return put(id_token_signing_alg_values_supported=list(names))


def test_oidcc_client_test(everywhere: Conduct) -> None:
    run = everywhere()
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_nonce_invalid(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=append("nonce")))
    assert_rejected(run, run.sign_in(), "nonce_mismatch")


def test_oidcc_client_test_client_secret_basic(module: Conduct) -> None:
    run = module(client_id=HOSTILE, client={"auth_method": "client_secret_basic"})
    assert_signed_in(run, run.sign_in())
    assert run.standin.called("token")[0].headers["authorization"].startswith("Basic ")


def test_oidcc_client_test_scope_userinfo_claims(module: Conduct) -> None:
    run = module(scopes=["openid", "profile", "email"])
    assert_signed_in(run, run.sign_in())
    assert set(run.standin.called("authorize")[0].params["scope"].split()) == {"openid", "profile", "email"}
    assert run.read("SELECT name, email, email_verified FROM identities") == [
        ("Demo T. User", "user@example.com", False)
    ]


def test_oidcc_client_test_kid_absent_single_jwks(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(keys=lambda: generic_keys(rsa_keys=1, p256=1, kids=False)))
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_kid_absent_multiple_jwks(everywhere: Conduct) -> None:
    """The suite leaves open whether to try the candidates; we do."""
    several = generic_keys(rsa_keys=3, p256=3, secp256k1=3, ed25519=3, kids=False)
    run = everywhere(Behaviour(keys=lambda: several))
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_missing_iat(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=drop("iat")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_missing_aud(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=drop("aud")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_invalid_aud(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=append("aud")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_invalid_aud_in_spite_of_azp(everywhere: Conduct) -> None:
    """Not in the suite: `azp` does not heal a foreign audience."""
    run = everywhere(Behaviour(id_token=put(aud=[CLIENT_ID, "another"], azp=CLIENT_ID)))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_idtoken_sig_none(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token_compact=unsigned))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_idtoken_sig_rs256(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(discovery=algs("RS256")))
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_missing_sub(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=drop("sub")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_invalid_sig_rs256(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(discovery=algs("RS256"), id_token_compact=break_signature))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_invalid_iss(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(id_token=append("iss")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


@pytest.mark.parametrize("userinfo", ["always", "missing"])
def test_oidcc_client_test_userinfo_invalid_sub(module: Conduct, userinfo: str) -> None:
    run = module(Behaviour(userinfo=append("sub", "invalid")), userinfo=userinfo)
    assert_rejected(run, run.sign_in(), "subject_mismatch", userinfo=1)


def test_oidcc_client_test_userinfo_bearer_header(module: Conduct) -> None:
    run = module()
    assert_signed_in(run, run.sign_in())
    call = run.standin.called("userinfo")[0]
    assert call.headers["authorization"].startswith("Bearer ")
    assert call.params == {}


def test_oidcc_client_test_form_post_error(conduct: Conduct) -> None:
    run = conduct(response_mode="form_post", authorize_params={"max_age": "0"})
    outcome = run.sign_in(prompt="none")
    asked = run.standin.called("authorize")[0].params
    assert (asked["response_mode"], asked["max_age"], asked["prompt"]) == ("form_post", "0", "none")
    assert_rejected(run, outcome, "login_required")
    assert run.standin.called("token") == []


def test_oidcc_client_test_invalid_sig_hs256(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(discovery=algs("HS256"), signing_alg="HS256", id_token_compact=break_signature))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_sig_hs256(everywhere: Conduct) -> None:
    """Not in the suite: a good signature with the client's secret does not count either."""
    run = everywhere(Behaviour(discovery=algs("HS256"), signing_alg="HS256"))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


@pytest.mark.parametrize("pinned", ["RS256", "ES256"])
def test_oidcc_client_test_invalid_sig_es256(everywhere: Conduct, pinned: str) -> None:
    behaviour = Behaviour(discovery=algs("ES256"), signing_alg="ES256", id_token_compact=break_signature)
    run = everywhere(behaviour, id_token_algs=[pinned])
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_sig_es256(everywhere: Conduct) -> None:
    """Not in the suite: a good signature counts only where the algorithm is the configured one."""
    run = everywhere(Behaviour(discovery=algs("ES256"), signing_alg="ES256"), id_token_algs=["ES256"])
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_sig_es256_where_rs256_is_registered(everywhere: Conduct) -> None:
    run = everywhere(Behaviour(signing_alg="ES256"))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_aggregated_claims(module: Conduct) -> None:
    """Claims under `alg: none` are neither believed nor a reason to fail."""
    claims = unsigned(".eyJlbWFpbCI6ICJldmlsQGV4YW1wbGUuY29tIn0.")  # {"email": "evil@example.com"}
    sources = put(_claim_names={"email": "src1", "address": "src1"}, _claim_sources={"src1": {"JWT": claims}})
    run = module(Behaviour(userinfo=chain(drop("email", "email_verified"), sources)))
    assert_signed_in(run, run.sign_in())
    assert run.read("SELECT email FROM identities") == [(None,)]


def test_oidcc_client_test_invalid_athash(module: Conduct) -> None:
    """In the suite a hybrid module; the rule holds at the token endpoint too."""
    run = module(Behaviour(id_token=append("at_hash")))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_oidcc_client_test_missing_athash(everywhere: Conduct) -> None:
    """In the suite a hybrid module; in the code flow a token without `at_hash` is legal."""
    run = everywhere(Behaviour(id_token=drop("at_hash")))
    assert_signed_in(run, run.sign_in())


def test_oidcc_client_test_userinfo_signed(module: Conduct) -> None:
    run = module(Behaviour(userinfo_signed=True))
    assert_signed_in(run, run.sign_in())
    assert run.read("SELECT email FROM identities") == [("user@example.com",)]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (put(aud="another"), "invalid_id_token"),
        (put(iss="https://elsewhere.example"), "provider_error"),
        (append("sub", "invalid"), "subject_mismatch"),
    ],
)
def test_oidcc_client_test_userinfo_signed_for_somebody_else(module: Conduct, wrong: Edit, error: str) -> None:
    run = module(Behaviour(userinfo_signed=True, userinfo=wrong))
    assert_rejected(run, run.sign_in(), error, userinfo=1)


@pytest.mark.parametrize("iss", ["https://elsewhere.example", ""])
def test_a_foreign_issuer_in_the_answer_costs_no_code(module: Conduct, iss: str) -> None:
    """RFC 9207 section 2.4: compared where it is present."""
    run = module(Behaviour(authorization_response=put(iss=iss)))
    assert_rejected(run, run.sign_in(), "issuer_mismatch")
    assert run.standin.called("token") == []


def test_a_promised_issuer_must_be_in_the_answer(module: Conduct) -> None:
    run = module(Behaviour(discovery=put(authorization_response_iss_parameter_supported=True)))
    assert_rejected(run, run.sign_in(), "issuer_mismatch")
    assert run.standin.called("token") == []
