"""Measuring: reference, path, reference, path …, so that whatever else the machine does meets both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .paths import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of each measurement, and seconds of each half of a round."""

    rounds: int
    seconds: float
    warm_up: float = 0.3


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a round. Times in seconds; CPU of the server per unit; `load`: the share of its core that the load
    took. None where there is no server of ours."""

    rate: float
    p50: float
    p99: float
    cpu: float | None
    load: float | None


# Takes one side of a round: this path, so many at once, for as long as the plan says. Raises Wrong.
Take = Callable[[Path, int, Plan], Side]


@dataclass(frozen=True, slots=True)
class Row:
    """A path at so many connections: of each round the reference's side and its own."""

    path: Path
    at_once: int
    references: tuple[Side, ...]
    sides: tuple[Side, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(one.rate / base.rate for base, one in zip(self.references, self.sides, strict=True))

    @property
    def cpu_ratio(self) -> float | None:
        """Median of the rounds."""
        both = ((base.cpu, one.cpu) for base, one in zip(self.references, self.sides, strict=True))
        return middling([one / base if one and base else None for base, one in both])


def rows(takes: Mapping[str, Take], paths: Sequence[Path], plan: Plan) -> Iterator[Row]:
    """Every path whose two sides can be taken, at each number of connections. Raises Wrong for a wrong answer."""
    for path in paths:
        if path.gate in takes and path.beside in takes:
            for at_once in path.at_once:
                yield from compare(path, at_once, takes[path.beside], [takes[path.gate]], plan)


def compare(path: Path, at_once: int, reference: Take, takes: Sequence[Take], plan: Plan) -> list[Row]:
    """A row for each of the takes; all of them share the reference of each round."""
    rounds = [[take(path, at_once, plan) for take in (reference, *takes)] for _ in range(plan.rounds)]
    references, *others = zip(*rounds, strict=True)
    return [Row(path, at_once, references, one) for one in others]


def middle(sides: Sequence[Side]) -> Side:
    return Side(*(middling([getattr(one, name) for one in sides]) for name in Side.__dataclass_fields__))


def middling(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
