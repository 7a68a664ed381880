"""/metrics: what the gateway counts, for the networks that `metrics` names. Labels are codes and templates of paths."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.errors import NotFound
from gateway.flows.renew import Rotates
from gateway.sessions.rotation import FastForwarded, Outcome, Replayed, Reused, Rotated, Superseded, Unknown
from gateway.tokens.refresh import Presented

from . import addresses
from .counting import Board, Family, Key, Tally
from .limits import bucket_for
from .parts import Parts, parts_of
from .problems import ERROR

Made = TypeVar("Made")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LOGIN, CALLBACK = "/auth/{provider}/login", "/auth/{provider}/callback"
FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
OUTCOMES: Mapping[type, str] = {
    Rotated: "rotated",
    Replayed: "replayed",
    Superseded: "superseded",
    FastForwarded: "fast_forwarded",
    Reused: "reused",
    Unknown: "unknown",
}

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("gateway_requests_total", "counter", ("method", "route", "status"), "Requests answered."),
        Family("gateway_request_seconds", "histogram", ("route",), "Time from a request's head to its answer's end."),
        Family("gateway_errors_total", "counter", ("code",), "Errors answered, by their code."),
        Family("gateway_rate_limited_total", "counter", ("bucket",), "Requests refused by a rate limit."),
        Family(
            "gateway_sign_ins_total",
            "counter",
            ("provider", "outcome"),
            "Sign-ins that came back from a provider, or with its ID token.",
        ),
        Family("gateway_refreshes_total", "counter", ("outcome",), "Refresh tokens presented to the database."),
        Family("gateway_refresh_database_seconds", "histogram", (), "Time a refresh waits for the database."),
        Family("gateway_ended_sessions", "gauge", (), "Ended sessions whose access tokens may still live."),
        Family("gateway_ended_sessions_known", "gauge", (), "1 while ends are known; at 0 nobody passes."),
        Family("gateway_signing_keys", "gauge", ("state",), "Signing keys loaded."),
        Family("process_start_time_seconds", "gauge", (), "When the process began, in epoch seconds."),
        Family("process_cpu_seconds_total", "counter", (), "Processor time spent."),
        Family("process_resident_memory_bytes", "gauge", (), "Memory in use."),
    )
}
STARTED = time.time()


class Metrics:
    """The counters of one gateway in one process; with a `board`, together with its other workers'."""

    def __init__(self, providers: Iterable[str], board: Path | None = None) -> None:
        self._tally = Tally()
        self._board = Board(board) if board else None
        self._providers = frozenset(providers)
        # The hot paths pass Starlette's routing by, and with it the template.
        self._templates = {path: path for path in ("/auth/verify", "/auth/token", "/auth/refresh")}
        self._templates |= {f"/auth/{name}/login": LOGIN for name in self._providers}
        self._templates |= {f"/auth/{name}/callback": CALLBACK for name in self._providers}

    @property
    def shared(self) -> bool:
        return self._board is not None

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        path, method = scope["path"], scope["method"]
        template = self._templates.get(path) or getattr(scope.get("route"), "path", None) or "other"
        count = self._tally.count
        count("gateway_requests_total", method if method in METHODS else "other", template, str(status))
        self._tally.observe("gateway_request_seconds", template, seconds=seconds)
        if status >= 400:
            count("gateway_errors_total", scope.get(ERROR, "other"))
        if status == 429:
            count("gateway_rate_limited_total", bucket_for(path) or "other")
        if template == CALLBACK or (template == LOGIN and method == "POST"):
            self._came_back(scope, status)

    def _came_back(self, scope: Scope, status: int) -> None:
        name = scope["path"].rsplit("/", 2)[1]
        if name in self._providers:
            outcome = "ok" if status < 400 else scope.get(ERROR, "other")
            self._tally.count("gateway_sign_ins_total", name, outcome)

    def refreshed(self, outcome: str, seconds: float) -> None:
        self._tally.count("gateway_refreshes_total", outcome)
        self._tally.observe("gateway_refresh_database_seconds", seconds=seconds)

    async def post(self) -> None:
        """Let the other workers know what this one has counted."""
        if self._board:
            self._board.post(self._tally)

    def text(self, gauges: Mapping[Key, float]) -> str:
        """Everything counted, and the gauges of this moment."""
        total = Tally()
        total.counts |= gauges
        total.add((self._board.total(self._tally) if self._board else self._tally).dump())
        return total.text(FAMILIES)


@dataclass(frozen=True, slots=True)
class WatchedRotations:
    """Rotations, counted by outcome and timed."""

    rotations: Rotates
    metrics: Metrics

    async def rotate(self, presented: Presented, client_id: str, then: Callable[[Outcome], Made]) -> Made:
        began, outcome, answered = perf_counter(), "unavailable", None

        def noting(answer: Outcome) -> Made:
            nonlocal outcome, answered
            outcome, answered = OUTCOMES[type(answer)], perf_counter()
            return then(answer)

        try:
            return await self.rotations.rotate(presented, client_id, noting)
        finally:
            self.metrics.refreshed(outcome, (answered or perf_counter()) - began)


def gauges(parts: Parts) -> dict[Key, float]:
    states = [key.state for key in parts.keyring.keys.values()]
    found: dict[Key, float] = {("gateway_signing_keys", state): states.count(state) for state in states}
    found[("gateway_ended_sessions",)] = len(parts.ended)
    found[("gateway_ended_sessions_known",)] = int(parts.ended.trustworthy())
    return found | ({} if parts.metrics.shared else process())


def process() -> dict[Key, float]:
    """What there is to know of a process that is alone."""
    found: dict[Key, float] = {
        ("process_start_time_seconds",): round(STARTED, 3),
        ("process_cpu_seconds_total",): round(time.process_time(), 3),
    }
    try:
        with open("/proc/self/statm") as statm:
            found[("process_resident_memory_bytes",)] = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass  # not Linux
    return found


def may_read(parts: Parts, scope: Scope) -> bool:
    """Whether the client's address lies in a network that `metrics` names.

    Whom a proxy speaks for that is not trusted is unknown, also when it runs on this machine; and so is a client
    that cannot be told from the proxy.
    """
    trusted = parts.settings.trusted_proxies
    client = addresses.parse(addresses.client_ip(scope, trusted))
    if client is None:
        return False
    if any(name in FORWARDING for name, _ in scope["headers"]) and (
        not addresses.is_proxied(scope, trusted) or addresses.is_trusted(client, trusted)
    ):
        return False
    return addresses.is_trusted(client, parts.settings.metrics)


async def metrics(request: Request) -> Response:
    """GET /metrics. NotFound for everybody else, as if there were nothing."""
    parts = parts_of(request.scope)
    if not may_read(parts, request.scope):
        raise NotFound("not a network that may read the metrics")
    return Response(parts.metrics.text(gauges(parts)), headers={"Content-Type": CONTENT_TYPE})


routes = [Route("/metrics", metrics)]
