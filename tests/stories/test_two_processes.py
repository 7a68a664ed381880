"""Several server processes on one database: one truth about keys, tokens and ends."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import migrate

from harness import free_port
from processes import Server, Site, site, wait_until

Pair = tuple[Server, Server]


@pytest.fixture
def served(postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    with site(postgres_url, tmp_path) as made:
        yield made


@pytest.fixture
def pair(served: Site) -> Iterator[Pair]:
    with served.serve() as one, served.serve(port=free_port()) as two:
        yield one, two


@pytest.mark.postgres
def test_parallel_refreshes_of_one_token_at_both_are_one_step_and_one_token(served: Site, pair: Pair) -> None:
    (token,) = served.signed_in(1)
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda place: pair[place % 2].renew(token), range(50)))
    assert {answer.status_code for answer in results} == {200}
    assert len({answer.json()["refresh_token"] for answer in results}) == 1
    assert served.all("SELECT current, parent FROM sessions") == [(1, 0)]


@dataclass
class Model:
    """What one session must come to: within the grace a parent is answered with the same token again."""

    current: int = 0
    parent: int = -1
    ended: bool = False

    def present(self, n: int) -> int | None:
        """The number of the token that presenting `n` is answered with; None for a refusal."""
        if self.ended or n not in (self.current, self.parent):
            self.ended = True
            return None
        if n == self.current:
            self.parent, self.current = n, n + 1
        return self.current


@pytest.mark.postgres
def test_refreshes_mixed_over_both_are_as_with_one(postgres_url: str, tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  a walk that can be repeated
    with site(postgres_url, tmp_path, refresh_token_grace="1h") as served, ExitStack() as stack:
        servers = [stack.enter_context(served.serve(port=free_port())) for _ in range(2)]
        refresh = served.gateway.app.parts.refresh
        models = {presented.session_id: Model() for presented in map(refresh.decode, served.signed_in(8)) if presented}
        pool = stack.enter_context(ThreadPoolExecutor(2))
        for _ in range(150):
            session_id = chance.choice(list(models))
            model = models[session_id]
            oldest = 0 if chance.random() < 0.03 else max(0, model.parent)
            n = chance.randint(oldest, model.current)
            token, expected = refresh.encode(session_id, n), model.present(n)
            at = chance.choice([servers, servers[:1], servers[1:]])
            for answer in pool.map(lambda server, token=token: server.renew(token), at):
                if expected is None:
                    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
                else:
                    assert answer.json().get("refresh_token") == refresh.encode(session_id, expected)
        rows = {str(id_): (current, ended is not None) for id_, current, ended in served.all(SESSIONS)}
        assert rows == {str(id_): (model.current, model.ended) for id_, model in models.items()}
        assert any(model.ended for model in models.values())


SESSIONS = "SELECT id, current, ended_at FROM sessions"


@pytest.mark.postgres
def test_a_session_ended_at_one_is_refused_by_the_other_within_two_seconds(served: Site, pair: Pair) -> None:
    here, there = pair
    with served.gateway.browser(Origin=served.gateway.url) as browser:
        served.sign_in(browser, "google")
        access, refresh = browser.cookies["gateway"], browser.cookies["gateway-refresh"]
        assert (here.verify(access), there.verify(access)) == (200, 200)
        assert browser.post("/auth/logout").status_code == 303
    ended = time.monotonic()
    assert here.verify(access) == 401
    assert there.renew(refresh).status_code == 400
    wait_until(lambda: there.verify(access) == 401, 2 - (time.monotonic() - ended))


@pytest.mark.postgres
def test_a_reuse_seen_by_one_ends_the_session_at_the_other(served: Site, pair: Pair) -> None:
    here, there = pair
    (first,) = served.signed_in(1)
    second = here.renew(first).json()["refresh_token"]
    third = there.renew(second).json()
    assert there.verify(third["access_token"]) == 200
    assert here.renew(first).status_code == 400
    assert there.renew(third["refresh_token"]).status_code == 400
    wait_until(lambda: there.verify(third["access_token"]) == 401, 2)


@pytest.mark.postgres
def test_a_sign_in_begun_at_one_may_end_at_the_other(served: Site, pair: Pair) -> None:
    here, there = pair
    with served.gateway.browser() as browser:
        callback = served.start(browser, "google").replace(here.url, there.url)
        assert browser.get(callback).status_code == 303
        assert browser.get("/auth/me").json()["email"] == "ada@example.com"


@pytest.mark.postgres
def test_several_workers_are_one_gateway(served: Site) -> None:
    with served.serve("--workers", "2") as server:
        with served.gateway.browser(Origin=served.gateway.url) as browser:
            served.sign_in(browser, "google")
            access, refresh = browser.cookies["gateway"], browser.cookies["gateway-refresh"]
        with ThreadPoolExecutor(16) as pool:
            verified = list(pool.map(server.verify, [access] * 32))
            renewed = list(pool.map(server.renew, [refresh] * 32))
        assert set(verified) == {200}
        assert len({answer.json()["refresh_token"] for answer in renewed}) == 1
        assert len({server.kids() for _ in range(8)}) == 1
        assert server.command.end(signal.SIGTERM) == 0


def test_workers_end_with_a_parent_that_was_killed(sqlite_url: str, tmp_path: Path) -> None:
    with site(sqlite_url, tmp_path) as served:
        with served.serve("--workers", "2") as server:
            server.command.end(signal.SIGKILL)
            wait_until(lambda: not listens(served.port), 10)
        with served.serve("--workers", "2") as again:
            assert again.verify("nonsense") == 401


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_two_that_start_at_the_same_moment_agree_on_keys(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    url = empty if kind == "sqlite" else request.getfixturevalue("postgres_url")
    with site(url, tmp_path) as served, ThreadPoolExecutor(2) as pool, ExitStack() as stack:
        ports = [served.port, free_port()]
        one, two = pool.map(lambda port: stack.enter_context(served.serve(port=port)), ports)
        assert one.kids() == two.kids()
        assert sorted(served.all("SELECT state FROM signing_keys")) == [("current",), ("next",)]
        with served.gateway.browser() as browser:
            served.sign_in(browser, "google")
            assert two.verify(browser.cookies["gateway"]) == 200


@pytest.mark.postgres
@pytest.mark.parametrize(("state", "workers"), [("empty", "1"), ("outdated", "2")])
def test_a_schema_that_is_not_up_to_date_is_left_alone(
    postgres_url: str, tmp_path: Path, state: str, workers: str
) -> None:
    asyncio.run(migrate.move(postgres_url, "base"))
    with site(postgres_url, tmp_path) as served:
        if state == "outdated":
            served.execute("CREATE TABLE accounts (id INTEGER)")
        ended = served.run("serve", "--port", str(served.port), "--workers", workers)
    assert ended.process.returncode == 1
    assert "gateway migrate" in ended.err
    assert "Traceback" not in ended.err
    assert asyncio.run(migrate.schema_state(postgres_url)) == state
