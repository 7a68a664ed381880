"""The same by wrk, where it is installed: a second load generator, to see whether the first one gets in the way.

Its script looks at every answer too, but cannot tell on which connection an answer came: it accepts anybody of those it
asked for. What counts against the marks is therefore what our own load finds.
"""

from __future__ import annotations

import json
import math
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path as File

from .load import Wrong
from .measure import Plan, Side, Take
from .paths import Path, with_cookie
from .processes import OTHER_CORE, Missing, Process, cpu_seconds, on
from .stage import Gate

PATIENCE = 30.0  # seconds for one run
SCRIPT = """
local asks, holds, n = {%(asks)s}, {%(holds)s}, 0
local all = {}
wrong, example = 0, ""

function setup(thread) table.insert(all, thread) end

function request()
    n = n %% #asks + 1
    return asks[n]
end

function response(status, headers, body)
    if status ~= 200 or not holds[headers["x-auth-request-user"] or body] then
        wrong, example = wrong + 1, status .. " " .. body
    end
end

function done(summary, latency)
    local thread, failed = all[1], 0
    for _, count in pairs(summary.errors) do failed = failed + count end
    io.write(string.format('\\n{"units": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, ' ..
        '"failed": %%d, "wrong": %%d}\\n%%s',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
        failed, thread:get("wrong"), thread:get("example")))
end
"""


def find() -> str:
    """Raises Missing."""
    program = shutil.which("wrk")
    if program is None:
        raise Missing("wrk is not installed")
    return program


def of_gate(program: str, folder: File, gate: Gate) -> Take:
    """GET /auth/verify with as many cookies as there are connections."""

    def take(_path: Path, at_once: int, plan: Plan) -> Side:
        people = gate.signed_in(at_once)
        gate.place(OTHER_CORE)
        asks = [with_cookie(one.pair.access_token) for one in people]
        return ask(program, folder, gate.process, at_once, plan, asks, [one.subject for one in people])

    return take


def of_server(program: str, folder: File, server: Process, request: bytes, body: str) -> Take:
    def take(_path: Path, at_once: int, plan: Plan) -> Side:
        return ask(program, folder, server, at_once, plan, [request], [body])

    return take


def ask(
    program: str, folder: File, server: Process, at_once: int, plan: Plan, asks: Sequence[bytes], holds: Sequence[str]
) -> Side:
    """`holds`: whom the answers may name, or what they may say. Raises Wrong. NOTE: the warm-up counts."""
    script = folder / "wrk.lua"
    texts = {"asks": ", ".join(json.dumps(one.decode()) for one in asks)}
    script.write_text(SCRIPT % (texts | {"holds": ", ".join(f"[{json.dumps(one)}] = true" for one in holds)}))
    seconds = math.ceil(plan.seconds)
    command = [program, "--threads=1", f"--connections={at_once}", f"--duration={seconds}s", "--latency"]
    server_cpu, own_cpu = cpu_seconds(server.pid), spent()
    with on(OTHER_CORE):
        command += [f"--script={script}", f"http://127.0.0.1:{server.port}"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    server_cpu, own_cpu = cpu_seconds(server.pid) - server_cpu, spent() - own_cpu
    if ended.returncode:
        raise Wrong(f"wrk: {ended.stderr[-600:]}")
    said, _, example = ended.stdout.partition("\n{")[2].partition("\n")
    found = json.loads("{" + said)
    if found["failed"] or found["wrong"] or not found["units"]:
        raise Wrong(f"wrk counted {found}: {example[:600]}")
    units = found["units"]
    return Side(units / found["seconds"], found["p50"], found["p99"], server_cpu / units, own_cpu / found["seconds"])


def spent() -> float:
    """CPU seconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
