"""Everything around the application, on loopback: a stand-in for Microsoft, the gateway, nginx.

browser ─► nginx ─► app.py
             └─► gateway ─► stand-in
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.testing import Client, Microsoft
from gateway.testing.directory import EXAMPLE, work_account

HERE = Path(__file__).parent
EDITORS, STAFF = "0e000000-0000-4000-8000-0000000000ed", "0e000000-0000-4000-8000-0000000057af"
PEOPLE = [
    work_account("Ada Lovelace", "ada@example.com", edov=True, groups=(EDITORS, STAFF), note="Editor"),
    work_account("Grace Hopper", "grace@example.com", edov=True, groups=(STAFF,), note="Staff"),
]
CONFIG = """
[gateway]
public_url = "http://localhost:{port}"
trusted_proxies = ["127.0.0.1"]
default_redirect = "/"

[providers.microsoft]
preset = "microsoft"
authority = "{authority}"
tenant = "{tenant}"
client_id = "{client}"
client_secret = "{secret}"

[[roles]]
role = "editor"
groups = ["{editors}"]
"""
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
GATEWAY = (sys.executable, "-m", "gateway")


def main(port: int) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    nginx = shutil.which("nginx", path=path)
    if nginx is None:
        sys.exit("nginx is needed: apt-get install nginx")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flask-monolith-")))
        behind, upstream = free_port(), free_port()
        stand_in = Microsoft(people=PEOPLE)
        stack.enter_context(stand_in.serve())
        configure(folder, port, stand_in)
        site = told("proxy-config", "nginx", "--gateway", at(behind), "--upstream", at(upstream), folder=folder)
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
        flask = (sys.executable, "-m", "flask", "--app", str(HERE / "app.py"), "run", "--port", str(upstream))
        ours = (nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"))
        running = [
            stack.enter_context(started((*GATEWAY, "serve", "--port", str(behind)), folder, behind)),
            stack.enter_context(started(flask, folder, upstream)),
            stack.enter_context(started(ours, folder, port)),
        ]
        print(f"\n  The notice board:   http://localhost:{port}\n\n  Ctrl-C ends it.\n", flush=True)
        while all(process.poll() is None for process in running):
            time.sleep(0.2)


def configure(folder: Path, port: int, stand_in: Microsoft) -> None:
    """The gateway's configuration, and its registration at the stand-in."""
    redirect = f"http://localhost:{port}/auth/microsoft/callback"
    client = Client(id="notice-board", secret=secrets.token_urlsafe(24), redirect_uris=(redirect,))
    stand_in.clients.append(client)
    said = {"authority": stand_in.base_url, "tenant": EXAMPLE, "client": client.id, "secret": client.secret}
    (folder / "providers.toml").write_text(CONFIG.format(port=port, editors=EDITORS, **said))


def told(*arguments: str, folder: Path) -> str:
    """What a command of the gateway prints."""
    return subprocess.run([*GATEWAY, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603  our own


@contextmanager
def started(command: Sequence[str], folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on this port until the block ends."""
    quiet = os.environ | {"GATEWAY_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, cwd=folder, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603  our own
    try:
        while process.poll() is None and not listens(port):
            time.sleep(0.05)
        if process.poll() is not None:
            sys.exit(f"{command[0]} has ended")
        yield process
    finally:
        process.terminate()
        process.wait(30)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def at(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def end(_number: int, _frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A notice board without sign-in, behind nginx and the gateway.")
    parser.add_argument("--port", type=int, default=8080, help="where nginx listens")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    main(parser.parse_args().port)
