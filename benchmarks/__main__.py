"""The command: `benchmarks/run [--quick] [--json FILE] [--postgres URL] [--only WORD]`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import signal
import sys
import tempfile
from pathlib import Path

from . import measure, report
from .databases import NoServer
from .footprint import footprints
from .load import Wrong
from .measure import Plan, Row
from .paths import PATHS
from .processes import NotStarted, Process
from .stage import Gate, Stage

QUICK, FULL = Plan(rounds=1, seconds=0.8), Plan(rounds=3, seconds=1.2)
QUICK_LIMIT, FULL_LIMIT = 60, 600  # seconds for everything
SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"


def main() -> int:
    arguments = read_arguments()
    logging.disable(logging.WARNING)
    for ending in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(ending, stop)
    signal.alarm(QUICK_LIMIT if arguments.quick else FULL_LIMIT)
    try:
        run(arguments)
    except (Wrong, NotStarted) as error:
        print(f"\nThe run failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started has ended.", file=sys.stderr)
        return 130
    return 0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks/run", description="Measure the hot paths against a bare route.")
    parser.add_argument("--quick", action="store_true", help="one short round at the most connections")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found as JSON, too")
    parser.add_argument("--postgres", default=SERVER, metavar="URL", help=f"a server to make a database on: {SERVER}")
    parser.add_argument("--only", default="", metavar="WORD", help="only paths whose name holds this")
    return parser.parse_args()


def stop(number: int, _frame: object) -> None:
    if number == signal.SIGALRM:
        raise Wrong("the time for a whole run is over")
    raise KeyboardInterrupt


def run(arguments: argparse.Namespace) -> None:
    plan = QUICK if arguments.quick else FULL
    paths = [path for path in PATHS if arguments.only in path.name]
    if arguments.quick:
        paths = [dataclasses.replace(path, at_once=path.at_once[-1:]) for path in paths]
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as name, Stage(Path(name)) as stage:
        bare, gates = set_up(stage, {path.gate for path in paths}, arguments.postgres)
        print(f"{report.introduction()}\n\n{report.heading()}", flush=True)
        found: list[Row] = []
        with measure.load() as drive:
            for row in measure.rows(gates, bare, paths, plan, drive):
                print(report.show(row), flush=True)
                found.append(row)
        started = footprints(Path(name), Path(name) / "sqlite", plan.rounds)
        print(f"\n{report.show_footprints(*started)}")
    if arguments.json:
        report.write_json(arguments.json, plan, found, started)


def set_up(stage: Stage, wanted: set[str], server: str) -> tuple[Process, dict[str, Gate]]:
    gates = {"sqlite": stage.gate("sqlite", stage.sqlite())}
    if "logging" in wanted:
        gates["logging"] = stage.gate("logging", stage.sqlite("logging"), log_level="info")
    if "postgresql" in wanted:
        try:
            gates["postgresql"] = stage.gate("postgresql", stage.postgresql(server))
        except NoServer as error:
            print(f"Nothing is measured on PostgreSQL: {error}", file=sys.stderr)
    return stage.bare(), gates


if __name__ == "__main__":
    sys.exit(main())
