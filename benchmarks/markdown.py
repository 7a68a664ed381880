"""What was found, put into a page between two comments that the page has for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import growth, report

UNSHOWN = "load"  # of interest during a run, not afterwards


def frame(kind: str) -> tuple[str, str]:
    """The comments around the measurements of a `run`, or of `growth`."""
    return f"<!-- {kind}: begin -->\n", f"<!-- {kind}: end -->"


def has_place(file: Path, kind: str) -> bool:
    first, last = frame(kind)
    return last in file.read_text().partition(first)[2]


def put(file: Path, found: Mapping[str, Any]) -> None:
    """Replace what stands between the comments. The page has them."""
    first, last = frame(found["kind"])
    before, _, rest = file.read_text().partition(first)
    after = rest.partition(last)[2]
    content = of_growth(found) if found["kind"] == "growth" else of_run(found)
    file.write_text(f"{before}{first}\n{content}\n\n{last}{after}")


def of_run(found: Mapping[str, Any]) -> str:
    parts = [report.headline(found["machine"]), table(report.HEADINGS, map(report.cells, found["rows"]))]
    if found["footprint"]:
        parts.append(report.sentences(found["footprint"]))
    return "\n\n".join(parts)


def of_growth(found: Mapping[str, Any]) -> str:
    tables: Mapping[str, Any] = found["sizes"]
    sizes = (f"{name} {one['sessions']:,} sessions, {one['accounts']:,} accounts" for name, one in tables.items())
    starts = ((name, *of_start(one)) for name, one in found["starts"].items())
    points = ((f"{one['requests']:,}", f"{one['memory']:.1f}") for one in thinned(found["memory"]))
    return "\n\n".join(
        (
            report.headline(found["machine"]),
            f"Tables: {'; '.join(sizes)}.",
            table(growth.HEADINGS, map(growth.cells, found["rows"])),
            table(("tables", "start s", "bare s", "times", "MB", "MB more"), starts),
            table(("requests answered", "memory of the worker, MB"), points),
        )
    )


def thinned(points: Sequence[Any]) -> list[Any]:
    """A dozen of them, the first and the last among these."""
    return [*points[: -1 : max(1, len(points) // 12)], *points[-1:]]


def of_start(found: Mapping[str, Any]) -> tuple[str, ...]:
    bare, gateway = found["bare"], found["gateway"]
    return (
        f"{gateway['start']:.2f}",
        f"{bare['start']:.2f}",
        f"{found['start_ratio']:.2f}",
        f"{gateway['memory']:.1f}",
        f"{found['memory_more']:.1f}",
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    shown = [number for number, name in enumerate(headings) if name != UNSHOWN]
    lines = [f"| {' | '.join(row[number] for number in shown)} |" for row in (headings, *rows)]
    return "\n".join((lines[0], "|" + "---|" * len(shown), *lines[1:]))
