"""Growth: the same measurements with small and with large tables, in turns; start with each; memory over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path as File
from statistics import median
from typing import Any

from . import databases, report, sides, stage
from .endurance import Point, endure
from .filling import Size, fill
from .footprint import footprints
from .measure import Plan, compare
from .paths import Path, bare_clients
from .processes import Process
from .report import Found
from .stage import Gate

Pair = tuple[Gate, Gate]  # with small tables, with large ones

START, MEMORY = "start and memory", "memory over time"
PARTS = (START, MEMORY)
MARK = 0.9  # of the rate with small tables
HEADINGS = (
    "path",
    "at once",
    "small, per s",
    "large, per s",
    "small, ratio",
    "large, ratio",
    "large/small",
    "mark",
    "small, p99 ms",
    "large, p99 ms",
)
KINDS = ("postgresql", "sqlite")


@dataclass(frozen=True, slots=True)
class Growth:
    """`requests`: over how many a worker's memory is watched, at most for `seconds`."""

    plan: Plan
    small: Size
    large: Size
    requests: int
    seconds: float


FULL = Growth(Plan(rounds=3, seconds=1.2), Size(1_000, 100_000), Size(1_000_000, 1_000_000), 1_000_000, 1000)
QUICK = Growth(Plan(rounds=1, seconds=0.3, warm_up=0.1), Size(100, 1_000), Size(10_000, 10_000), 2_000, 3)


def grown(paths: Sequence[Path]) -> list[Path]:
    """Those of the paths that are measured beside the bare route."""
    return [path for path in paths if path.beside == "bare" and path.gate in KINDS]


def run(growth: Growth, paths: Sequence[Path], parts: Set[str], folder: File, server: str, drive: sides.Drive) -> Found:
    """Paths and parts, told line by line meanwhile. Raises Wrong, and Missing without PostgreSQL."""
    kinds = {path.gate for path in paths} or set(KINDS)  # only parts are wanted where there are no paths
    with stage.bare(folder) as bare, pairs(growth, kinds, folder, server) as gates:
        print(f"Small: {growth.small}. Large: {growth.large}.\n\n{line(HEADINGS)}", flush=True)
        rows = []
        for path in paths:
            rows.append(compared(path, gates[path.gate], bare, growth.plan, drive))
            print(line(cells(rows[-1])), flush=True)
        starts = dict(started(folder, gates, growth.plan.rounds)) if START in parts else {}
        points = watched(gates, growth, drive) if MEMORY in parts else []
    return {
        "plan": asdict(growth.plan),
        "sizes": {"small": asdict(growth.small), "large": asdict(growth.large)},
        "rows": rows,
        "starts": starts,
        "memory": [asdict(point) for point in points],
    }


@contextmanager
def pairs(growth: Growth, kinds: set[str], folder: File, server: str) -> Iterator[Mapping[str, Pair]]:
    """For each kind of database a gateway with small tables and one with large ones."""
    with ExitStack() as stack:
        urls = {"sqlite": lambda name: f"sqlite:///{folder / name}.db"}
        if "postgresql" in kinds:
            found = stack.enter_context(databases.reachable(server, folder / "cluster"))
            urls["postgresql"] = lambda name: stack.enter_context(databases.postgresql(found, name))

        def gate(kind: str, name: str, size: Size) -> Gate:
            made = stage.gate(folder / f"{kind}-{name}", urls[kind](name), fill=partial(fill, size=size))
            return stack.enter_context(made)

        yield {
            kind: (gate(kind, "small", growth.small), gate(kind, "large", growth.large))
            for kind in KINDS
            if kind in kinds
        }


def compared(path: Path, gates: Pair, bare: Process, plan: Plan, drive: sides.Drive) -> Found:
    reference = sides.of_server(drive, bare, bare_clients)
    small, large = compare(path, max(path.at_once), reference, [sides.of_gate(drive, gate) for gate in gates], plan)
    ratio = median(two.rate / one.rate for one, two in zip(small.sides, large.sides, strict=True))
    return {
        "path": path.name,
        "at_once": small.at_once,
        "small": report.of_row(small),
        "large": report.of_row(large),
        "ratio": ratio,
        "mark": MARK,
        "verdict": "met" if ratio >= MARK else "missed",
    }


def started(folder: File, gates: Mapping[str, Pair], times: int) -> Iterator[tuple[str, Found]]:
    for kind, pair in gates.items():
        for name, gate in zip(("small", "large"), pair, strict=True):
            found = report.of_footprints(*footprints(folder, gate.folder, times))
            print(f"\n{kind}, {name} tables. {report.sentences(found)}", flush=True)
            yield f"{kind}, {name}", found


def watched(gates: Mapping[str, Pair], growth: Growth, drive: sides.Drive) -> list[Point]:
    """The worker with the large tables."""
    (_, gate), *_ = gates.values()
    print("\nMemory of a worker after so many requests:")
    points = []
    for point in endure(gate, drive, growth.requests, growth.seconds):
        print(f"{point.requests:>10,}  {point.memory:.1f} MB", flush=True)
        points.append(point)
    return points


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of the table, from a row of the JSON."""
    small, large = row["small"], row["large"]
    return (
        row["path"],
        str(row["at_once"]),
        f"{small['measured']['rate']:,.0f}",
        f"{large['measured']['rate']:,.0f}",
        f"{small['ratio']:.3f}",
        f"{large['ratio']:.3f}",
        f"{row['ratio']:.2f}",
        f"{row['mark']:g} {row['verdict']}",
        f"{small['measured']['p99'] * 1e3:.2f}",
        f"{large['measured']['p99'] * 1e3:.2f}",
    )


def line(texts: Sequence[str]) -> str:
    first, *others = texts
    return f"{first:<39}" + "".join(f"{text:>15}" for text in others)
