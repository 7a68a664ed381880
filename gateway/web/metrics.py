"""/metrics: what this process counts, in Prometheus' text format 0.0.4, for the networks that `metrics` names.

Counting is on the way of every request, so it is one dictionary entry and nothing else; labels take few values:
templates of routes, never paths. NOTE: prometheus-client would bring the same format with a lock, a registry of the
whole process and 15 ms of start-up.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.errors import NotFound
from gateway.flows.renew import Rotates
from gateway.sessions.rotation import FastForwarded, Outcome, Replayed, Reused, Rotated, Superseded, Unknown
from gateway.tokens.refresh import Presented

from . import addresses
from .limits import bucket_for
from .parts import Parts, parts_of
from .problems import ERROR

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CALLBACK = "/auth/{provider}/callback"
FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
OUTCOMES: Mapping[type, str] = {
    Rotated: "rotated",
    Replayed: "replayed",
    Superseded: "superseded",
    FastForwarded: "fast_forwarded",
    Reused: "reused",
    Unknown: "unknown",
}

# name: type, labels, help
FAMILIES: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "gateway_requests_total": ("counter", ("method", "route", "status"), "Requests answered."),
    "gateway_request_seconds": ("histogram", ("route",), "Time from a request's head to the end of its answer."),
    "gateway_errors_total": ("counter", ("code",), "Errors answered, by their code."),
    "gateway_rate_limited_total": ("counter", ("bucket",), "Requests refused by a rate limit."),
    "gateway_sign_ins_total": ("counter", ("provider", "outcome"), "Sign-ins that came back: ok, or an error's code."),
    "gateway_refreshes_total": ("counter", ("outcome",), "Refresh tokens presented to the database."),
    "gateway_refresh_database_seconds": ("histogram", (), "Time a refresh waits for its turn and its statement."),
    "gateway_ended_sessions": ("gauge", (), "Ended sessions whose access tokens may still live."),
    "gateway_ended_sessions_known": ("gauge", (), "1 while the ends of sessions are known; at 0 nobody passes."),
    "gateway_signing_keys": ("gauge", ("state",), "Signing keys loaded."),
    "process_start_time_seconds": ("gauge", (), "When the process began, in epoch seconds."),
    "process_cpu_seconds_total": ("counter", (), "Processor time spent."),
    "process_resident_memory_bytes": ("gauge", (), "Memory in use."),
}

STARTED = time.time()
Key = tuple[str, ...]  # family, then the values of its labels


@dataclass(slots=True)
class Histogram:
    """How many observations fell up to each bound, and their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Metrics:
    """The counters of one gateway in one process."""

    def __init__(self, providers: Iterable[str]) -> None:
        self._providers = frozenset(providers)
        # The hot paths pass Starlette's routing by, and with it the template.
        self._templates = {path: path for path in ("/auth/verify", "/auth/token", "/auth/refresh")}
        self._templates |= {f"/auth/{name}/login": "/auth/{provider}/login" for name in self._providers}
        self._counts: dict[Key, int] = {}
        self._histograms: dict[Key, Histogram] = {}

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        path, method = scope["path"], scope["method"]
        template = self._templates.get(path) or getattr(scope.get("route"), "path", None) or "other"
        self.count("gateway_requests_total", method if method in METHODS else "other", template, str(status))
        self.observe("gateway_request_seconds", template, seconds=seconds)
        if status >= 400:
            self.count("gateway_errors_total", scope.get(ERROR, "other"))
            if status == 429:
                self.count("gateway_rate_limited_total", bucket_for(path) or "none")
        if template == CALLBACK:
            self._came_back(scope, status)

    def _came_back(self, scope: Scope, status: int) -> None:
        name = scope.get("path_params", {}).get("provider")
        if name in self._providers:
            outcome = "ok" if status < 400 else scope.get(ERROR, "other")
            self.count("gateway_sign_ins_total", name, outcome)

    def refreshed(self, outcome: str, seconds: float) -> None:
        self.count("gateway_refreshes_total", outcome)
        self.observe("gateway_refresh_database_seconds", seconds=seconds)

    def count(self, *key: str) -> None:
        self._counts[key] = self._counts.get(key, 0) + 1

    def observe(self, *key: str, seconds: float) -> None:
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = Histogram()
        histogram.observe(seconds)

    def render(self, gauges: Mapping[Key, float]) -> str:
        """Everything as text; `gauges` are read at this moment."""
        samples: dict[str, list[str]] = {name: [] for name in FAMILIES}
        for key, value in sorted((*self._counts.items(), *gauges.items())):
            samples[key[0]].append(sample(key[0], key, value))
        for key, histogram in sorted(self._histograms.items(), key=lambda item: item[0]):
            samples[key[0]].extend(histogram_samples(key, histogram))
        return "".join(f"{heading(name)}{''.join(lines)}" for name, lines in samples.items() if lines)


def heading(family: str) -> str:
    kind, _, words = FAMILIES[family]
    return f"# HELP {family} {words}\n# TYPE {family} {kind}\n"


def sample(name: str, key: Key, value: float, **more: str) -> str:
    labels = dict(zip(FAMILIES[key[0]][1], key[1:], strict=True)) | more
    shown = ",".join(f'{label}="{escape(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value}\n" if shown else f"{name} {value}\n"


def histogram_samples(key: Key, histogram: Histogram) -> Iterator[str]:
    name, reached = key[0], 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        reached += count
        yield sample(f"{name}_bucket", key, reached, le=bound)
    yield sample(f"{name}_sum", key, histogram.total)
    yield sample(f"{name}_count", key, reached)


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class WatchedRotations:
    """Rotations, counted by outcome and timed."""

    rotations: Rotates
    metrics: Metrics

    async def rotate(self, presented: Presented) -> Outcome:
        began, outcome = perf_counter(), "unavailable"
        try:
            answer = await self.rotations.rotate(presented)
            outcome = OUTCOMES[type(answer)]
            return answer
        finally:
            self.metrics.refreshed(outcome, perf_counter() - began)


def gauges(parts: Parts) -> dict[Key, float]:
    states = [key.state for key in parts.keyring.keys.values()]
    found: dict[Key, float] = {("gateway_signing_keys", state): states.count(state) for state in states}
    found[("gateway_ended_sessions",)] = len(parts.ended)
    found[("gateway_ended_sessions_known",)] = int(parts.ended.trustworthy())
    found[("process_start_time_seconds",)] = round(STARTED, 3)
    found[("process_cpu_seconds_total",)] = round(time.process_time(), 3)
    if (memory := resident_memory()) is not None:
        found[("process_resident_memory_bytes",)] = memory
    return found


def resident_memory() -> int | None:
    """Bytes, where the system tells (Linux)."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def may_read(parts: Parts, scope: Scope) -> bool:
    """Whether the client's address lies in a network that `metrics` names.

    A proxy that is not trusted speaks for somebody unknown, also when it runs on this machine.
    """
    trusted = parts.settings.trusted_proxies
    if not addresses.is_proxied(scope, trusted) and any(name in FORWARDING for name, _ in scope["headers"]):
        return False
    client = addresses.parse(addresses.client_ip(scope, trusted))
    return client is not None and addresses.is_trusted(client, parts.settings.metrics)


async def metrics(request: Request) -> Response:
    """GET /metrics. NotFound for everybody else, as if there were nothing."""
    parts = parts_of(request.scope)
    if not may_read(parts, request.scope):
        raise NotFound("not a network that may read the metrics")
    return Response(parts.metrics.render(gauges(parts)), headers={"Content-Type": CONTENT_TYPE})


routes = [Route("/metrics", metrics)]
