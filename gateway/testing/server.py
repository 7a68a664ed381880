"""A real gateway for people's tests: `gateway serve` in a process of its own, on loopback, with stand-in providers."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from gateway.testing import serve
from gateway.testing.clients import Client
from gateway.testing.google import Google
from gateway.testing.microsoft import Microsoft
from gateway.testing.people import Person
from gateway.testing.provider import StandIn

START, STOP = 60.0, 30.0  # seconds
LIFE = 3600  # seconds after which it ends by itself, whatever becomes of the tests
# The alarm outlives exec, so that this is the gateway itself, under the id we know.
BOUNDED = f"""
import os, signal, sys
if hasattr(signal, "alarm"):
    signal.alarm({LIFE})
os.execv(sys.executable, [sys.executable, "-m", "gateway", *sys.argv[1:]])
"""

Tables = Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]]


class SignInRefused(Exception):
    """`status` and `error`: of the page that a sign-in ended at; docs/errors.md lists the codes."""

    def __init__(self, page: httpx2.Response) -> None:
        found = re.search(r'data-error="([a-z_]+)"', page.text)
        self.status = page.status_code
        self.error = found[1] if found else None
        super().__init__(f"{self.error or page.text} ({self.status} at {page.url.path})")


class GatewayServer:
    """A gateway that listens at `url`, which is also its issuer. `config`: its providers.toml."""

    def __init__(self, url: str, config: Path, providers: Mapping[str, StandIn]) -> None:
        self.url = url
        self.config = config
        self.providers = providers
        self.clients = ExitStack()  # closed with the server, if nobody did before

    def browser(self) -> httpx2.Client:
        """A browser of a kind: keeps cookies, follows redirects, takes addresses from the gateway's root on."""
        headers = {"Accept": "text/html,*/*", "Origin": self.url}
        client = httpx2.Client(
            base_url=self.url, follow_redirects=True, timeout=START, trust_env=False, headers=headers
        )
        self.clients.callback(client.close)
        return client

    def sign_in(self, provider: str = "google", person: Person | None = None, **query: str) -> httpx2.Client:
        """A browser in which somebody is signed in. `person`: who; default the stand-in's first. `query`: parameters
        of `/auth/<provider>/login`. SignInRefused."""
        stand_in = self.providers[provider]
        stand_in.next_person = person or stand_in.people[0]
        browser = self.browser()
        arrived = browser.get(f"/auth/{provider}/login", params=query)
        if arrived.is_error:
            raise SignInRefused(arrived)
        return browser

    def run(self, *arguments: str) -> str:
        """What a command of the gateway prints: `server.run("accounts", "grant", "ada@example.com", "staff")`.
        CalledProcessError."""
        command = [sys.executable, "-m", "gateway", *arguments, "--config", str(self.config)]
        options: dict[str, Any] = {"env": environment(), "timeout": START, "text": True}
        return subprocess.check_output(command, **options)  # type: ignore[no-any-return]  # noqa: S603  ourselves


@contextmanager
def running(
    folder: Path, google: Google, microsoft: Microsoft, tables: Tables | None = None
) -> Iterator[GatewayServer]:
    """A gateway with an empty SQLite database in `folder` and these two, who are served already. `tables`: laid over
    its configuration, such as `{"apps.shop": {…}, "gateway": {…}}`. RuntimeError if it does not start."""
    port = serve.free_port()
    url = f"http://localhost:{port}"
    config = configure(folder, url, google, microsoft, tables or {})
    log = folder / "gateway.log"
    command = [sys.executable, "-c", BOUNDED, "serve", "--config", str(config), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  ourselves
            command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        await_start(process, url, log)
        server = GatewayServer(url, config, {"google": google, "microsoft": microsoft})
        with server.clients:
            yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def configure(folder: Path, url: str, google: Google, microsoft: Microsoft, tables: Tables) -> Path:
    """Both presets as an operator would use them, pointed at the stand-ins, with made-up credentials."""
    made: dict[str, Any] = {
        "gateway": {
            "public_url": url,
            "database_url": f"sqlite:///{folder / 'gateway.db'}",
            "secret_keys": [secrets.token_urlsafe(32)],
            "rate_limits": False,
        },
        "providers.google": {"preset": "google", "discovery_url": google.discovery_url, "issuer": google.issuer},
        "providers.microsoft": {"preset": "microsoft", "authority": microsoft.base_url, "allowed_tenants": ["*"]},
    }
    for name, provider in (("google", google), ("microsoft", microsoft)):
        redirects = (f"{url}/auth/{name}/callback", f"{url}/auth/signed-out")
        client = Client(id=f"{name}-{secrets.token_hex(4)}", secret=secrets.token_urlsafe(24), redirect_uris=redirects)
        provider.clients.append(client)
        made[f"providers.{name}"] |= {"client_id": client.id, "client_secret": client.secret}
    for name, table in tables.items():
        made[name] = made.get(name, {}) | dict(table) if isinstance(table, Mapping) else table
    return write_config(folder, made)


def write_config(folder: Path, tables: Tables) -> Path:
    """A providers.toml with these tables, a list of them as `[[name]]`. JSON's texts, numbers, truths and lists are
    TOML's."""
    blocks = []
    for name, given in tables.items():
        for table in [given] if isinstance(given, Mapping) else given:
            head = f"[{name}]" if isinstance(given, Mapping) else f"[[{name}]]"
            blocks.append("\n".join([head, *(f"{key} = {as_toml(value)}" for key, value in table.items())]))
    path = folder / "providers.toml"
    path.write_text("\n\n".join(blocks) + "\n", "utf-8")
    return path


def as_toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def environment() -> dict[str, str]:
    """Ours, without what would configure a gateway or send it through a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}


def await_start(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health/ready", trust_env=False, timeout=5).is_success:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the gateway did not start:\n{log.read_text('utf-8', 'replace')}")
