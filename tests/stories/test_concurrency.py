"""Sixteen people write to one SQLite file at once, through several processes: everybody gets the answer they should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from processes import Site, site

WRITERS, ROUNDS = 16, 2


def sign_in(served: Site, browser: httpx2.Client, address: str) -> int:
    return served.sign_in(browser, "google", login_hint=address).status_code


def live(served: Site, address: str) -> list[int]:
    """What one person does, again and again: sign in twice, renew, end the other session, sign out."""
    seen = []
    for _ in range(ROUNDS):
        with served.gateway.browser(Origin=served.gateway.url) as here, served.gateway.browser() as there:
            seen += [sign_in(served, here, address), sign_in(served, there, address)]
            seen += [here.post("/auth/refresh").status_code for _ in range(3)]
            other = next(each["id"] for each in here.get("/auth/sessions").json() if not each["current"])
            seen += [here.delete(f"/auth/sessions/{other}").status_code]
            seen += [there.post("/auth/refresh", headers={"Origin": served.gateway.url}).status_code]
            seen += [here.post("/auth/logout").status_code]
    return seen


@pytest.mark.parametrize("workers", [1, 2])
def test_everybody_gets_their_answer(sqlite_url: str, tmp_path: Path, workers: int) -> None:
    with site(sqlite_url, tmp_path) as served, served.serve("--workers", str(workers)) as server:
        addresses = [f"writer-{number}@example.net" for number in range(WRITERS)]
        ada = served.google.people[0]
        served.google.people = [replace(ada, subject=f"1{place}", email=each) for place, each in enumerate(addresses)]
        with ThreadPoolExecutor(WRITERS + 1) as pool:
            lives = [pool.submit(live, served, address) for address in addresses]
            operator = pool.submit(lambda: [served.run(*words).process.returncode for words in OPERATIONS])
        assert [life.result() for life in lives] == [[303, 303, 200, 200, 200, 204, 401, 303] * ROUNDS] * WRITERS
        assert operator.result() == [0] * len(OPERATIONS)
        said = server.command.err
    assert "locked" not in said
    assert '"level":"error"' not in said
    assert served.rows("accounts") == WRITERS
    assert served.all("SELECT id FROM sessions WHERE ended_at IS NULL") == []
    assert len(served.all("SELECT id FROM events WHERE name = 'signed_in'")) == WRITERS * ROUNDS * 2


OPERATIONS = (["prune"], ["keys", "rotate", "--force"], ["migrate"])
