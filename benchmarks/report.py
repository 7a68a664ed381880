"""What was found: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .footprint import Footprint
from .measure import Plan, Row

HEADINGS = ("path", "at once", "per s", "bare", "ratio", "mark", "p50 ms", "p99 ms", "CPU µs", "CPU ×", "load")
WIDTHS = (38, 8, 8, 8, 7, 13, 8, 8, 8, 7, 6)
START_MARK, MEMORY_MARK = 2.0, 36.0  # times a bare application's start, MB more than it
PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy", "psycopg", "joserfc", "authlib", "httpx2")


def line(cells: tuple[str, ...]) -> str:
    first, *others = zip(cells, WIDTHS, strict=True)
    return f"{first[0]:<{first[1]}}" + "".join(f"{cell:>{width}}" for cell, width in others)


def heading() -> str:
    return line(HEADINGS)


def show(row: Row) -> str:
    measured, bare = row.measured, row.bare
    return line(
        (
            row.path.name,
            str(row.at_once),
            f"{measured.rate:,.0f}",
            f"{bare.rate:,.0f}",
            f"{row.ratio:.3f}",
            judged(row),
            f"{measured.p50 * 1e3:.2f}",
            f"{measured.p99 * 1e3:.2f}",
            f"{measured.cpu * 1e6:,.0f}",
            f"{row.cpu_ratio:.2f}",
            f"{measured.load:.0%}",
        )
    )


def judged(row: Row) -> str:
    """Marks count at the largest number of connections."""
    if row.path.mark is None or row.at_once != max(row.path.at_once):
        return ""
    late = row.path.mark_p99 is not None and row.measured.p99 > row.path.mark_p99
    word = "missed" if row.ratio < row.path.mark else "late" if late else "met"
    return f"{row.path.mark:g} {word}"


def show_footprints(bare: Footprint, gateway: Footprint) -> str:
    times, more = gateway.start / bare.start, gateway.memory - bare.memory
    return (
        f"start to first answer: {gateway.start:.2f} s, bare {bare.start:.2f} s, {times:.2f} times "
        f"(mark {START_MARK:g}: {'met' if times <= START_MARK else 'missed'})\n"
        f"memory then: {gateway.memory:.0f} MB, bare {bare.memory:.0f} MB, {more:.0f} MB more "
        f"(mark {MEMORY_MARK:g}: {'met' if more <= MEMORY_MARK else 'missed'})"
    )


def machine() -> dict[str, Any]:
    model = [one for one in Path("/proc/cpuinfo").read_text().splitlines() if one.startswith("model name")]
    return {
        "processor": model[0].partition(": ")[2] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def introduction() -> str:
    found = machine()
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    return (
        f"{found['processor']}, {found['cores']} cores, load average {found['load_average']:.1f} before the run\n"
        f"Python {found['python']}; {packages}\n"
        "One worker on one core; load, database and provider on another. Rate limits off: one address sends it all.\n"
        "No access log, where the row does not say so. CPU: of the server process, per request or sign-in; "
        "CPU ×: beside a bare request's."
    )


def write_json(file: Path, plan: Plan, found: list[Row], footprints: tuple[Footprint, Footprint]) -> None:
    bare, gateway = (asdict(one) for one in footprints)
    said = {
        "machine": machine(),
        "plan": asdict(plan),
        "rows": [as_json(row) for row in found],
        "footprint": {"bare": bare, "gateway": gateway},
    }
    file.write_text(json.dumps(said, indent=2) + "\n")


def as_json(row: Row) -> dict[str, object]:
    """Rates per second, times in seconds."""
    return {
        "path": row.path.name,
        "at_once": row.at_once,
        "mark": row.path.mark,
        "ratio": row.ratio,
        "ratios": row.ratios,
        "cpu_ratio": row.cpu_ratio,
        "bare": asdict(row.bare),
        "measured": asdict(row.measured),
    }
