"""A gateway on a real socket, and a browser of a kind: what most tests stand on."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import httpx2
import uvicorn
from sqlalchemy import Connection, create_engine, text

from gateway import serve
from gateway.app import Gateway, create_app
from gateway.settings import Settings
from gateway.settings.load import build
from gateway.testing import Client, Google, Microsoft
from gateway.testing.serve import Server, free_port, in_thread

# Without https there is nothing to verify, and loading the authorities takes 30 ms for each client.
PLAIN: dict[str, Any] = {"timeout": 20, "trust_env": False, "verify": False}
SECRET = "an-obviously-fake-secret-key-for-tests-0123456789"

T = TypeVar("T")


def settings_for(
    database_url: str,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
    port: int = 8000,
    rules: Sequence[Mapping[str, Any]] = (),
    apps: Mapping[str, Mapping[str, Any]] | None = None,
    **gateway: Any,
) -> Settings:
    """Settings as a file with these tables would give them."""
    defaults = {
        "public_url": f"http://localhost:{port}",
        "database_url": database_url,
        "secret_keys": [SECRET],
        "rate_limits": False,
    }
    tables = {"gateway": defaults | gateway, "providers": dict(providers or {}), "apps": dict(apps or {})}
    return build(tables | ({"roles": list(rules)} if rules else {}))


class Running:
    """A gateway that listens. `url` is its public URL."""

    def __init__(self, app: Gateway, url: str) -> None:
        self.app = app
        self.url = url
        self.clients = ExitStack()  # closed with the gateway, if nobody did before

    def browser(self, **headers: str) -> httpx2.Client:
        """A client with cookies of its own that navigates like a browser and follows nothing by itself."""
        accept = {"Accept": "text/html,*/*", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
        return self._client(accept | headers)

    def api(self, **headers: str) -> httpx2.Client:
        """A client that speaks JSON and sends our own Origin."""
        return self._client({"Accept": "application/json", "Origin": self.url} | headers)

    def _client(self, headers: Mapping[str, str]) -> httpx2.Client:
        client = httpx2.Client(base_url=self.url, headers=headers, **PLAIN)
        self.clients.callback(client.close)
        return client


@contextmanager
def running(settings: Settings, listen: int | None = None, **options: Any) -> Iterator[Running]:
    """Serve until the block ends, in a thread of its own; on the port of `public_url`, or behind it on another."""
    app = create_app(settings, **options)
    port = int(settings.public_url.split(":")[2].split("/")[0])
    with serving(app, listen or port):
        gateway = Running(app, settings.public_url)
        with gateway.clients:
            yield gateway


def serving(app: Any, port: int) -> AbstractContextManager[Server]:
    """An application as the gateway itself is served, in a thread."""
    options = serve.options() | {"loop": "asyncio"}
    return in_thread(Server(uvicorn.Config(app, host="127.0.0.1", port=port, **options)))


class EndingAtOnce:
    """Servers, and what else is entered here, end side by side when the block ends: each takes a tenth of a second."""

    def __init__(self) -> None:
        self._entered: list[AbstractContextManager[Any]] = []

    def enter(self, context: AbstractContextManager[T]) -> T:
        entered = context.__enter__()
        self._entered.append(context)
        return entered

    def __enter__(self) -> EndingAtOnce:
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor(len(self._entered) or 1) as pool:
            ends = [pool.submit(context.__exit__, None, None, None) for context in reversed(self._entered)]
        for end in ends:
            end.result()


def hidden_fields(page: str) -> list[tuple[str, str]]:
    """The fields of a form that a provider's page would post by itself."""
    pairs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return [(name, html.unescape(value)) for name, value in pairs]


class World:
    """A gateway with a stand-in Google and a stand-in Microsoft that sign in whoever is next, at once."""

    def __init__(self, gateway: Running, google: Google, microsoft: Microsoft) -> None:
        self.gateway = gateway
        self.google = google
        self.microsoft = microsoft

    def start(self, browser: httpx2.Client, provider: str, **query: str) -> str:
        """Start a sign-in and go through the provider; the callback URL it sends the browser to."""
        started = browser.get(f"/auth/{provider}/login", params=query)
        assert started.status_code == 302, started.text
        answered = httpx2.get(started.headers["location"], **PLAIN)
        assert answered.status_code in (302, 303), answered.text
        callback: str = answered.headers["location"]
        return callback

    def sign_in(self, browser: httpx2.Client, provider: str, **query: str) -> httpx2.Response:
        """The whole redirect dance; the answer of the callback."""
        return browser.get(self.start(browser, provider, **query))

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return len(self.all(f"SELECT 1 FROM {table}"))  # noqa: S608  our own table names

    def all(self, query: str) -> list[Any]:
        """What a query returns."""
        with self._connected() as connection:
            return list(connection.execute(text(query)))

    def execute(self, statement: str) -> None:
        with self._connected() as connection:
            connection.execute(text(statement))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        engine = create_engine(self.gateway.app.parts.database.url.set(drivername=self._driver))
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    @property
    def _driver(self) -> str:
        return "sqlite" if self.gateway.app.parts.database.dialect == "sqlite" else "postgresql+psycopg"


@contextmanager
def world(
    database_url: str,
    *,
    clock: Callable[[], float] = time.time,
    entra: Mapping[str, Any] | None = None,
    at_google: Mapping[str, Any] | None = None,
    port: int | None = None,
    listen: int | None = None,
    **gateway: Any,
) -> Iterator[World]:
    """`port` is the one of the public URL; the gateway listens on another where a proxy stands before it."""
    port = port or free_port()
    url = f"http://localhost:{port}"
    google, microsoft = Google(automatic=True), Microsoft(automatic=True)
    tables: dict[str, dict[str, Any]] = {}
    with EndingAtOnce() as servers:
        servers.enter(google.serve())
        servers.enter(microsoft.serve())
        for name, provider in (("google", google), ("microsoft", microsoft)):
            redirects = (f"{url}/auth/{name}/callback", f"{url}/auth/signed-out")
            provider.clients.append(Client(id=f"{name}-client", secret="fake-secret", redirect_uris=redirects))
            tables[name] = {"preset": name, "client_id": f"{name}-client", "client_secret": "fake-secret"}
        tables["google"] |= {"discovery_url": google.discovery_url, "issuer": google.issuer}
        tables["google"] |= at_google or {}
        tables["microsoft"] |= {"authority": microsoft.base_url, "tenant": "common", "allowed_tenants": ["*"]}
        tables["microsoft"] |= entra or {}
        settings = settings_for(database_url, tables, port, **gateway)
        yield World(servers.enter(running(settings, listen, clock=clock)), google, microsoft)
