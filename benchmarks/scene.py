"""Who can be measured in a run: every one by its name, started when it is first wanted, gone when the run is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from . import databases, pgbench, sides, stage, wrk
from .load import Client
from .measure import Take
from .nginx import nginx
from .paths import BARE, bare_clients, bare_json_clients, bare_page_clients
from .processes import Missing, Process, free_port
from .stage import Gate


class Scene:
    """A bare application, gateways, and what stands in front of them. `server`: a PostgreSQL to make a database on."""

    def __init__(self, folder: Path, server: str, drive: sides.Drive) -> None:
        self._folder = folder
        self._server = server
        self._drive = drive
        self._stack = ExitStack()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def takes(self, names: Iterable[str]) -> dict[str, Take]:
        """Those that can be had; of the others is told why not."""
        found = {}
        for name in dict.fromkeys(names):
            try:
                found[name] = self._makers[name]()
            except Missing as reason:
                print(f"Not measured, {name}: {reason}", file=sys.stderr)
        return found

    @property
    def _makers(self) -> Mapping[str, Callable[[], Take]]:
        return {
            "bare": lambda: self._of_bare(bare_clients),
            "bare, JSON": lambda: self._of_bare(bare_json_clients),
            "postgresql": lambda: sides.of_gate(self._drive, self.postgresql),
            "sqlite": lambda: sides.of_gate(self._drive, self.sqlite),
            "logging": lambda: sides.of_gate(self._drive, self._gate("logging", log_level="info")),
            "nginx": lambda: sides.of_gate(self._drive, replace(self.postgresql, process=self._nginx[0])),
            "bare, nginx": lambda: sides.of_server(self._drive, self._nginx[1], bare_page_clients),
            "bare, empty, nginx": lambda: sides.of_server(self._drive, self._nginx[2], bare_page_clients),
            "one worker": lambda: self._workers(1),
            "two workers": lambda: self._workers(2),
            "pgbench, textbook, 16": lambda: self._pgbench(pgbench.textbook(16)),
            "pgbench, our UPDATE, 64": lambda: self._pgbench(pgbench.our_update(64)),
            "wrk": lambda: wrk.of_gate(wrk.find(), self._folder, self.postgresql),
            "bare, wrk": lambda: wrk.of_server(wrk.find(), self._folder, self.bare, BARE, "ok"),
        }

    @cached_property
    def bare(self) -> Process:
        return self._stack.enter_context(stage.bare(self._folder))

    @cached_property
    def sqlite(self) -> Gate:
        return self._gate("sqlite")

    @cached_property
    def postgresql(self) -> Gate:
        server = self._stack.enter_context(databases.reachable(self._server, self._folder / "cluster"))
        url = self._stack.enter_context(databases.postgresql(server))
        return self._stack.enter_context(stage.gate(self._folder / "postgresql", url))

    @cached_property
    def _nginx(self) -> list[Process]:
        return self._stack.enter_context(nginx(self._folder / "nginx", self.postgresql.process, self.bare))

    def _gate(self, name: str, *, log_level: str = "warning") -> Gate:
        url = f"sqlite:///{self._folder / name}.db"
        return self._stack.enter_context(stage.gate(self._folder / name, url, log_level=log_level))

    def _of_bare(self, clients: Callable[[int], list[Client]]) -> Take:
        return sides.of_server(self._drive, self.bare, clients)

    def _workers(self, count: int) -> Take:
        """Of as many workers on the same database, which share the cores with the load as the system sees fit."""
        gate = self.postgresql
        process = self._stack.enter_context(stage.workers(count, gate.folder, free_port()))
        return sides.of_gate(self._drive, replace(gate, process=process), free=True)

    def _pgbench(self, work: pgbench.Work) -> Take:
        folder = self._folder / f"pgbench-{work.clients}"
        return pgbench.of(pgbench.find(), folder, self.postgresql.database_url, work)
