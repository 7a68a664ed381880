"""How a side of a round is taken from a server: by our own load, which looks at every answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from .load import Client, Counted, Job, Wrong, drive, settle
from .measure import Plan, Side, Take
from .paths import Path
from .processes import CORES, OTHER_CORE, Process
from .stage import Gate

Drive = Callable[[Job], Counted]
LONGEST = 60.0  # seconds for one job, whatever happens


@contextmanager
def load() -> Iterator[Drive]:
    """The load in a process of its own, forked now, while there are no threads yet that a fork would lose."""
    with ProcessPoolExecutor(1, get_context("fork"), settle) as pool:
        pool.submit(os.getpid).result()
        yield lambda job: pool.submit(drive, job).result(LONGEST)


def of_server(drive: Drive, server: Process, clients: Callable[[int], Sequence[Client]]) -> Take:
    """Of a server that always gets the same clients, whatever the path."""

    def take(_path: Path, at_once: int, plan: Plan) -> Side:
        job = Job((server.port,), clients(at_once), plan.warm_up, plan.seconds, server.pid)
        return side(drive(job))

    return take


def of_gate(drive: Drive, gate: Gate, *, free: bool = False) -> Take:
    """Of a gateway, asked what the path says. `free`: load and database run where the system puts them."""
    cores = CORES if free else OTHER_CORE

    def take(path: Path, at_once: int, plan: Plan) -> Side:
        clients = path.clients(gate, at_once, plan.warm_up + plan.seconds)
        gate.place(cores)
        ports = (gate.process.port, gate.provider.port)
        return side(drive(Job(ports, clients, plan.warm_up, plan.seconds, gate.process.pid, cores)))

    return take


def side(counted: Counted) -> Side:
    if counted.units < 2:
        raise Wrong("the clients had nothing to ask any more")
    found, units = counted.latencies, counted.units
    return Side(
        rate=units / counted.seconds,
        p50=found[units // 2],
        p99=found[min(units - 1, units * 99 // 100)],
        cpu=counted.server_cpu / units,
        load=counted.load_cpu / counted.seconds,
    )
