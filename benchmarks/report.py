"""What was found: as JSON for programs, and, made from that, a table for people."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from .footprint import Footprint
from .measure import Row, middle

Found = dict[str, Any]  # what `--json` writes; rates per second, times in seconds, memory in MB

WIDTHS = (39, 8, 8, 24, 8, 7, 14, 9, 9, 8, 8, 6)
HEADINGS = (
    "path",
    "at once",
    "per s",
    "beside",
    "per s",
    "ratio",
    "mark",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "CPU ×",
    "load",
)
START_MARK, MEMORY_MARK = 2.0, 36.0  # times a bare application's start, MB more than it
PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "sqlalchemy", "psycopg", "joserfc", "authlib", "httpx2")


def line(cells: Sequence[str]) -> str:
    """Words to the left, numbers to the right."""
    texts = zip(cells, WIDTHS, HEADINGS, strict=True)
    return "".join(
        f"{cell:<{width}}" if name == "path" else f"  {cell:<{width - 2}}" if name == "beside" else f"{cell:>{width}}"
        for cell, width, name in texts
    )


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of the table, from a row of the JSON."""
    measured, cpu = row["measured"], row["cpu_ratio"]
    return (
        row["path"],
        str(row["at_once"]),
        f"{measured['rate']:,.0f}",
        row["beside"],
        f"{row['reference']['rate']:,.0f}",
        f"{row['ratio']:.3f}",
        "" if row["verdict"] is None else f"{row['mark']:g} {row['verdict']}",
        f"{measured['p50'] * 1e3:.2f}",
        f"{measured['p99'] * 1e3:.2f}",
        f"{measured['cpu'] * 1e6:,.0f}",
        "" if cpu is None else f"{cpu:.2f}",
        f"{measured['load']:.0%}",
    )


def of_row(row: Row) -> Found:
    reference, measured = middle(row.references), middle(row.sides)
    ratio = median(row.ratios)
    return {
        "path": row.path.name,
        "at_once": row.at_once,
        "beside": row.path.beside,
        "mark": row.path.mark,
        "mark_p99": row.path.mark_p99,
        "verdict": verdict(row, ratio, measured.p99),
        "ratio": ratio,
        "ratios": row.ratios,
        "cpu_ratio": row.cpu_ratio,
        "reference": asdict(reference),
        "measured": asdict(measured),
    }


def verdict(row: Row, ratio: float, p99: float) -> str | None:
    """Marks count at the largest number of connections."""
    if row.path.mark is None or row.at_once != max(row.path.at_once):
        return None
    late = row.path.mark_p99 is not None and p99 > row.path.mark_p99
    return "missed" if ratio < row.path.mark else "late" if late else "met"


def of_footprints(bare: Footprint, gateway: Footprint) -> Found:
    times, more = gateway.start / bare.start, gateway.memory - bare.memory
    return {
        "bare": asdict(bare),
        "gateway": asdict(gateway),
        "start_ratio": times,
        "start_mark": START_MARK,
        "start_verdict": judged(times, START_MARK),
        "memory_more": more,
        "memory_mark": MEMORY_MARK,
        "memory_verdict": judged(more, MEMORY_MARK),
    }


def judged(value: float, most: float) -> str:
    return "met" if value <= most else "missed"


def sentences(found: Mapping[str, Any]) -> str:
    """Of start and memory."""
    bare, gateway = found["bare"], found["gateway"]
    return (
        f"Start to first answer: {gateway['start']:.2f} s, bare {bare['start']:.2f} s, {found['start_ratio']:.2f} "
        f"times (mark {found['start_mark']:g}: {found['start_verdict']}).\n"
        f"Memory of a worker then: {gateway['memory']:.1f} MB, bare {bare['memory']:.1f} MB, "
        f"{found['memory_more']:.1f} MB more (mark {found['memory_mark']:g}: {found['memory_verdict']})."
    )


def machine() -> Found:
    model = [one for one in Path("/proc/cpuinfo").read_text().splitlines() if one.startswith("model name")]
    return {
        "processor": model[0].partition(": ")[2] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def headline(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, load average {loads(machine)}.\n"
        f"Python {machine['python']}; {packages}."
    )


def loads(machine: Mapping[str, Any]) -> str:
    before = f"{machine['load_before']:.1f} before the run"
    return f"{before}, {machine['load_after']:.1f} after it" if "load_after" in machine else before


def introduction(machine: Mapping[str, Any]) -> str:
    return (
        f"{headline(machine)}\n"
        "One worker on one core; load, database and provider on another. Rate limits off: one address sends it all.\n"
        "No access log, where the row does not say so. CPU: of the server's processes, per request or sign-in; "
        "CPU ×: beside the reference's."
    )


def write_json(file: Path, found: Found) -> None:
    file.write_text(json.dumps(found, indent=2) + "\n")
