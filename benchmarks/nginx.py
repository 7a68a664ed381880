"""nginx with protected pages: for one it asks the gateway before it answers, for others a bare route.

It reads no body of an answer to `auth_request`, and drops the connection on which one comes: what answers with a body
is asked on a new connection each time. Hence two bare routes, one with a body and one without.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .processes import OTHER_CORE, Missing, Process, free_port, running

PAGE = "what is protected"
# Connections are kept, to nginx and from it, so that what is measured is asking and no opening of connections.
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
{servers}
}}
"""
SERVER = """
    upstream for{port} {{
        server 127.0.0.1:{asked};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location = /up {{
            return 204;
        }}
        location = /page {{
            root {folder};
            auth_request /verify;
            auth_request_set $user $upstream_http_x_auth_request_user;
            add_header X-User $user;
        }}
        location = /verify {{
            internal;
            proxy_pass http://for{port}{target};
            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto http;
            proxy_set_header X-Forwarded-Uri $request_uri;
            proxy_set_header X-Forwarded-Method $request_method;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
"""


@contextmanager
def nginx(folder: Path, gateway: Process, bare: Process) -> Iterator[list[Process]]:
    """The gateway, the bare route and the one without a body as nginx shows them: on its ports, but with their own
    process ids. Raises Missing."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Missing("nginx is not installed")
    folder.mkdir()
    (folder / "page").write_text(PAGE)
    targets = ((gateway, "/auth/verify"), (bare, "/bare"), (bare, "/bare.empty"))
    shown = [replace(server, port=free_port()) for server, _ in targets]
    servers = (
        SERVER.format(folder=folder, asked=server.port, target=target, port=one.port)
        for (server, target), one in zip(targets, shown, strict=True)
    )
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, servers="".join(servers)))
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running(command, shown[0].port, "/up", cores=OTHER_CORE, log=folder / "log"):
        yield shown
