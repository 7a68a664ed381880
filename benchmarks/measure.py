"""Measuring: bare, path, bare, path …, so that whatever else the machine does meets both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median

from .load import Client, Counted, Job, Wrong, drive, settle
from .paths import Path, bare_clients
from .processes import OTHER_CORE, Process
from .stage import Gate

Drive = Callable[[Job], Counted]
LONGEST = 60.0  # seconds for one job, whatever happens


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of each measurement, and seconds of each half of a round."""

    rounds: int
    seconds: float
    warm_up: float = 0.3


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a round. Times in seconds; CPU per unit; `load`: the share of its core that the load took."""

    rate: float
    p50: float
    p99: float
    cpu: float
    load: float


@dataclass(frozen=True, slots=True)
class Row:
    """A path at so many connections: the medians of its rounds, and the ratios of each round to the bare route."""

    path: Path
    at_once: int
    bare: Side
    measured: Side
    ratios: tuple[float, ...]
    cpu_ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def cpu_ratio(self) -> float:
        return median(self.cpu_ratios)


@contextmanager
def load() -> Iterator[Drive]:
    """The load in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), settle, (OTHER_CORE,)) as pool:
        yield lambda job: pool.submit(drive, job).result(LONGEST)


def rows(gates: Mapping[str, Gate], bare: Process, paths: Sequence[Path], plan: Plan, drive: Drive) -> Iterator[Row]:
    """Every path that has a gate, at each number of connections. Raises Wrong for the first wrong answer."""
    for path in paths:
        if path.gate in gates:
            for at_once in path.at_once:
                yield row(path, at_once, gates[path.gate], bare, plan, drive)


def row(path: Path, at_once: int, gate: Gate, bare: Process, plan: Plan, drive: Drive) -> Row:
    rounds = []
    for _ in range(plan.rounds):
        clients = path.clients(gate, at_once, plan.warm_up + plan.seconds)
        gate.settle()
        reference = side(drive, (bare.port,), bare_clients(at_once), bare, plan)
        ports = (gate.process.port, gate.provider.port)
        rounds.append((reference, side(drive, ports, clients, gate.process, plan)))
    return Row(
        path,
        at_once,
        middle([reference for reference, _ in rounds]),
        middle([measured for _, measured in rounds]),
        tuple(measured.rate / reference.rate for reference, measured in rounds),
        tuple(measured.cpu / reference.cpu for reference, measured in rounds),
    )


def side(drive: Drive, ports: tuple[int, ...], clients: Sequence[Client], server: Process, plan: Plan) -> Side:
    counted = drive(Job(ports, clients, plan.warm_up, plan.seconds, server.pid))
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


def middle(sides: Sequence[Side]) -> Side:
    return Side(*(median(getattr(one, name) for one in sides) for name in Side.__dataclass_fields__))
