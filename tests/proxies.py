"""Real reverse proxies before a gateway and an application that shows what it was sent.

client ─► nginx, Caddy, HAProxy or Apache, told by `gateway proxy-config` ─► echo
                          └─► gateway: may this pass?
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import gateway as program

from processes import wait_until, write_config

LIFE = "600"  # seconds after which a proxy is ended, whatever becomes of the test
PATH = f"/usr/local/sbin:/usr/sbin:/sbin:{os.environ.get('PATH', '')}"
PROGRAMS = {"nginx": "nginx", "caddy": "caddy", "haproxy": "haproxy", "apache": "apache2"}
PROVIDER = {"preset": "google", "client_id": "fake-client", "client_secret": "fake-secret"}
Headers = Sequence[tuple[str, str]]


@dataclass
class Seen:
    """A request as it came to the application."""

    method: str
    path: str
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Every value under a name, however it is spelled: as CGI, WSGI and PHP read names."""
        return [value for said, value in self.headers if plain(said) == plain(name)]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value


def plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "_", name.lower())


class Echo(ThreadingHTTPServer):
    """Remembers what it was asked, and says "hello"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.seen: list[Seen] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A proxy that ends lets go of its connections."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Echo)
        self.server.seen.append(Seen(self.command, self.path, list(self.headers.items())))
        body = b"" if self.command == "HEAD" else b"hello"
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815  as http.server names them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as http.server names it
        pass


@contextmanager
def echo() -> Iterator[Echo]:
    server = Echo()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def ask(port: int, path: str = "/page", headers: Headers = (), method: str = "GET", body: bytes = b"") -> Answer:
    """One request with exactly these headers besides Host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"localhost:{port}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def printed(kind: str, public_port: int, folder: Path, *arguments: str) -> str:
    """What `gateway proxy-config` prints."""
    gateway = {"public_url": f"http://localhost:{public_port}", "trusted_proxies": ["127.0.0.1"]}
    config = write_config(folder, {"gateway": gateway, "providers.google": PROVIDER})
    result = CliRunner().invoke(program, ["proxy-config", kind, "--config", str(config), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def nginx(folder: Path, told: str, _script: str) -> list[str]:
    temporary = "".join(f"{one}_temp_path {folder}/{one};\n" for one in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off; client_body_temp_path {folder}/body;\n{temporary}{told}}}\n"
    )
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, told: str, _script: str) -> list[str]:
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{told}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def haproxy(folder: Path, told: str, script: str) -> list[str]:
    (folder / "gateway.lua").write_text(script)
    (folder / "haproxy.cfg").write_text(told.replace("/etc/haproxy/gateway.lua", str(folder / "gateway.lua")))
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def apache(folder: Path, told: str, script: str) -> list[str]:
    (folder / "gateway.lua").write_text(script)
    modules = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "lua")
    loaded = "".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so\n" for one in modules)
    (listen,) = re.findall(r"VirtualHost (127\.0\.0\.1:\d+)", told)
    (folder / "apache.conf").write_text(
        f"{loaded}ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n"
        f"User www-data\nGroup www-data\nServerName localhost\nStartServers 1\nListen {listen}\n"
        + told.replace("/etc/apache2/gateway.lua", str(folder / "gateway.lua"))
    )
    return ["apache2", "-DFOREGROUND", "-f", str(folder / "apache.conf")]


WRITTEN: Mapping[str, Callable[[Path, str, str], list[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
    "haproxy": haproxy,
    "apache": apache,
}


def need(name: str) -> None:
    """Skip the test where a program is not there, but not under CI=true."""
    if not shutil.which(name, path=PATH):
        lack(name)


def lack(what: str) -> None:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is needed")


@contextmanager
def proxy(kind: str, port: int, gateway_port: int, upstream_port: int, *arguments: str) -> Iterator[None]:
    """A proxy on this port, as `gateway proxy-config` has it. Skips where it is not there, but not under CI=true."""
    need(PROGRAMS[kind])
    if kind == "apache" and not Path("/usr/share/lua/5.3/socket.lua").exists():
        lack("lua-socket")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # Apache's workers are somebody else
        where = ("--gateway", f"http://127.0.0.1:{gateway_port}", "--upstream", f"http://127.0.0.1:{upstream_port}")
        script = printed(kind, port, folder, "--lua", *where, *arguments) if kind in ("haproxy", "apache") else ""
        command = WRITTEN[kind](folder, printed(kind, port, folder, *where, *arguments), script)
        home = {"HOME": name, "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name, "PATH": PATH}
        with started(["timeout", "--kill-after=5", LIFE, *command], folder, home, port):
            yield


@contextmanager
def started(command: Sequence[str], folder: Path, environ: Mapping[str, str], port: int) -> Iterator[None]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: listens(process, port, folder / "said"))
        yield
    finally:
        process.terminate()
        process.wait(20)


def listens(process: subprocess.Popen[bytes], port: int, said: Path) -> bool:
    assert process.poll() is None, f"it has ended:\n{said.read_text()}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
