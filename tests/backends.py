"""PostgreSQL as operators run it: behind PgBouncer that pools by transaction, and as a server that is restarted.

Both refuse to run as root; there they run as the users that Debian's packages have made for them.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from proxies import PATH, lack, need, started
from sqlalchemy import make_url

from harness import free_port
from processes import wait_until

LIFE = "600"  # seconds after which a server is ended, whatever becomes of the test
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))


def as_user(name: str, command: Sequence[str], folder: Path) -> list[str]:
    """The command, run by this user if we are root; the folder is that user's then."""
    if os.geteuid() != 0:
        return list(command)
    user = pwd.getpwnam(name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]


@contextmanager
def pooled(url: str, size: int, patience: int = 20) -> Iterator[str]:
    """The URL of the same database behind PgBouncer, with `size` server connections that take turns. `patience`:
    seconds for which who asks waits for one of them."""
    need("pgbouncer")
    server, port = make_url(url), free_port()
    login = f"user={server.username}" + (f" password={server.password}" if server.password else "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.host} port={server.port or 5432} {login}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nserver_round_robin = 1\n"
            f"query_wait_timeout = {patience}\nserver_login_retry = 1\n"
        )
        command = ["timeout", "--kill-after=5", LIFE, "pgbouncer", str(folder / "pgbouncer.ini")]
        with started(as_user("nobody", command, folder), folder, {"PATH": PATH}, port):
            yield server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


class Cluster:
    """A PostgreSQL server of the test's own. `url` is its database."""

    def __init__(self, folder: Path) -> None:
        if not INSTALLED:
            lack("PostgreSQL's initdb")
        self._bin, self._folder, self._port = INSTALLED[-1].parent, folder, free_port()
        self._running = ExitStack()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "--no-sync", "-U", "postgres", "-A", "trust")

    def _run(self, program: str, *arguments: str) -> None:
        data = ["-D", str(self._folder / "data")]
        command = as_user("postgres", [str(self._bin / program), *data, *arguments], self._folder)
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, timeout=120)

    def start(self) -> None:
        program = [str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port)]
        where = ["-c", "listen_addresses=127.0.0.1", "-k", str(self._folder)]
        command = ["timeout", "--kill-after=5", LIFE, *program, *where]
        server = started(as_user("postgres", command, self._folder), self._folder, {"PATH": PATH}, self._port)
        self._running.enter_context(server)
        wait_until(self._ready)

    def _ready(self) -> bool:
        """It listens before it has recovered, and refuses."""
        command = [str(self._bin / "pg_isready"), "--quiet", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command, check=False, timeout=20).returncode == 0

    def stop(self) -> None:
        """Gone at once, as in a crash: every connection is cut, and the next start has to recover."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "--mode=immediate", "--wait", "--silent")
        self._running.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that runs."""
    with tempfile.TemporaryDirectory() as name:
        made = Cluster(Path(name))
        made.start()
        try:
            yield made
        finally:
            made.stop()
