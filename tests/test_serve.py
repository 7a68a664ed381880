"""`gateway serve` and `gateway demo`: what keeps them from starting, how they end, what they leave behind."""

from __future__ import annotations

import json
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gateway import serve
from gateway.errors import CannotStart

from harness import PLAIN, SECRET, free_port
from processes import Command, command, run, wait_until, write_config

LITE = {"gateway": {"database_url": "sqlite:///gateway.db"}}
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where somebody listens already."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


def answers(started: Command, port: int) -> bool:
    assert started.process.poll() is None, started.err
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/ready", **PLAIN).status_code == 200
    except httpx2.TransportError:
        return False


def refused(ended: Command) -> str:
    """What was said by a command that did not start: a sentence and a hint, and no stack."""
    assert (ended.process.returncode, ended.out) == (1, "")
    said = "\n".join(line for line in ended.err.splitlines() if not line.startswith("{"))
    assert len(said.splitlines()) == 2
    assert "Traceback" not in ended.err
    return said


@WORKERS
def test_a_port_that_is_taken(tmp_path: Path, taken: int, workers: str) -> None:
    write_config(tmp_path, LITE)
    said = refused(run("serve", "--port", str(taken), "--workers", workers, folder=tmp_path))
    assert f"127.0.0.1, port {taken}: Address already in use" in said


def test_a_port_that_is_taken_for_the_demo(tmp_path: Path, taken: int) -> None:
    said = refused(run("demo", "--port", str(taken), folder=tmp_path))
    assert said == f"Port {taken} is taken.\n    Choose another, for example {taken + 1}."


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    write_config(tmp_path, LITE)
    assert "203.0.113.7" in refused(run("serve", "--host", "203.0.113.7", folder=tmp_path))


@WORKERS
def test_a_secret_key_that_is_not_the_one_the_database_knows(tmp_path: Path, workers: str) -> None:
    write_config(tmp_path, LITE)
    with command("serve", "--port", str(port := free_port()), folder=tmp_path) as first:
        wait_until(lambda: answers(first, port))
        first.end()
    again = run("serve", "--port", str(port), "--workers", workers, folder=tmp_path, GATEWAY_SECRET_KEYS=SECRET)
    assert "secret_keys" in refused(again)


def test_an_unknown_log_level(tmp_path: Path) -> None:
    write_config(tmp_path, LITE)
    assert "GATEWAY_LOG_LEVEL" in refused(run("serve", folder=tmp_path, GATEWAY_LOG_LEVEL="loud"))


def test_a_fault_in_the_configuration(tmp_path: Path) -> None:
    write_config(tmp_path, {"gateway": {"signup": "sometimes"}})
    assert "signup" in refused(run("serve", folder=tmp_path))


@pytest.mark.parametrize(("workers", "number"), [("1", signal.SIGTERM), ("1", signal.SIGINT), ("2", signal.SIGTERM)])
def test_a_server_that_is_asked_to_end_has_done_what_it_should(
    tmp_path: Path, workers: str, number: signal.Signals
) -> None:
    write_config(tmp_path, LITE)
    with command("serve", "--port", str(port := free_port()), "--workers", workers, folder=tmp_path) as started:
        wait_until(lambda: answers(started, port))
        assert started.end(number) == 0
    assert started.out == ""
    lines = [json.loads(line) for line in started.err.splitlines()]
    assert [line["event"] for line in lines if line["level"] != "info"] == ["listening"]  # and nobody on offer


def test_the_first_start_on_sqlite_makes_all_it_needs(tmp_path: Path) -> None:
    write_config(tmp_path, LITE)
    with command("serve", "--port", str(port := free_port()), folder=tmp_path) as started:
        wait_until(lambda: answers(started, port))
        issuer = httpx2.get(f"http://127.0.0.1:{port}/.well-known/openid-configuration", **PLAIN).json()["issuer"]
    assert issuer == f"http://localhost:{port}"
    assert stat.S_IMODE((tmp_path / "gateway.db.secret-keys").stat().st_mode) == 0o600


def test_the_log_may_be_text(tmp_path: Path) -> None:
    write_config(tmp_path, LITE)
    with command("serve", "--port", str(port := free_port()), folder=tmp_path, GATEWAY_LOG_FORMAT="text") as started:
        wait_until(lambda: answers(started, port))
        started.end()
    assert not [line for line in started.err.splitlines() if line.startswith("{")]
    assert " info " in started.err


def test_the_demo_says_where_it_is_and_forgets_everything(tmp_path: Path) -> None:
    with command("demo", "--port", str(port := free_port()), folder=tmp_path, TMPDIR=str(tmp_path)) as started:
        wait_until(lambda: f"http://localhost:{port}" in started.out)
        assert answers(started, port)
        assert list(tmp_path.glob("gateway-demo-*"))
        assert started.end(signal.SIGINT) == 0
    assert not list(tmp_path.glob("gateway-demo-*"))
    assert started.err == ""


def test_listening_is_possible_over_version_six_too() -> None:
    port = free_port()
    with serve.listen("::1", port) as listener:
        assert listener.getsockname()[:2] == ("::1", port)


def test_a_name_that_is_nobodys_is_a_sentence() -> None:
    with pytest.raises(CannotStart, match=r"nobody\.invalid"):
        serve.listen("nobody.invalid", 8000)
