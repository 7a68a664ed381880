"""The command: `benchmarks/run [--quick] [--growth] [--only WORD] [--json FILE] [--markdown FILE] [--chart FILE] …`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import growth, markdown, measure, paths, report, sides
from .footprint import footprints
from .load import Wrong
from .measure import Plan
from .processes import Missing, NotStarted
from .report import Found
from .scene import Scene

QUICK, FULL = Plan(rounds=1, seconds=0.4, warm_up=0.15), Plan(rounds=3, seconds=1.2)
QUICK_LIMIT, FULL_LIMIT, GROWTH_LIMIT = 60, 600, 2400  # seconds for everything
TIDYING = 8  # of these, for ending what was started
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"


def main(arguments: Sequence[str] | None = None, measured: Sequence[paths.Path] = paths.PATHS) -> int:
    asked = read_arguments(arguments)
    logging.disable(logging.WARNING)
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):  # a shell may have had the first ignored
        signal.signal(ending, stop)
    signal.alarm(max(1, (asked.limit or limit(asked)) - TIDYING))
    try:
        write(asked, json.loads(asked.read.read_text()) if asked.read else run(asked, measured))
    except (Wrong, NotStarted, Missing) as error:
        print(f"\nThe run failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started has ended.", file=sys.stderr)
        return 130
    return 0


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks/run", description="Measure the hot paths against a bare route.")
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round at the most connections")
    add("--growth", action="store_true", help="with small and with large tables, and memory over a million requests")
    add("--only", action="append", default=[], metavar="WORD", help="only what has this in its name; may be repeated")
    add("--postgres", default=SERVER, metavar="URL", help=f"a server to make a database on: {SERVER}")
    add("--json", type=Path, metavar="FILE", help="write everything that was found as JSON, too")
    add("--markdown", type=Path, metavar="FILE", help="put the tables into this page, between the comments for them")
    add("--chart", type=Path, metavar="FILE", help="draw the ratios as SVG")
    add("--limit", type=int, metavar="SECONDS", help=f"for everything: {FULL_LIMIT}, --quick {QUICK_LIMIT}")
    add("--read", type=Path, metavar="FILE", help="measure nothing: take what --json has written")
    asked = parser.parse_args(arguments)
    kind = "growth" if asked.growth else "run"
    if asked.markdown and not asked.read and not markdown.has_place(asked.markdown, kind):
        parser.error(f"{asked.markdown} has no {' … '.join(map(str.strip, markdown.frame(kind)))}")
    return asked


def limit(asked: argparse.Namespace) -> int:
    return QUICK_LIMIT if asked.quick else GROWTH_LIMIT if asked.growth else FULL_LIMIT


def stop(number: int, _frame: object) -> None:
    if number == signal.SIGALRM:
        raise Wrong("the time for a whole run is over")
    raise KeyboardInterrupt


def run(asked: argparse.Namespace, measured: Sequence[paths.Path]) -> Found:
    machine = report.machine()
    print(f"{report.introduction(machine)}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, sides.load() as drive:
        if asked.growth:
            how = growth.QUICK if asked.quick else growth.FULL
            parts = {part for part in growth.PARTS if is_wanted(part, asked)}
            found = growth.run(how, growth.grown(wanted(measured, asked)), parts, Path(name), asked.postgres, drive)
        else:
            found = compare(asked, wanted(measured, asked), Path(name), drive)
    machine["load_after"] = os.getloadavg()[0]
    return {"kind": "growth" if asked.growth else "run", "machine": machine, **found}


def wanted(measured: Sequence[paths.Path], asked: argparse.Namespace) -> list[paths.Path]:
    return [path for path in measured if is_wanted(path.name, asked)]


def is_wanted(name: str, asked: argparse.Namespace) -> bool:
    return not asked.only or any(word in name for word in asked.only)


def compare(asked: argparse.Namespace, measured: Sequence[paths.Path], folder: Path, drive: sides.Drive) -> Found:
    plan = QUICK if asked.quick else FULL
    if asked.quick:
        measured = [dataclasses.replace(path, at_once=path.at_once[-1:]) for path in measured]
    with Scene(folder, asked.postgres, drive) as scene:
        takes = scene.takes(name for path in measured for name in (path.beside, path.gate))
        print(report.line(report.HEADINGS), flush=True)
        rows = []
        for row in measure.rows(takes, measured, plan):
            rows.append(report.of_row(row))
            print(report.line(report.cells(rows[-1])), flush=True)
        footprint = None
        if is_wanted(growth.START, asked):
            footprint = report.of_footprints(*footprints(folder, scene.sqlite.folder, plan.rounds))
            print(f"\n{report.sentences(footprint)}")
    return {"plan": dataclasses.asdict(plan), "rows": rows, "footprint": footprint}


def write(asked: argparse.Namespace, found: Found) -> None:
    if asked.json:
        report.write_json(asked.json, found)
    if asked.markdown:
        markdown.put(asked.markdown, found)
    if asked.chart:
        from .chart import draw  # matplotlib takes longer to load than everything else here

        draw(asked.chart, found)


if __name__ == "__main__":
    sys.exit(main())
