"""What a gateway knows of a provider outlives the provider's bad days; keys that nobody knows cost it little."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from suite import Answer as Answered
from suite import Conduct, Run, Time, assert_rejected, assert_signed_in

from gateway.testing import Behaviour, StandIn, answers
from gateway.testing.behaviour import Answer, Document, append, put

TWO_HOURS, TWO_DAYS = 2 * 3600, 2 * 86400
HANDFUL = 6  # fetches of the key set, however many sign-ins ask for keys it does not have


@pytest.fixture
def known(conduct: Conduct) -> tuple[Run, Time]:
    """A provider that one person has signed in with, and the clock."""
    clock = Time()
    run = conduct(standin=StandIn(clock=clock), clock=clock)
    assert_signed_in(run, run.sign_in())
    return run, clock


def soon(true: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds: the gateway asks in the background."""
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def asked_again(run: Run, endpoint: str) -> bool:
    return soon(lambda: len(run.standin.called(endpoint)) >= 2)


@pytest.mark.parametrize("later", [TWO_HOURS, TWO_DAYS])
@pytest.mark.parametrize("answer", [answers.html(), answers.html(500), answers.flood(2), answers.redirect_loop()])
@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
def test_what_is_known_keeps_working(known: tuple[Run, Time], endpoint: str, answer: Answer, later: int) -> None:
    run, clock = known
    run.standin.behaviour = Behaviour(answers={endpoint: answer})
    clock.ahead = later
    assert run.sign_in().response.status_code == 303
    assert asked_again(run, endpoint)
    assert run.sign_in().response.status_code == 303


@pytest.mark.parametrize("endpoint", ["discovery", "jwks"])
def test_a_provider_that_falls_silent_holds_nobody_up(known: tuple[Run, Time], endpoint: str) -> None:
    run, clock = known
    run.browser.timeout = 2  # a request that waited for the silent one would take three
    run.standin.behaviour = Behaviour(answers={endpoint: answers.silence()})
    clock.ahead = TWO_HOURS
    assert run.sign_in().response.status_code == 303


@pytest.mark.parametrize("keys", [[], [{"kty": "RSA"}], ["nonsense"], None, [{"kty": "oct", "k": "AAAA"}]])
def test_an_empty_key_set_takes_no_good_key_away(known: tuple[Run, Time], keys: object) -> None:
    run, clock = known
    run.standin.behaviour = Behaviour(jwks=put(keys=keys))
    clock.ahead = TWO_HOURS
    assert run.sign_in().response.status_code == 303
    assert asked_again(run, "jwks")
    assert run.sign_in().response.status_code == 303


def test_a_key_missing_for_some_hours_still_counts(known: tuple[Run, Time]) -> None:
    """Replicas of a large provider disagree: the key that signs is not in every answer."""
    run, clock = known
    signer = run.standin.keys.signer("RS256").kid

    def without_signer(document: Document) -> Document:
        return {"keys": [key for key in document["keys"] if key["kid"] != signer]}

    run.standin.behaviour = Behaviour(jwks=without_signer)
    clock.ahead = TWO_HOURS
    assert run.sign_in().response.status_code == 303
    assert asked_again(run, "jwks")
    assert run.sign_in().response.status_code == 303


def test_a_document_that_names_another_issuer_ends_it(known: tuple[Run, Time]) -> None:
    """Not an outage: the provider says that it is somebody else."""
    run, clock = known
    run.standin.behaviour = Behaviour(discovery=append("issuer", "INVALID"))
    clock.ahead = TWO_HOURS
    assert soon(lambda: run.start().status_code == 503)


def unknown_kid(_: Document) -> Document:
    return {"alg": "RS256", "kid": str(uuid.uuid4())}


def test_a_flood_of_unknown_keys_causes_a_handful_of_fetches(conduct: Conduct) -> None:
    run = conduct(Behaviour(id_token_header=unknown_kid))
    outcomes = [run.sign_in() for _ in range(20)]
    assert {outcome.error for outcome in outcomes} == {"invalid_id_token"}
    assert len(run.standin.called("jwks")) <= HANDFUL
    run.standin.behaviour = Behaviour()
    assert run.sign_in().response.status_code == 303


def test_an_unknown_key_is_refused(conduct: Conduct) -> None:
    run = conduct(Behaviour(id_token_header=unknown_kid))
    assert_rejected(run, run.sign_in(), "invalid_id_token")


def test_keys_may_change_every_hour(known: tuple[Run, Time]) -> None:
    run, clock = known
    for hour in range(1, 6):
        clock.ahead = hour * 3600
        run.standin.rotate_keys()
        assert run.sign_in().response.status_code == 303


def test_many_callbacks_after_a_rotation_share_a_fetch(known: tuple[Run, Time]) -> None:
    run, _ = known
    run.standin.rotate_keys()
    brought = [run.to_provider(run.start()) for _ in range(6)]
    carried = dict(run.browser.cookies)

    def deliver(answer: Answered) -> int:
        with run.gateway.browser() as browser:
            browser.cookies.update(carried)
            return answer.deliver(browser).status_code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(deliver, brought)) == [303] * 6
    assert len(run.standin.called("jwks")) <= 3
