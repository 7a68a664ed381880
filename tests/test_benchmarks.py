"""The benchmarks really run: what they find, how they fail, and that nothing of them is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from sqlalchemy import create_engine, text

from benchmarks import filling, growth, pgbench, report
from benchmarks.load import Wrong
from benchmarks.measure import Plan
from benchmarks.paths import PATHS

from processes import Command, wait_until

ROOT = Path(__file__).parents[1]
PAGE = "# A\n<!-- run: begin -->\nold\n<!-- run: end -->\nB\n<!-- growth: begin -->\n<!-- growth: end -->\nC\n"
PATIENCE = 170  # seconds for one run: a quick one takes ten, and the machine may be busy
WRONG = """
import sys
from benchmarks.__main__ import main
from benchmarks.clients import Repeat
from benchmarks.paths import Path, named, with_cookie

def mixed_up(gate, count, _seconds):
    right, other = gate.signed_in(2)
    good = Repeat(with_cookie(right.pair.access_token), named(right.subject))
    return [good] * (count - 1) + [Repeat(with_cookie(right.pair.access_token), named(other.subject))]

sys.exit(main(["--quick", "--only", "mixed up", "--json", "found.json"], [Path("mixed up", "sqlite", mixed_up)]))
"""


def start(folder: Path, arguments: Sequence[str]) -> Command:
    """A run whose every process can be told by its TMPDIR."""
    (folder / "page").write_text(PAGE)
    return Command(arguments, folder, {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)})


def run(folder: Path, *arguments: str) -> Command:
    started = start(folder, ["-m", "benchmarks", "--quick", "--limit", str(PATIENCE), *arguments])
    assert started.process.wait(PATIENCE) == 0, started.err
    return started


def left_over(folder: Path) -> list[str]:
    """The processes of a run that still live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def assert_tidy(folder: Path) -> None:
    wait_until(lambda: not left_over(folder))
    assert not list(folder.glob("gateway-benchmark-*"))


def table(page: str) -> list[list[str]]:
    """The first table of a page, without its headings."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.postgres
def test_run_finds_the_same_for_people_programs_and_the_page(tmp_path: Path, postgres_url: str) -> None:
    need("nginx")
    only = ["--only", "POST /auth/token, SQLite", "--only", "by nginx", "--only", "start and memory"]

    ended = run(tmp_path, *only, "--json", "found.json", "--markdown", "page", "--chart", "chart.svg")

    found = json.loads((tmp_path / "found.json").read_text())
    page, chart = (tmp_path / "page").read_text(), (tmp_path / "chart.svg").read_text()
    beside = [(row["path"], row["beside"]) for row in found["rows"]]
    by_nginx = [("GET /auth/verify, by nginx", each) for each in ("bare, nginx", "bare, empty, nginx")]
    assert beside == [*by_nginx, ("POST /auth/token, SQLite", "bare")]
    rows = [list(report.cells(row)) for row in found["rows"]]
    assert [report.line(row) for row in rows] == [line for line in ended.out.splitlines() if "/auth/" in line]
    assert table(page) == [row[:-1] for row in rows]
    assert page.startswith("# A\n")
    assert page.endswith(PAGE.partition("<!-- run: end -->")[2])
    assert "old" not in page
    assert report.sentences(found["footprint"]) in page
    labels = [element.text for element in fromstring(chart).iter() if element.tag.endswith("}text")]  # noqa: S314  ours
    assert {row["path"] for row in found["rows"]} <= set(labels)
    assert_tidy(tmp_path)
    name = f"gateway_benchmark_{ended.process.pid}%"
    assert count(postgres_url, "SELECT count(*) FROM pg_database WHERE datname LIKE :name", name=name) == 0


def need(program: str) -> str:
    """Where it is. Skips the test without it; in CI that is a failure."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not there")
    return found


def count(url: str, query: str, **given: object) -> int:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.scalar(text(query), given) or 0
    finally:
        engine.dispose()


def test_growth_compares_small_and_large_tables(tmp_path: Path) -> None:
    only = ["--only", "SQLite", "--only", "memory over time"]

    run(tmp_path, "--growth", *only, "--json", "found.json", "--markdown", "page")

    found = json.loads((tmp_path / "found.json").read_text())
    (row,) = found["rows"]
    assert row["path"] == "POST /auth/token, SQLite"
    assert (row["verdict"] == "met") == (row["ratio"] >= growth.MARK)
    assert [point["requests"] for point in found["memory"]] == sorted({point["requests"] for point in found["memory"]})
    assert found["memory"][-1]["requests"] > 0
    page = (tmp_path / "page").read_text()
    assert list(growth.cells(row)) in table(page)
    assert page.startswith(PAGE.partition("<!-- growth: begin -->")[0])
    assert_tidy(tmp_path)


def test_one_wrong_answer_fails_the_run(tmp_path: Path) -> None:
    started = start(tmp_path, ["-c", WRONG])

    assert started.wait() == 1
    assert "The run failed: not 200 with" in started.err
    assert not (tmp_path / "found.json").exists()
    assert_tidy(tmp_path)


def test_nothing_is_left_of_an_interrupted_run(tmp_path: Path) -> None:
    started = start(tmp_path, ["-m", "benchmarks", "--only", "SQLite"])
    wait_until(lambda: "at once" in started.out)
    assert len(left_over(tmp_path)) >= 5  # the run, its load, a bare application, a gateway and a provider

    assert started.end(signal.SIGINT) == 130

    assert_tidy(tmp_path)


def test_page_without_a_place_for_the_tables_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("<!-- growth: begin -->\n<!-- growth: end -->\n")
    started = start(tmp_path, ["-m", "benchmarks", "--quick", "--markdown", "other"])

    assert started.wait() == 2
    assert "<!-- run: begin --> … <!-- run: end -->" in started.err


def test_filling_brings_the_tables_to_a_size(database_url: str) -> None:
    filling.fill(database_url, filling.Size(sessions=30, accounts=70))

    joined = "FROM sessions s JOIN identities i ON i.id = s.identity_id JOIN accounts a ON a.id = i.account_id"
    assert count(database_url, "SELECT count(*) FROM accounts") == 70
    assert count(database_url, f"SELECT count(DISTINCT s.account_id) {joined} WHERE s.account_id = a.id") == 30


@pytest.mark.postgres
@pytest.mark.parametrize("work", [pgbench.textbook(4), pgbench.our_update(4)], ids=["textbook", "our update"])
def test_pgbench_is_held_to_what_it_says(postgres_url: str, tmp_path: Path, work: pgbench.Work) -> None:
    filling.fill(postgres_url, filling.Size(sessions=1, accounts=1))
    plan = Plan(rounds=1, seconds=0.4)

    take = pgbench.of(need("pgbench"), tmp_path / "works", postgres_url, work)
    assert take(PATHS[0], 4, plan).rate > 0

    idle = pgbench.of(need("pgbench"), tmp_path / "idles", postgres_url, replace(work, script="SELECT 1;"))
    with pytest.raises(Wrong, match=r"pgbench counted \d+ rotations, and there were 0"):
        idle(PATHS[0], 4, plan)
