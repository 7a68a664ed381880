"""The modules of the Config profile: discovery, the key set, keys that change."""

from __future__ import annotations

import secrets

import pytest
from suite import Conduct, assert_nobody_came_in, assert_rejected, assert_signed_in

from gateway.testing import Behaviour
from gateway.testing.behaviour import append, put, unsigned
from gateway.testing.keys import generic_keys

by_redirect_and_posted = pytest.mark.parametrize("posted", [False, True], ids=["redirect", "posted"])


def test_oidcc_client_test_discovery_openid_config(conduct: Conduct) -> None:
    run = conduct()
    assert run.start().headers["location"].startswith(run.standin.url("authorize"))
    assert run.calls()[0] == "discovery"


def test_oidcc_client_test_discovery_jwks_uri_keys(conduct: Conduct) -> None:
    run = conduct(Behaviour(jwks_suffix=secrets.token_hex(5)))
    assert_signed_in(run, run.sign_in())
    calls = run.calls()
    assert calls[0] == "discovery"
    assert calls.index("jwks") < calls.index("userinfo")
    assert {call.path for call in run.standin.called("jwks")} == {"/jwks" + run.standin.behaviour.jwks_suffix}


def test_oidcc_client_test_discovery_issuer_mismatch(conduct: Conduct) -> None:
    run = conduct(Behaviour(discovery=append("issuer", "INVALID")))
    response = run.start()
    assert (response.status_code, 'data-error="issuer_mismatch"' in response.text) == (503, True)
    assert "location" not in response.headers
    assert set(run.calls()) == {"discovery"}


def test_a_posted_token_is_not_taken_under_another_issuer(conduct: Conduct) -> None:
    run = conduct(Behaviour(discovery=append("issuer", "INVALID")), posted=True)
    outcome = run.sign_in()
    assert (outcome.response.status_code, outcome.error) == (503, "issuer_mismatch")
    assert_nobody_came_in(run)


def test_a_slash_more_or_less_is_the_same_issuer(conduct: Conduct) -> None:
    run = conduct(Behaviour(discovery=lambda document: {**document, "issuer": document["issuer"].rstrip("/")}))
    assert run.start().status_code == 302


@by_redirect_and_posted
def test_oidcc_client_test_idtoken_sig_none(conduct: Conduct, posted: bool) -> None:
    """Also a module of the Config profile: discovery lists `none`."""
    run = conduct(
        Behaviour(discovery=put(id_token_signing_alg_values_supported=["none"]), id_token_compact=unsigned),
        posted=posted,
    )
    assert_rejected(run, run.sign_in(), "invalid_id_token")


@by_redirect_and_posted
def test_oidcc_client_test_signing_key_rotation_just_before_signing(conduct: Conduct, posted: bool) -> None:
    run = conduct(Behaviour(rotate_before_signing=True), posted=posted)
    assert_signed_in(run, run.sign_in())
    assert len(run.standin.called("jwks")) == (1 if posted else 2)  # a redirect looks at the keys when it starts


@by_redirect_and_posted
def test_oidcc_client_test_signing_key_rotation(conduct: Conduct, posted: bool) -> None:
    run = conduct(posted=posted)
    assert_signed_in(run, run.sign_in())
    run.standin.rotate_keys()
    assert run.sign_in().response.status_code == 303
    assert len(run.standin.called("userinfo")) == (0 if posted else 2)
    assert len(run.standin.called("jwks")) == 2


@by_redirect_and_posted
def test_keys_without_names_may_change_too(conduct: Conduct, posted: bool) -> None:
    """Not in the suite: without `kid` a change shows only in a signature that no known key made."""
    run = conduct(
        Behaviour(keys=lambda: generic_keys(rsa_keys=1, kids=False), rotate_before_signing=True), posted=posted
    )
    assert_signed_in(run, run.sign_in())
