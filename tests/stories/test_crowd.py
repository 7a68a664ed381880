"""A crowd comes back from its provider at one moment, over HTTP: everybody gets their own session, also next to those
who hang up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import Barrier

import httpx2
import pytest
from listening import listen

from harness import World
from harness import world as make_world

PEOPLE, HASTY = 32, 16  # who stay for their answer, who hang up before

pytestmark = pytest.mark.postgres  # elsewhere everybody comes alone


@dataclass(frozen=True)
class Person:
    """Somebody with a browser, who comes back from the provider by the address `callback`."""

    browser: httpx2.Client
    email: str
    callback: str


@pytest.fixture
def place(postgres_url: str) -> Iterator[World]:
    with make_world(postgres_url) as made:
        ada = made.google.people[0]
        made.google.people = [
            replace(ada, subject=f"1{number}", email=f"person-{number}@example.net") for number in range(PEOPLE + HASTY)
        ]
        yield made


def returning(place: World, email: str) -> Person:
    """Somebody who has been here once, and is on the way back with another browser."""
    first, browser = place.gateway.browser(), place.gateway.browser()
    assert place.sign_in(first, "google", login_hint=email).status_code == 303
    return Person(browser, email, place.start(browser, "google", login_hint=email))


def arrive(person: Person) -> tuple[int, str]:
    """The answer, and whose session it is."""
    answer = person.browser.get(person.callback)
    return answer.status_code, person.browser.get("/auth/me").json()["email"]


def hang_up(person: Person, after: float) -> None:
    """Ask for the callback, and be gone so many seconds later."""
    url = httpx2.URL(person.callback)
    cookies = "; ".join(f"{name}={value}" for name, value in person.browser.cookies.items())
    head = f"GET {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nCookie: {cookies}\r\n"
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(f"{head}Accept: text/html\r\n\r\n".encode())
        time.sleep(after)


def test_everybody_gets_their_own_session(place: World) -> None:
    commits: list[object] = []
    with ThreadPoolExecutor(PEOPLE + HASTY) as pool:
        everybody = list(pool.map(partial(returning, place), [person.email for person in place.google.people]))
        together = Barrier(len(everybody))
        end = listen(place.gateway.app.parts.database, "commit", commits.append)

        def come(number: int) -> tuple[int, str] | None:
            together.wait(20)
            if number < PEOPLE:
                return arrive(everybody[number])
            return hang_up(everybody[number], after=(number - PEOPLE) * 0.004)

        answers = list(pool.map(come, range(len(everybody))))
        end()
    assert answers[:PEOPLE] == [(303, person.email) for person in everybody[:PEOPLE]]
    signed_in = sessions_of(place)
    assert signed_in.keys() == {person.email for person in everybody}
    assert [signed_in[person.email] for person in everybody[:PEOPLE]] == [2] * PEOPLE
    assert {signed_in[person.email] for person in everybody[PEOPLE:]} <= {1, 2}
    assert len(commits) < PEOPLE, "nobody has come in company"
    assert place.all("SELECT 1 FROM sessions WHERE ended_at IS NOT NULL") == []
    for person in everybody[PEOPLE:]:  # who hung up can come again
        assert place.sign_in(person.browser, "google", login_hint=person.email).status_code == 303


def sessions_of(place: World) -> dict[str, int]:
    """How many sessions each address has, by the identity that opened them; an identity of another's account fails."""
    rows = place.all("""
        SELECT identities.email, count(*), bool_and(identities.account_id = sessions.account_id)
        FROM sessions JOIN identities ON identities.id = sessions.identity_id GROUP BY identities.email
    """)
    assert all(own for _, _, own in rows)
    return {email: count for email, count, _ in rows}
