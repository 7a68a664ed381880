"""The servers of a run, and the people who are signed in to them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway import migrate, sessions
from gateway.app import create_app
from gateway.events import NOWHERE
from gateway.flows.admit import Newcomer, admit
from gateway.flows.renew import Pair
from gateway.identity import Identity
from gateway.settings import load
from gateway.web.parts import Parts

from . import databases
from .processes import CORES, OTHER_CORE, SERVER_CORE, Process, free_port, running
from .provider import CLIENT_ID, SECRET, address_of

PEOPLE = 64
APP, ROBOT = "shop", "robot"
APP_SECRET = "not-a-real-secret-for-benchmarks-only"  # noqa: S105  obviously fake
RETURNS_TO = "https://shop.example.com/callback"
VERIFIER = "an-obviously-fake-code-verifier-for-benchmarks"
APP_SCOPE = "openid email offline_access"

CONFIG = """
[gateway]
public_url = "{url}"
database_url = {database}
secret_keys = ["an-obviously-fake-secret-key-for-benchmarks-only"]
rate_limits = false  # all the load comes from one address

[providers.google]
preset = "google"
discovery_url = "{provider}/.well-known/openid-configuration"
issuer = "{provider}"
client_id = "{client_id}"
client_secret = "{secret}"

[apps.shop]
type = "spa"
redirect_uris = ["{returns_to}"]

[apps.robot]
type = "service"
client_secret = "{app_secret}"
scopes = ["reports:read"]
"""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody with a session: what their next request brings."""

    subject: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class Gate:
    """A gateway process, and beside it the parts that make sessions and tokens which it believes."""

    folder: Path
    process: Process
    provider: Process
    parts: Parts
    runner: asyncio.Runner
    people: Sequence[sessions.Session]

    def signed_in(self, count: int) -> list[SignedIn]:
        """The first `count` people with their newest tokens."""
        return self.runner.run(self._signed_in(count))

    async def _signed_in(self, count: int) -> list[SignedIn]:
        now, issuer, found = self.parts.now(), self.parts.renewal.issuer, []
        async with self.parts.database.read() as connection:
            for one in self.people[:count]:
                session = await sessions.get(connection, one.id, now)
                assert session is not None, "a session has ended"
                found.append(SignedIn(str(session.account_id), issuer.issue(session, now)))
        return found

    def access_tokens(self, person: int, count: int) -> list[str]:
        """New access tokens of one person: no server has seen them."""
        session, issuer, now = self.people[person], self.parts.renewal.issuer, self.parts.now()
        return [issuer.issue(session, now).access_token for _ in range(count)]

    def granted(self, count: int) -> list[Pair]:
        """New grants of the first `count` people to the application."""
        return self.runner.run(self._granted(count))

    async def _granted(self, count: int) -> list[Pair]:
        redemption, issuer, now = self.parts.redemption, self.parts.renewal.issuer, self.parts.now()
        app, found = self.parts.settings.apps[APP], []
        for person in range(count):
            code = redemption.codes.open(self.codes(person, 1)[0])
            assert code is not None
            found.append(issuer.issue(await redemption.redeem(code, app, NOWHERE, now), now))
        return found

    def codes(self, person: int, count: int) -> list[str]:
        """New authorization codes of one person for the application."""
        session = self.people[person]
        what = {
            "client_id": APP,
            "redirect_uri": RETURNS_TO,
            "scope": APP_SCOPE,
            "challenge": urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
            "nonce": None,
            "session_id": str(session.id),
            "account_id": str(session.account_id),
            "issued_at": self.parts.now(),
        }
        return [self.parts.redemption.codes.seal(**what) for _ in range(count)]

    def place(self, cores: frozenset[int]) -> None:
        """Have the database work on these cores."""
        if self.parts.database.dialect == "postgresql":
            databases.place(self.database_url, cores)

    @property
    def database_url(self) -> str:
        return self.parts.settings.database_url


async def prepare(parts: Parts) -> list[sessions.Session]:
    """Schema, signing keys, and people as so many first sign-ins would leave them."""
    await migrate.upgrade(parts.settings.database_url)
    await parts.keyring.ensure()
    now = int(time.time())
    issuer, people = parts.settings.providers["google"].issuer, []
    async with parts.database.write() as connection:
        for number in range(PEOPLE):
            identity = Identity(
                "google", issuer, f"seeded-{number}", f"seeded-{address_of(number)}", True, name=f"Person {number}"
            )
            admission = await admit(connection, parts.desk, Newcomer(identity), NOWHERE, now)
            assert admission.session is not None
            people.append(admission.session)
    return people


def python(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


@contextmanager
def bare(folder: Path) -> Iterator[Process]:
    port = free_port()
    command = python("benchmarks.bare", port)
    with running(command, port, "/bare", cores=SERVER_CORE, log=folder / "bare.log") as process:
        yield process


@contextmanager
def gate(
    folder: Path, database_url: str, *, log_level: str = "warning", fill: Callable[[str], None] = lambda _url: None
) -> Iterator[Gate]:
    """A gateway on this database, with a provider and people of its own, and whatever `fill` puts beside them."""
    folder.mkdir()
    port, provider_port = free_port(), free_port()
    url = f"http://localhost:{port}"
    write_config(folder, url, database_url, f"http://127.0.0.1:{provider_port}")
    parts = create_app(load(folder / "providers.toml", {})).parts
    standing_in = python("benchmarks.provider", provider_port, PEOPLE, url)
    with (
        asyncio.Runner() as runner,
        running(
            standing_in,
            provider_port,
            "/.well-known/openid-configuration",
            cores=OTHER_CORE,
            log=folder / "provider.log",
        ) as provider,
    ):
        people = runner.run(prepare(parts))
        fill(database_url)
        try:
            with serving(folder, port, log_level=log_level) as process:
                yield Gate(folder, process, provider, parts, runner, people)
        finally:
            runner.run(parts.database.close())


@contextmanager
def serving(folder: Path, port: int, *, log_level: str = "warning") -> Iterator[Process]:
    """`gateway serve` with the configuration in this folder, one worker on the server's core."""
    with workers(1, folder, port, cores=SERVER_CORE, log_level=log_level) as process:
        yield process


@contextmanager
def workers(
    count: int, folder: Path, port: int, *, cores: frozenset[int] = CORES, log_level: str = "warning"
) -> Iterator[Process]:
    """`gateway serve` with the configuration in this folder, and so many workers."""
    command = python("gateway", "serve", "--config", folder / "providers.toml", "--port", port, "--workers", count)
    environ = {"GATEWAY_LOG_LEVEL": log_level}
    log = folder / "gateway.log"
    with running(command, port, "/health/live", cores=cores, log=log, environ=environ) as process:
        yield process


def write_config(folder: Path, url: str, database_url: str, provider: str) -> None:
    values = {"url": url, "database": json.dumps(database_url), "provider": provider}
    text = CONFIG.format(**values, client_id=CLIENT_ID, secret=SECRET, app_secret=APP_SECRET, returns_to=RETURNS_TO)
    (folder / "providers.toml").write_text(text)
