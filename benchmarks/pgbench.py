"""What PostgreSQL does by itself, asked by pgbench: a rotation as in a textbook, and our own UPDATE for one row.

Each of its clients rotates a chain or a session of its own, as ours do. What it has done is looked up in the tables
afterwards: as many rotations as it has counted.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url

from gateway.sessions.rotation_sql import ROTATE

from . import databases
from .load import Wrong
from .measure import Plan, Side, Take
from .paths import Path
from .processes import OTHER_CORE, Missing, on

PATIENCE = 20.0  # seconds beyond what a run should take
# There are other tokens already: a table that looks empty would be planned for as one.
TEXTBOOK_TABLE = """
DROP TABLE IF EXISTS textbook;
CREATE TABLE textbook (
    digest bytea PRIMARY KEY, session_id int NOT NULL, run int NOT NULL, expires_at bigint NOT NULL, used_at bigint
);
INSERT INTO textbook SELECT sha256(n::text::bytea), n, 0, 1, 1 FROM generate_series(1, 100000) AS series(n);
ANALYZE textbook;
"""
FIRST_TOKENS = """
INSERT INTO textbook (digest, session_id, run, expires_at)
SELECT sha256((:run || '-' || n || '-0')::bytea), n, :run, 1 FROM generate_series(0, :clients - 1) AS series(n)
"""
TEXTBOOK = r"""
\set n :n + 1
\set next :n + 1
BEGIN;
SELECT session_id, expires_at, used_at FROM textbook
    WHERE digest = sha256((:run || '-' || :client_id || '-' || :n)::bytea) FOR UPDATE;
INSERT INTO textbook (digest, session_id, run, expires_at)
    VALUES (sha256((:run || '-' || :client_id || '-' || :next)::bytea), :client_id, :run, 1);
UPDATE textbook SET used_at = 1 WHERE digest = sha256((:run || '-' || :client_id || '-' || :n)::bytea);
COMMIT;
"""
ROTATED = "SELECT count(used_at) FROM textbook WHERE run = :run"

FRESH_SESSIONS = """
DELETE FROM sessions WHERE client_id = 'pgbench';
INSERT INTO sessions (id, account_id, client_id, provider, created_at, auth_time, expires_at, last_used_at, user_agent,
    ip, facts, scope, current, parent, rotated_at, outcome)
SELECT lpad(to_hex(n), 32, '0')::uuid, (SELECT id FROM accounts LIMIT 1), 'pgbench', 'google', :now, :now, :now + 86400,
    :now, '', '', '{}', 'openid', 0, -1, :now, 0
FROM generate_series(0, :clients - 1) AS series(n)
"""
UPDATED = "SELECT sum(current)::bigint FROM sessions WHERE client_id = 'pgbench' AND ended_at IS NULL"
OURS = {  # what the gateway would hand over with its statement for a batch of one
    "presented_id": "ARRAY[lpad(to_hex(:client_id::int), 32, '0')]",
    "presented_n": "ARRAY[:n]",
    "presented_client_id": "ARRAY['pgbench']",
    "now": "extract(epoch FROM now())",
    "grace": "20",
    "idle_ttl": "1209600",
}
VARIABLE = re.compile(r"(?<!:):(\w+)")


@dataclass(frozen=True, slots=True)
class Work:
    """A script for pgbench: what has to be there for all of its runs, what before each, and how much one has done."""

    clients: int
    script: str
    tables: str
    before: str
    done: str


def find() -> str:
    """Raises Missing."""
    program = shutil.which("pgbench")
    if program is None:
        raise Missing("pgbench is not installed")
    return program


def textbook(clients: int) -> Work:
    """Read for update, insert the next token, mark the old one as used: one transaction, five round trips."""
    return Work(clients, TEXTBOOK, TEXTBOOK_TABLE, FIRST_TOKENS, ROTATED)


def our_update(clients: int) -> Work:
    """The gateway's own statement for a batch of one."""
    return Work(clients, f"\\set n :n + 1\n{one_row_update()};\n", "SELECT 1", FRESH_SESSIONS, UPDATED)


def one_row_update() -> str:
    compiled = ROTATE["postgresql"].compile(dialect=postgresql.dialect(paramstyle="named"))
    values = {name: OURS.get(name) or literal(value) for name, value in compiled.params.items()}
    return fill_in(str(compiled), values)


def fill_in(text: str, values: Mapping[str, object]) -> str:
    return VARIABLE.sub(lambda found: str(values[found[1]]), text)


def literal(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def of(program: str, folder: File, database_url: str, work: Work) -> Take:
    """`folder` is for its script and its log, and is made."""
    folder.mkdir()
    (folder / "script").write_text(work.script)
    databases.execute(database_url, work.tables)
    runs = iter(range(1, 1_000_000))

    def take(_path: Path, _at_once: int, plan: Plan) -> Side:
        values = {"run": next(runs), "clients": work.clients, "now": int(time.time())}
        databases.execute(database_url, fill_in(work.before, values))
        side, counted = run(program, folder, database_url, work, plan, values)
        (done,) = databases.statement(make_url(database_url), fill_in(work.done, values))
        if done != counted:
            raise Wrong(f"pgbench counted {counted} rotations, and there were {done}")
        return side

    return take


def run(
    program: str, folder: File, database_url: str, work: Work, plan: Plan, values: Mapping[str, int]
) -> tuple[Side, int]:
    """What the time after the warm-up was like, and how many transactions there were in all."""
    seconds = math.ceil(plan.seconds + plan.warm_up)
    options = ["--no-vacuum", "--protocol=prepared", "--jobs=1", f"--client={work.clients}", f"--time={seconds}"]
    options += ["--log", f"--log-prefix={folder}/log", f"--file={folder}/script"]
    options += ["--define=n=-1", f"--define=run={values['run']}"]
    with on(OTHER_CORE):
        url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        child = subprocess.Popen([program, *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(plan.warm_up / 2)
        databases.place(database_url, OTHER_CORE)  # its connections are there by now
        _, said = child.communicate(timeout=seconds + PATIENCE)
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise Wrong(f"pgbench: {said[-600:]}")
    log = folder / f"log.{child.pid}"
    found = [line.split() for line in log.read_text().splitlines()]
    log.unlink()
    ends = [(int(one[4]) + int(one[5]) / 1e6, int(one[2]) / 1e6) for one in found]
    return side(ends, plan.warm_up, seconds), len(found)


def side(log: list[tuple[float, float]], warm_up: float, seconds: float) -> Side:
    """`log`: when each transaction ended (epoch seconds), and how long it took. A disk that hung for all of the
    `seconds` leaves nothing after the warm-up; then everything counts."""
    began, ended = min(at for at, _ in log) + warm_up, max(at for at, _ in log)
    latencies = sorted(took for at, took in log if at > began)
    if not latencies:
        latencies, began = sorted(took for _, took in log), ended - seconds
    units = len(latencies)
    return Side(units / (ended - began), latencies[units // 2], latencies[units * 99 // 100], None, None)
