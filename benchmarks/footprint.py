"""What a server costs before it has served: time to its first answer, and memory, beside the bare application's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .processes import Process, free_port
from .stage import bare, serving


@dataclass(frozen=True, slots=True)
class Footprint:
    """Medians. `start`: seconds to the first answer; `memory`: MB after it."""

    start: float
    memory: float


def footprints(folder: Path, gate_folder: Path, times: int) -> tuple[Footprint, Footprint]:
    """Of the bare application and of the gateway as configured in `gate_folder`, started in turn."""
    pairs = [(look(lambda: bare(folder)), look(lambda: serving(gate_folder, free_port()))) for _ in range(times)]
    return middle([one for one, _ in pairs]), middle([other for _, other in pairs])


def look(start: Callable[[], AbstractContextManager[Process]]) -> Footprint:
    with start() as process:
        return Footprint(process.first_answer, process.memory())


def middle(found: list[Footprint]) -> Footprint:
    return Footprint(median(one.start for one in found), median(one.memory for one in found))
