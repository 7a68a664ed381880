"""Serving: uvicorn with the settings that were measured to matter, in one process or several."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from multiprocessing import connection, parent_process
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import uvicorn
from uvicorn.supervisors import Multiprocess

from . import lean_engine, logs
from .errors import CannotStart
from .settings import Settings, load
from .wire import LimitedProtocol

lean_engine.load()

from .app import Gateway, create_app  # noqa: E402  after that, since it is what imports SQLAlchemy

log = logging.getLogger("gateway.serve")

GRACE = 20  # seconds that requests under way have at the end
# How workers learn what their parent was told.
CONFIG, PORT, BOARD = "LOGIN_GATEWAY_CONFIG", "LOGIN_GATEWAY_PORT", "LOGIN_GATEWAY_BOARD"


class Server(uvicorn.Server):
    """Ends as a command that has done what it should: uvicorn would raise the signal again after it has stopped."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the handler's signature
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


# Python's own are 700, 10, 10: made for programs that leave circles of objects behind. Requests leave few.
COLLECTED = 10_000, 20, 50


def run(config: str, host: str, port: int, workers: int) -> None:
    """Serve until a signal. Raises ConfigurationError, GatewayError and CannotStart before anything listens."""
    configure_logs()
    settings = load(config, os.environ, {"port": port})
    if workers == 1:
        run_alone(settings, host, port)
        return
    asyncio.run(rehearse(settings))
    with listen(host, port) as listener:
        announce(settings, host, port)
        run_workers(config, host, port, workers, listener)


def run_alone(settings: Settings, host: str, port: int) -> None:
    app = loaded(settings)
    server = Server(uvicorn.Config(app, host=host, port=port, **options()))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(start_and_serve(app, server))


async def start_and_serve(app: Gateway, server: Server) -> None:
    """Start before anything listens. The server's lifespan finds it started, and stops it when all has gone well."""
    host, port = server.config.host, server.config.port
    try:
        await app.start()
        with listen(host, port) as listener:
            announce(app.parts.settings, host, port)
            await server.serve([listener])
    except BaseException:
        await app.stop()
        raise


def loaded(settings: Settings, board: Path | None = None) -> Gateway:
    """The application. All that is loaded by now, the database's driver too, stays: the collector is kept from it.

    A full collection takes 40 ms otherwise, in which nobody is answered; and as much again once the caches are full,
    which is why it comes rarely.
    """
    app = create_app(settings, board=board)
    gc.freeze()
    gc.set_threshold(*COLLECTED)
    gc.enable()
    return app


def announce(settings: Settings, host: str, port: int) -> None:
    """Where it is, and who may be chosen there; nobody on offer is worth a warning."""
    level = logging.INFO if settings.providers else logging.WARNING
    fields = {"url": settings.public_url, "host": host, "port": port, "providers": list(settings.providers)}
    log.log(level, "listening", extra={"fields": fields})


def listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        hint = "Another program may listen there, or the address is not this machine's; see --host and --port."
        raise CannotStart(f"Cannot listen at {host}, port {port}: {error.strerror}.", hint) from error


def run_workers(config: str, host: str, port: int, workers: int, listener: socket.socket) -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as board:
        os.environ |= {CONFIG: config, PORT: str(port), BOARD: board}
        several = options() | {"factory": True, "workers": workers}
        Multiprocess(uvicorn.Config("gateway.serve:worker", host=host, port=port, **several), [listener]).run()


def worker() -> Gateway:
    """The application of one of several processes."""
    configure_logs()
    threading.Thread(target=end_with_parent, daemon=True).start()
    settings = load(os.environ[CONFIG], os.environ, {"port": int(os.environ[PORT])})
    return loaded(settings, board=Path(os.environ[BOARD]))


def end_with_parent() -> None:
    """A worker whose parent was killed would hold the port for ever."""
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def options() -> dict[str, Any]:
    """NOTE: uvloop also spares keep-alive answers of several workers a 44 ms stall (no TCP_NODELAY otherwise).

    The gateway writes its own access log, reads X-Forwarded-* itself (`trusted_proxies`), and names no version.
    """
    return {
        "loop": "uvloop" if sys.platform != "win32" else "auto",
        "http": LimitedProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
    }


async def rehearse(settings: Settings) -> None:
    """Start and stop once: what keeps the gateway from starting is told here, not by a worker with a stack."""
    app = loaded(settings)
    try:
        await app.start()
    finally:
        await app.stop()


def configure_logs() -> None:
    style: Literal["json", "text"] = "text" if os.environ.get("GATEWAY_LOG_FORMAT") == "text" else "json"
    try:
        logs.configure(os.environ.get("GATEWAY_LOG_LEVEL", "info"), style=style)
    except ValueError as error:
        raise CannotStart(f"GATEWAY_LOG_LEVEL: {error}.", "Use debug, info, warning or error.") from error
