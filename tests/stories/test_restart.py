"""PostgreSQL restarts under a gateway: meanwhile there is 503 and nothing else, and afterwards everything goes on."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from backends import Cluster, cluster, pooled
from sqlalchemy.exc import OperationalError

from gateway import migrate

from harness import World
from harness import world as make_world
from processes import wait_until

pytestmark = pytest.mark.postgres

AT_ONCE = 4  # of each kind


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        asyncio.run(migrate.upgrade(made.url))
        yield made


@pytest.fixture(scope="module", params=["direct", "pooled"])
def world(request: pytest.FixtureRequest, server: Cluster) -> Iterator[World]:
    """A gateway that asks the server itself, or by way of PgBouncer, which has who asks wait for a moment."""
    way = pooled(server.url, 4, patience=3) if request.param == "pooled" else nullcontext(server.url)
    with way as url, make_world(url, account_linking="never") as made:  # the issuer is another each time
        yield made


class Person:
    """Somebody who is signed in, and what they are answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._browser = world.gateway.browser(Origin=world.gateway.url)
        assert self.signs_in() == 303

    def signs_in(self) -> int:
        return self._world.sign_in(self._browser, "google").status_code

    def renews(self) -> int:
        return self._browser.post("/auth/refresh").status_code

    def looks(self) -> int:
        return self._browser.get("/auth/me").status_code

    def passes(self) -> int:
        return self._browser.get("/auth/verify").status_code

    @property
    def session_id(self) -> str:
        found: str = self._browser.get("/auth/me").json()["session"]["id"]
        return found


ASKING: Sequence[Callable[[Person], int]] = (Person.signs_in, Person.renews, Person.looks, Person.passes)


class Crowd:
    """People who go on asking, whatever they are answered, until the block ends. `seen` counts it by what they ask."""

    def __init__(self, world: World) -> None:
        self.seen: dict[str, Counter[int]] = {ask.__name__: Counter() for ask in ASKING}
        self._enough = threading.Event()
        self._people = [(ask, Person(world)) for ask in ASKING for _ in range(AT_ONCE)]

    def __enter__(self) -> Crowd:
        self._pool = ThreadPoolExecutor(len(self._people))
        self._going_on = [self._pool.submit(self._go_on, ask, person) for ask, person in self._people]
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for one in self._going_on:
            one.result()
        self._pool.shutdown()

    def _go_on(self, ask: Callable[[Person], int], person: Person) -> None:
        while not self._enough.is_set():
            self.seen[ask.__name__][ask(person)] += 1

    def wait_for(self, *statuses: int) -> None:
        """Until each kind of question has been answered so, from now on, as often as there are people who ask it."""
        before = self._counts(statuses)
        wait_until(lambda: all(now >= before[name] + AT_ONCE for name, now in self._counts(statuses).items()))

    def _counts(self, statuses: Sequence[int]) -> dict[str, int]:
        return {name: sum(seen[status] for status in statuses) for name, seen in self.seen.items()}


def test_while_it_is_away_there_is_503_and_afterwards_everything_goes_on(server: Cluster, world: World) -> None:
    wait_until(lambda: reached(world))
    with Crowd(world) as crowd:
        crowd.wait_for(200, 303)
        server.stop()
        crowd.wait_for(503)
        server.start()
        crowd.wait_for(200, 303)
    assert {status for seen in crowd.seen.values() for status in seen} == {200, 303, 503}
    assert world.all("SELECT DISTINCT end_reason FROM sessions WHERE end_reason <> 'elsewhere'") == [("replaced",)]


def reached(world: World) -> bool:
    """PgBouncer takes a moment longer to believe that the server is there again."""
    try:
        return world.all("SELECT 1") == [(1,)]
    except OperationalError:
        return False


def test_connections_that_it_has_cut_cost_nobody_an_answer(server: Cluster, world: World) -> None:
    gone, *people = [Person(world) for _ in range(AT_ONCE)]
    session_id = gone.session_id
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert {*pool.map(Person.looks, people * 10)} == {200}
    server.stop()
    server.start()
    wait_until(lambda: reached(world))
    world.execute(f"UPDATE sessions SET ended_at = created_at, end_reason = 'elsewhere' WHERE id = '{session_id}'")  # noqa: S608
    wait_until(lambda: gone.passes() == 401)  # the list of ended sessions is read again: what now fails is no outage
    assert [ask(person) for ask in (Person.looks, Person.renews) for person in people] == [200] * 2 * len(people)
    assert people[0].signs_in() == 303
