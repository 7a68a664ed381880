"""Serving: uvicorn with the settings that were measured to matter, in one process or several."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import uvicorn

from . import logs
from .app import Gateway, create_app, prepare_schema
from .db import Database
from .errors import CannotStart
from .settings import Settings, load

GRACE = 20  # seconds that requests under way have at the end
# How workers learn what their parent was told.
CONFIG, PORT, BOARD = "LOGIN_GATEWAY_CONFIG", "LOGIN_GATEWAY_PORT", "LOGIN_GATEWAY_BOARD"


def run(config: str, host: str, port: int, workers: int) -> None:
    """Serve until a signal. Raises ConfigurationError and CannotStart before anything listens."""
    configure_logs()
    settings = load(config, os.environ, {"port": port})
    asyncio.run(prepare(settings))
    if workers == 1:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), host=host, port=port, **options()))
        server.run()
        if not server.started:
            raise CannotStart(f"Nothing could be started at {host}:{port}.", "See the log above for the cause.")
        return
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as board:
        os.environ |= {CONFIG: config, PORT: str(port), BOARD: board}
        uvicorn.run("gateway.serve:worker", factory=True, host=host, port=port, workers=workers, **options())


def worker() -> Gateway:
    """The application of one of several processes."""
    configure_logs()
    settings = load(os.environ[CONFIG], os.environ, {"port": int(os.environ[PORT])})
    return create_app(settings, board=Path(os.environ[BOARD]))


def options() -> dict[str, Any]:
    """NOTE: uvloop also spares keep-alive answers of several workers a 44 ms stall (no TCP_NODELAY otherwise).

    The gateway writes its own access log, reads X-Forwarded-* itself (`trusted_proxies`), and names no version.
    """
    return {
        "loop": "uvloop" if sys.platform != "win32" else "auto",
        "http": "httptools",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": GRACE,
    }


async def prepare(settings: Settings) -> None:
    """Fail here, with a sentence, rather than in a worker, with a stack."""
    database = Database(settings.database_url)
    try:
        await prepare_schema(database)
    finally:
        await database.close()


def configure_logs() -> None:
    style: Literal["json", "text"] = "text" if os.environ.get("GATEWAY_LOG_FORMAT") == "text" else "json"
    try:
        logs.configure(os.environ.get("GATEWAY_LOG_LEVEL", "info"), style=style)
    except ValueError as error:
        raise CannotStart(f"GATEWAY_LOG_LEVEL: {error}.", "Use debug, info, warning or error.") from error
