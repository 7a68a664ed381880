"""A provider in trouble: its own sign-in says so within five seconds, nobody comes in, nobody else is affected."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from suite import NAME, SESSION_COOKIES, Conduct, Run, assert_nobody_came_in, assert_signed_in, error_of

from gateway.testing import Behaviour, Client, StandIn, answers, serve
from gateway.testing.behaviour import Answer, put

from harness import free_port

LIMIT = 5  # seconds a person waits at most before being told; a request that takes longer raises

NONSENSE: dict[str, Answer] = {
    "html": answers.html(),
    "an error page": answers.html(502),
    "an empty object": answers.json({}),
    "50 MB": answers.flood(50),
    "a redirect loop": answers.redirect_loop(),
    "silence": answers.silence(),
}
every_nonsense = pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())


def troubled(conduct: Conduct, endpoint: str, answer: Answer, **options: object) -> Run:
    run = conduct(Behaviour(answers={endpoint: answer}), **options)
    run.browser.timeout = LIMIT
    return run


@every_nonsense
def test_nonsense_for_a_discovery_document(conduct: Conduct, answer: Answer) -> None:
    run = troubled(conduct, "discovery", answer)
    started = run.start()
    assert (started.status_code, error_of(started)) == (503, "provider_unavailable")
    assert set(run.calls()) == {"discovery"}


def test_nobody_at_the_address(conduct: Conduct) -> None:
    run = conduct(discovery_url=f"http://127.0.0.1:{free_port()}/.well-known/openid-configuration")
    run.browser.timeout = LIMIT
    assert error_of(run.start()) == "provider_unavailable"


@every_nonsense
def test_nonsense_for_a_key_set(conduct: Conduct, answer: Answer) -> None:
    run = troubled(conduct, "jwks", answer)
    outcome = run.sign_in()
    assert (outcome.response.status_code, outcome.error) == (503, "provider_unavailable")
    assert_nobody_came_in(run)
    assert run.standin.called("userinfo") == []


def test_an_empty_key_set(conduct: Conduct) -> None:
    run = conduct(Behaviour(jwks=put(keys=[])))
    outcome = run.sign_in()
    assert (outcome.response.status_code, outcome.error) == (503, "provider_unavailable")
    assert_nobody_came_in(run)


@pytest.mark.parametrize(
    ("nonsense", "error"),
    [
        ("html", "provider_error"),
        ("an error page", "provider_unavailable"),
        ("an empty object", "provider_error"),
        ("50 MB", "provider_error"),
        ("a redirect loop", "provider_error"),
        ("silence", "provider_unavailable"),
    ],
)
def test_nonsense_from_the_token_endpoint(conduct: Conduct, nonsense: str, error: str) -> None:
    run = troubled(conduct, "token", NONSENSE[nonsense])
    outcome = run.sign_in()
    assert (outcome.error, outcome.response.status_code) == (error, 503 if error == "provider_unavailable" else 400)
    assert_nobody_came_in(run)
    assert len(run.standin.called("token")) == 1
    assert error_of(outcome.again()) == "attempt_used"


@every_nonsense
def test_nonsense_from_userinfo_where_it_is_needed(conduct: Conduct, answer: Answer) -> None:
    run = troubled(conduct, "userinfo", answer)
    assert run.sign_in().error in ("provider_error", "provider_unavailable", "subject_mismatch")
    assert_nobody_came_in(run)


@pytest.mark.parametrize("nonsense", ["html", "an error page", "50 MB", "a redirect loop", "silence"])
def test_nonsense_from_userinfo_where_it_is_not(conduct: Conduct, nonsense: str) -> None:
    run = troubled(conduct, "userinfo", NONSENSE[nonsense], userinfo="missing")
    assert run.sign_in().response.status_code == 303


@every_nonsense
def test_one_providers_trouble_is_nobody_elses(conduct: Conduct, answer: Answer) -> None:
    run = troubled(conduct, "discovery", answer, beside=StandIn())
    with ThreadPoolExecutor() as pool, run.gateway.browser() as waiting:
        stuck = pool.submit(waiting.get, f"/auth/{NAME}/login")
        assert run.sign_in("beside").response.status_code == 303
        assert run.browser.get("/auth/providers").status_code == 200
        assert run.browser.get("/health/ready").status_code == 200
        assert error_of(stuck.result(LIMIT)) == "provider_unavailable"


def test_a_provider_that_goes_down_during_a_sign_in(conduct: Conduct) -> None:
    run = conduct()
    answer = run.to_provider(run.start())
    run.provider.close()
    response = answer.deliver(run.browser)
    assert (response.status_code, error_of(response)) == (503, "provider_unavailable")
    assert_nobody_came_in(run)


def test_a_provider_that_comes_back(conduct: Conduct) -> None:
    run = conduct()
    answer = run.to_provider(run.start())
    run.provider.close()
    answer.deliver(run.browser)
    with run.standin.serve(port=int(run.standin.base_url.rpartition(":")[2])):
        assert run.sign_in().response.status_code == 303


HOSTILE = {
    "verify": False,
    "proxy": "http://127.0.0.1:9",
    "timeout": 0.0001,
    "follow_redirects": True,
    "trust_env": True,
    "headers": {"X-Evil": "1"},
    "scope": "openid everything",
    "client_id": "somebody-else",
    "client_secret": "guessed",
    "code_challenge_method": "plain",
    "token_endpoint_auth_method": "none",
    "redirect_uri": "https://evil.example/",
    "nonce": "chosen",
    "transport": "none",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_members_of_a_discovery_document_change_nothing(conduct: Conduct, name: str) -> None:
    run = conduct(Behaviour(discovery=put(**{name: HOSTILE[name]})))
    assert_signed_in(run, run.sign_in())
    asked = run.standin.called("authorize")[0].params
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert asked["scope"] == "openid email profile"
    assert "x-evil" not in run.standin.called("token")[0].headers


def test_a_discovery_document_cannot_switch_certificates_off(conduct: Conduct, tmp_path: Path) -> None:
    """`verify: false`, and a token endpoint with a certificate that nobody vouches for."""
    tls = untrusted_certificate(tmp_path)
    with serve.bound() as (listener, url):
        secure = url.replace("http://", "https://")
        run = conduct(Behaviour(discovery=put(verify=False, token_endpoint=f"{secure}/token")))
        with serve.running(run.standin.app, listener, tls):
            outcome = run.sign_in()
    assert (outcome.response.status_code, outcome.error) == (503, "provider_unavailable")
    assert run.standin.called("token") == []


def untrusted_certificate(folder: Path) -> tuple[str, str]:
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return str(certificate), str(key)


def test_a_refused_sign_in_leaves_the_next_one_alone(conduct: Conduct) -> None:
    run = conduct(Behaviour(answers={"token": answers.json({"error": "invalid_grant"}, 400)}))
    assert run.sign_in().error == "provider_error"
    run.standin.behaviour = Behaviour()
    assert run.sign_in().response.status_code == 303
    assert set(run.browser.cookies) >= SESSION_COOKIES


def test_a_provider_that_does_not_know_us(conduct: Conduct) -> None:
    run = conduct()
    run.standin.clients[:] = [Client(run.standin.clients[0].id, "another secret", run.standin.clients[0].redirect_uris)]
    assert run.sign_in().error == "provider_error"
    assert_nobody_came_in(run)
