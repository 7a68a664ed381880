"""What /metrics says, to whom, and what several workers say together."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.errors import Unavailable
from gateway.sessions.rotation import Outcome, Unknown
from gateway.web import metrics
from gateway.web.counting import BOUNDS, Board, Family, Tally
from gateway.web.metrics import FAMILIES, Metrics, WatchedRotations
from gateway.web.problems import ERROR

from harness import SECRET, Running, World, free_port, running, settings_for

LINE = re.compile(r'[a-z_]+(?:\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? -?[0-9.e+-]+')
SAID = re.compile(r"# (?:HELP [a-z_]+ .+|TYPE [a-z_]+ (?:counter|gauge|histogram))")


def answered(counted: Metrics, path: str, status: int = 200, method: str = "GET", **scope: Any) -> None:
    counted.answered({"path": path, "method": method, **scope}, status, 0.003)


def lines(counted: Metrics) -> list[str]:
    return counted.text({}).splitlines()


def read(text: str) -> dict[str, float]:
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines()) if name[0] != "#"
    }


@pytest.fixture
def gate(sqlite_url: str) -> Iterator[Running]:
    with running(settings_for(sqlite_url, port=free_port())) as started:
        yield started


def test_the_text_is_in_prometheus_format(gate: Running) -> None:
    with gate.api() as client:
        client.get("/auth/me")
        answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    assert not [line for line in answer.text.splitlines() if not (LINE.fullmatch(line) or SAID.fullmatch(line))]


def test_families_are_announced_once_before_their_samples(gate: Running) -> None:
    with gate.api() as client:
        text = client.get("/metrics").text + client.get("/metrics").text.partition("# HELP")[0]
    announced = re.findall(r"^# TYPE ([a-z_]+)", text, re.MULTILINE)
    assert len(set(announced)) == len(announced)
    assert set(announced) <= set(FAMILIES)


def test_a_request_is_counted_by_template_method_and_status() -> None:
    counted = Metrics(["google"])
    answered(counted, "/auth/google/login", 302)
    assert 'gateway_requests_total{method="GET",route="/auth/{provider}/login",status="302"} 1' in lines(counted)


@pytest.mark.parametrize("path", ["/auth/nobody/login", "/.env", "/auth/sessions/123"])
def test_paths_that_clients_invent_share_one_label(path: str) -> None:
    counted = Metrics(["google"])
    answered(counted, path, 404)
    assert 'gateway_requests_total{method="GET",route="other",status="404"} 1' in lines(counted)


def test_methods_that_clients_invent_share_one_label() -> None:
    counted = Metrics([])
    answered(counted, "/", 405, method="BREW")
    assert 'gateway_requests_total{method="other",route="other",status="405"} 1' in lines(counted)


def test_errors_are_counted_by_code() -> None:
    counted = Metrics([])
    answered(counted, "/auth/me", 401, **{ERROR: "not_signed_in"})
    assert 'gateway_errors_total{code="not_signed_in"} 1' in lines(counted)


def test_rate_limited_requests_are_counted_by_bucket() -> None:
    counted = Metrics([])
    answered(counted, "/auth/token", 429, **{ERROR: "rate_limited"})
    assert 'gateway_rate_limited_total{bucket="token"} 1' in lines(counted)


def test_a_histogram_reaches_up_to_each_bound() -> None:
    tally = Tally()
    for seconds in (BOUNDS[0], 0.004, 60.0):
        tally.observe("x_seconds", seconds=seconds)
    found = read(tally.text({"x_seconds": Family("x_seconds", "histogram", (), "x")}))
    assert (found['x_seconds_bucket{le="0.0005"}'], found['x_seconds_bucket{le="0.0025"}']) == (1, 1)
    assert (found['x_seconds_bucket{le="0.005"}'], found['x_seconds_bucket{le="10.0"}']) == (2, 2)
    assert (found['x_seconds_bucket{le="+Inf"}'], found["x_seconds_count"]) == (3, 3)
    assert found["x_seconds_sum"] == pytest.approx(60.0045)


def test_labels_are_escaped() -> None:
    tally = Tally()
    tally.count("x_total", 'a"b\\c\nd')
    text = tally.text({"x_total": Family("x_total", "counter", ("name",), "x")})
    assert 'x_total{name="a\\"b\\\\c\\nd"} 1' in text


class Failing:
    async def rotate(self, presented: Any, client_id: str, then: Callable[[Outcome], Any]) -> Any:
        raise Unavailable


class Knowing:
    async def rotate(self, presented: Any, client_id: str, then: Callable[[Outcome], Any]) -> Any:
        return then(Unknown())


async def test_a_refresh_is_counted_by_its_outcome_and_timed() -> None:
    counted = Metrics([])
    presented: Any = None
    made = await WatchedRotations(Knowing(), counted).rotate(presented, "gateway", lambda outcome: [outcome])
    assert made == [Unknown()]
    assert 'gateway_refreshes_total{outcome="unknown"} 1' in lines(counted)
    assert "gateway_refresh_database_seconds_count 1" in lines(counted)


async def test_what_is_made_of_a_refresh_is_not_the_databases_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(metrics, "perf_counter", lambda: clock[0])
    counted = Metrics([])
    presented: Any = None

    def make(_outcome: Outcome) -> None:
        clock[0] += 7

    await WatchedRotations(Knowing(), counted).rotate(presented, "gateway", make)
    assert "gateway_refresh_database_seconds_sum 0.0" in lines(counted)


async def test_a_refresh_that_fails_is_counted_and_still_fails() -> None:
    counted = Metrics([])
    presented: Any = None
    with pytest.raises(Unavailable):
        await WatchedRotations(Failing(), counted).rotate(presented, "gateway", lambda outcome: outcome)
    assert 'gateway_refreshes_total{outcome="unavailable"} 1' in lines(counted)


def test_every_outcome_of_a_refresh_has_a_name() -> None:
    assert {kind.__name__ for kind in metrics.OUTCOMES} == {
        *("Rotated", "Replayed", "Superseded", "FastForwarded", "Reused", "Unknown")
    }


def test_sign_ins_and_refreshes_of_a_running_gateway_are_counted(world: World) -> None:
    with world.gateway.browser() as browser, world.gateway.api() as api:
        callback = world.start(browser, "google")
        browser.get(callback)
        browser.get(callback)
        browser.post("/auth/refresh", headers={"Origin": world.gateway.url})
        found = read(api.get("/metrics").text)
    assert found['gateway_sign_ins_total{provider="google",outcome="ok"}'] == 1
    assert found['gateway_sign_ins_total{provider="google",outcome="attempt_missing"}'] == 1
    assert found['gateway_refreshes_total{outcome="rotated"}'] == 1
    assert found['gateway_signing_keys{state="current"}'] == 1
    assert found["gateway_ended_sessions_known"] == 1


@contextmanager
def gate_with(sqlite_url: str, **gateway: Any) -> Iterator[httpx2.Client]:
    with running(settings_for(sqlite_url, port=free_port(), **gateway)) as started, started.api() as client:
        yield client


@pytest.mark.parametrize(
    ("gateway", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"X-Forwarded-For": "127.0.0.1"}, 404),
        ({}, {"Forwarded": "for=127.0.0.1"}, 404),
        ({}, {"X-Real-IP": "127.0.0.1"}, 404),
        ({}, {"Via": "1.1 proxy"}, 404),
        ({"metrics": []}, {}, 404),
        ({"metrics": ["10.0.0.0/8"]}, {}, 404),
        ({"metrics": ["10.0.0.0/8"]}, {"X-Forwarded-For": "10.1.2.3"}, 404),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-For": "203.0.113.9"}, 404),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, 404),
        ({"trusted_proxies": ["127.0.0.1"], "metrics": ["10.0.0.0/8"]}, {"X-Forwarded-For": "10.1.2.3"}, 200),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Forwarded-For": "unknown"}, 404),
    ],
)
def test_only_the_networks_that_are_named_may_read(
    sqlite_url: str, gateway: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    with gate_with(sqlite_url, **gateway) as client:
        assert client.get("/metrics", headers=headers).status_code == status


def test_by_default_only_this_machine_may_read(sqlite_url: str) -> None:
    settings = settings_for(sqlite_url)
    assert set(settings.metrics) == {ip_network("127.0.0.0/8"), ip_network("::1/128")}


async def test_workers_tell_their_sum(tmp_path: Path) -> None:
    one, other = Metrics([], tmp_path), Metrics([], tmp_path)
    answered(one, "/auth/verify")
    answered(other, "/auth/verify")
    await other.post()
    await other.post()
    found = read(one.text({}))
    assert found['gateway_requests_total{method="GET",route="/auth/verify",status="200"}'] == 2
    assert found['gateway_request_seconds_count{route="/auth/verify"}'] == 2


async def test_what_a_worker_counted_outlives_it(tmp_path: Path) -> None:
    gone, later = Metrics([], tmp_path), Metrics([], tmp_path)
    answered(gone, "/auth/verify")
    await gone.post()
    del gone
    assert 'gateway_requests_total{method="GET",route="/auth/verify",status="200"} 1' in lines(later)


def test_a_board_that_is_read_while_it_is_written_is_whole(tmp_path: Path) -> None:
    board, tally = Board(tmp_path), Tally()
    tally.count("x_total")
    board.post(tally)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_two_workers_of_a_server_give_one_answer(sqlite_url: str, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "two.toml"
    config.write_text(f'[gateway]\ndatabase_url = "{sqlite_url}"\nsecret_keys = ["{SECRET}"]\n')
    command = [sys.executable, "-m", "gateway", "serve", "--workers", "2", "--port", str(port), "--config", str(config)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: answers(port))
        for _ in range(40):
            httpx2.get(f"http://127.0.0.1:{port}/auth/verify", trust_env=False)
        assert eventually(lambda: all(verified(port) == 40 for _ in range(8)))
    finally:
        server.terminate()
        server.wait(20)


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def verified(port: int) -> float:
    found = read(httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text)
    return found.get('gateway_requests_total{method="GET",route="/auth/verify",status="401"}', 0)


def eventually(holds: Any) -> bool:
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
