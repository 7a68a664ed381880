"""Real processes of `python -m gateway`: one run of a command, and a site on disk that several processes may serve."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from signed_in import add_account
from sqlalchemy import create_engine, text

from gateway import sessions
from gateway.app import create_app
from gateway.db import Database
from gateway.settings import load
from gateway.testing import Client, Google, Microsoft
from gateway.testing.server import environment, write_config

from harness import PLAIN, SECRET, Running, World, free_port

LIFE = 600  # seconds after which a process ends by itself, whatever becomes of the test
EXAMPLES = Path(__file__).parents[1] / "examples"
PATIENCE = 60  # seconds for anything a process is waited for

# The alarm outlives exec, so that this is `python -m gateway` itself, under the id we know.
BOUNDED = f"import os, signal, sys; signal.alarm({LIFE}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class Command:
    """One run of a program of Python's. What it says goes to files, so that it never waits for a reader."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
        number = len(list(folder.glob("*.err")))
        self._out, self._err = folder / f"{number}.out", folder / f"{number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", BOUNDED, *arguments],
                cwd=folder,
                env=environment() | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def url(self) -> str:
        """The first address that it has printed."""
        return re.findall(r"http://localhost:\d+", self.out)[0]

    def await_words(self, words: str) -> None:
        """Wait until it has printed this; it should not end before."""
        wait_until(lambda: words in self.out or self.process.poll() is not None)
        assert words in self.out, self.err

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(PATIENCE)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


@contextmanager
def command(*arguments: str, folder: Path, **environ: str) -> Iterator[Command]:
    """`python -m gateway …`, killed at the end of the block if it still runs."""
    started = Command(["-m", "gateway", *arguments], folder, environ)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)


@contextmanager
def example(
    script: str, folder: Path, *, says: str, gateway_port: bool = True, end: int = signal.SIGINT
) -> Iterator[Command]:
    """A script of examples/ on free ports, once it has printed these words; it has to end in order."""
    arguments = ["--port", str(free_port()), *(["--gateway-port", str(free_port())] if gateway_port else [])]
    started = Command([str(EXAMPLES / script), *arguments], folder)
    try:
        started.await_words(says)
        yield started
        assert started.end(end) == 0, started.err
        assert "Traceback" not in started.err
    finally:
        with suppress(subprocess.TimeoutExpired):  # asked first: it has children to end
            started.end(end)
        started.end(signal.SIGKILL)


def run(*arguments: str, folder: Path, **environ: str) -> Command:
    """`python -m gateway …`, once it has ended."""
    with command(*arguments, folder=folder, **environ) as started:
        started.wait()
    return started


def wait_until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"this has not come to hold within {seconds} s"
        time.sleep(0.02)


class Server(Running):
    """A `gateway serve` on a port of its own; `url` is where it listens. Every request has a fresh connection."""

    def __init__(self, site: Site, started: Command, port: int) -> None:
        super().__init__(site.gateway.app, f"http://localhost:{port}")
        self.command = started
        fresh = httpx2.Limits(max_keepalive_connections=0)
        self.client = httpx2.Client(base_url=self.url, limits=fresh, **PLAIN)

    def answers(self) -> bool:
        """Whether it answers yet; it should be running."""
        assert self.command.process.poll() is None, f"it has ended:\n{self.command.err}"
        try:
            return self.client.get("/health/live").status_code == 200
        except httpx2.TransportError:
            return False

    def renew(self, token: str) -> httpx2.Response:
        return self.client.post("/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})

    def verify(self, access_token: str) -> int:
        """The status of forward auth."""
        return self.client.get("/auth/verify", headers={"Authorization": f"Bearer {access_token}"}).status_code

    def kids(self) -> frozenset[str]:
        """The ids of the published keys."""
        return frozenset(key["kid"] for key in self.client.get("/.well-known/jwks.json").json()["keys"])


class Site(World):
    """A configuration on disk, its stand-ins, its database, and any number of processes that serve it.

    The application in `gateway` does not run: it lends its parts to look into the database and to make tokens.
    """

    def __init__(self, config: Path, google: Google, microsoft: Microsoft) -> None:
        settings = load(config, {})
        super().__init__(Running(create_app(settings), settings.public_url), google, microsoft)
        self.config = config
        self.settings = settings
        self.port = int(settings.public_url.rpartition(":")[2])

    @contextmanager
    def serve(self, *arguments: str, port: int | None = None, **environ: str) -> Iterator[Server]:
        """A process that serves the site, on the port of its public URL or on another one."""
        port = port or self.port
        where = ("--config", str(self.config), "--port", str(port))
        with command("serve", *where, *arguments, folder=self.config.parent, **environ) as started:
            server = Server(self, started, port)
            with server.client:
                wait_until(server.answers)
                yield server

    def run(self, *arguments: str) -> Command:
        """Another command with the same configuration, once it has ended."""
        return run(*arguments, "--config", str(self.config), folder=self.config.parent)

    def execute(self, statement: str) -> None:
        engine = create_engine(self.settings.database_url)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()

    def signed_in(self, count: int) -> list[str]:
        """As many sessions of one person, made without a browser: their refresh tokens."""
        return asyncio.run(self._sign_in(count))

    async def _sign_in(self, count: int) -> list[str]:
        database, now = Database(self.settings.database_url), int(time.time())
        try:
            account_id = await add_account(database)
            given: dict[str, Any] = {"account_id": account_id, "identity_id": account_id, "auth_time": now, "now": now}
            given |= {"client_id": "gateway", "provider": "google", "facts": {}, "scope": "openid"}
            given |= {"expires_at": now + 86_400, "user_agent": "Mozilla/5.0", "ip": "192.0.2.1"}
            async with database.write() as connection:
                made = [sessions.new(**given) for _ in range(count)]
                for session in made:
                    await sessions.add(connection, session)
        finally:
            await database.close()
        return [self.gateway.app.parts.refresh.encode(session.id, session.current) for session in made]


@contextmanager
def site(
    database_url: str, folder: Path, *, microsoft: Mapping[str, Any] | None = None, **gateway: Any
) -> Iterator[Site]:
    """A site whose stand-ins sign in whoever is next, at once. `microsoft`: further keys of that provider."""
    port = free_port()
    url = f"http://localhost:{port}"
    google, entra = Google(automatic=True), Microsoft(automatic=True)
    with google.serve(), entra.serve():
        tables: dict[str, dict[str, Any]] = {
            "gateway": {"public_url": url, "database_url": database_url, "secret_keys": [SECRET]},
            "providers.google": {"discovery_url": google.discovery_url, "issuer": google.issuer},
            "providers.microsoft": {"authority": entra.base_url, "allowed_tenants": ["*"], **(microsoft or {})},
        }
        tables["gateway"] |= {"rate_limits": False} | gateway
        for name, provider in (("google", google), ("microsoft", entra)):
            redirects = (f"{url}/auth/{name}/callback", f"{url}/auth/signed-out")
            provider.clients.append(Client(id=f"{name}-client", secret="fake-secret", redirect_uris=redirects))
            credentials = {"preset": name, "client_id": f"{name}-client", "client_secret": "fake-secret"}
            tables[f"providers.{name}"] |= credentials
        yield Site(write_config(folder, tables), google, entra)
