"""Processes: started on one core, asked what they have cost, ended by their id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START, STOP = 30.0, 10.0  # seconds

# The server under test has one core to itself; load, database and provider share another, where there is one.
CORES = frozenset(os.sched_getaffinity(0))
SERVER_CORE, OTHER_CORE = frozenset((min(CORES),)), frozenset((max(CORES),))


class Missing(Exception):
    """Something that is not part of the gateway is not there, and what needs it is not measured."""


class NotStarted(Exception):
    """A process ended, or did not answer in time; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    port: int
    first_answer: float  # seconds from its start to its first answer

    def memory(self) -> float:
        """Resident memory in MB (10⁶ bytes)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of those it has started, with all their threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_seconds(child) for child in children(pid))


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """What is started in this block stays on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    probe: str,
    *,
    cores: frozenset[int],
    log: Path,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Runs until the block ends; entered when `GET probe` is answered. Raises NotStarted."""
    # Compiled modules are kept, as where it is installed; a session of its own: Ctrl-C reaches us alone.
    surroundings = {**os.environ, **(environ or {}), "PYTHONDONTWRITEBYTECODE": ""}
    with log.open("ab") as out:
        began = time.perf_counter()
        with on(cores):
            child = subprocess.Popen(command, stdout=out, stderr=out, env=surroundings, start_new_session=True)
    try:
        wait_for_answer(child, port, probe, log)
        yield Process(child.pid, port, time.perf_counter() - began)
    finally:
        end(child)


def end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_for_answer(child: subprocess.Popen[bytes], port: int, probe: str, log: Path) -> None:
    deadline = time.monotonic() + START
    while not answers(port, probe):
        if child.poll() is not None or time.monotonic() > deadline:
            raise NotStarted(f"{child.args!r} does not answer:\n{log.read_text()[-2000:]}")
        time.sleep(0.002)


def answers(port: int, probe: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(f"GET {probe} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return connection.recv(12).startswith(b"HTTP/1.1 2")
    except OSError:
        return False
