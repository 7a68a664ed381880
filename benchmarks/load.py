"""The load: clients that each wait for their answer before they ask again, on one thread with epoll.

A client is a generator that yields what to ask and is sent the whole answer, which it checks. An `Ask` that `starts`
begins a unit of work: a request, or a sign-in of several requests.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .processes import OTHER_CORE, cpu_seconds

PATIENCE = 10.0  # seconds without any answer after which the load gives up
HEAD_END, LENGTHS = b"\r\n\r\n", (b"\r\ncontent-length: ", b"\r\nContent-Length: ")  # uvicorn's, nginx's


class Wrong(Exception):
    """An answer that is not the one expected, or none."""


@dataclass(frozen=True, slots=True)
class Ask:
    """`server`: which of the job's servers."""

    data: bytes
    starts: bool = True
    server: int = 0


Talk = Generator[Ask, bytes, None]


class Client(Protocol):
    """What a connection says, and what it makes of the answers; ends when it has nothing more to ask."""

    def talk(self) -> Talk: ...


@dataclass(frozen=True, slots=True)
class Job:
    """Clients that all ask at once, for `seconds` after `warm_up` seconds. `watched`: the server's process id;
    `cores`: where the load runs."""

    ports: tuple[int, ...]
    clients: Sequence[Client]
    warm_up: float
    seconds: float
    watched: int
    cores: frozenset[int] = OTHER_CORE


@dataclass(frozen=True, slots=True)
class Counted:
    """Of the time after the warm-up. Latencies in seconds, sorted; CPU in seconds, of the server and of the load."""

    units: int
    seconds: float
    latencies: list[float]
    server_cpu: float
    load_cpu: float


class Caller:
    """One client at work: its talk, its connections, and since when it waits."""

    __slots__ = ("asked", "began", "buffer", "connections", "ports", "talk")

    def __init__(self, client: Client, ports: tuple[int, ...]) -> None:
        self.talk = client.talk()
        self.ports = ports
        self.connections: dict[int, socket.socket] = {}
        self.asked: socket.socket | None = None
        self.buffer = b""
        self.began = 0.0

    def connection(self, server: int) -> socket.socket:
        if server not in self.connections:
            opened = socket.create_connection(("127.0.0.1", self.ports[server]), PATIENCE)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[server] = opened
        return self.connections[server]

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


class Load:
    """Drives the clients of one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._poll = select.epoll()
        self._callers: dict[int, Caller] = {}  # by file descriptor
        self._busy = 0
        self._latencies: list[float] = []
        self._counts_from = self._ends_at = 0.0

    def run(self) -> Counted:
        """Raises Wrong for the first answer that is not as expected."""
        callers = [Caller(client, self._job.ports) for client in self._job.clients]
        now = time.perf_counter()
        self._counts_from, self._ends_at = now + self._job.warm_up, float("inf")
        self._busy = len(callers)
        try:
            for caller in callers:
                self._go_on(caller, None)
            self._until(self._counts_from)
            self._latencies.clear()
            began, server, own = time.perf_counter(), cpu_seconds(self._job.watched), time.process_time()
            self._ends_at = began + self._job.seconds
            self._until(float("inf"))
            seconds = time.perf_counter() - began
            spent = cpu_seconds(self._job.watched) - server
        finally:
            for caller in callers:
                caller.close()
            self._poll.close()
        found = sorted(self._latencies)
        return Counted(len(found), seconds, found, spent, time.process_time() - own)

    def _until(self, moment: float) -> None:
        while self._busy and time.perf_counter() < moment:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise Wrong(f"no answer for {PATIENCE:g} seconds")
            for descriptor, _ in ready:
                caller = self._callers[descriptor]
                assert caller.asked is not None
                received = caller.asked.recv(65536)
                if not received:
                    raise Wrong(f"the connection was closed after {caller.buffer[:300]!r}")
                caller.buffer += received
                if is_whole(caller.buffer):
                    answer, caller.buffer = caller.buffer, b""
                    self._go_on(caller, answer)

    def _go_on(self, caller: Caller, answer: bytes | None) -> None:
        try:
            ask = next(caller.talk) if answer is None else caller.talk.send(answer)
        except StopIteration:
            ask = None
        now = time.perf_counter()
        if ask is None or ask.starts:
            if answer is not None:
                self._latencies.append(now - caller.began)
            caller.began = now
            if ask is None or now >= self._ends_at:
                self._busy -= 1
                return
        self._send(caller, ask)

    def _send(self, caller: Caller, ask: Ask) -> None:
        connection = caller.asked = caller.connection(ask.server)
        descriptor = connection.fileno()
        if descriptor not in self._callers:
            self._callers[descriptor] = caller
            self._poll.register(descriptor, select.EPOLLIN)
        connection.sendall(ask.data)


def is_whole(answer: bytes) -> bool:
    """Whether head and body are there. Raises Wrong without a length, or for more than one answer."""
    head = answer.find(HEAD_END)
    if head < 0:
        return False
    at = max(answer.find(length, 0, head) for length in LENGTHS)
    if at < 0:
        raise Wrong(f"an answer without a length: {answer[:300]!r}")
    start = at + len(LENGTHS[0])
    missing = head + len(HEAD_END) + int(answer[start : answer.find(b"\r", start)]) - len(answer)
    if missing < 0:
        raise Wrong(f"more than one answer: {answer[:300]!r}")
    return missing == 0


def settle() -> None:
    """Make this process the load's: deaf to Ctrl-C, which is its parent's to handle, and without what that one loaded
    in its garbage collector's way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()


def drive(job: Job) -> Counted:
    os.sched_setaffinity(0, job.cores)
    return Load(job).run()
