"""What becomes of a worker's memory over very many requests of all kinds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from .load import Job
from .paths import MOST, me, renew, start, verify_cookie, verify_new
from .sides import Drive
from .stage import Gate

LAP = ((verify_cookie, 6.0), (verify_new, 1.0), (renew, 3.0), (start, 1.0), (me, 1.0))  # seconds of each


@dataclass(frozen=True, slots=True)
class Point:
    """Resident memory in MB after so many requests."""

    requests: int
    memory: float


def endure(gate: Gate, drive: Drive, requests: int, seconds: float) -> Iterator[Point]:
    """Memory after each lap until so many requests have been answered, at most for so many seconds. Raises Wrong."""
    deadline, (at_once,), answered = time.monotonic() + seconds, MOST, 0
    ports = (gate.process.port, gate.provider.port)
    yield Point(answered, gate.process.memory())
    while answered < requests and time.monotonic() < deadline:
        for clients, lasts in LAP:
            share = min(lasts, lasts * requests / 50_000)
            answered += drive(Job(ports, clients(gate, at_once, share), 0.0, share, gate.process.pid)).units
        yield Point(answered, gate.process.memory())
