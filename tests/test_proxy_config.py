"""What `gateway proxy-config` prints for other sites than the one the proxies are tested with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from click.testing import CliRunner, Result
from proxies import PROVIDER

from gateway import serve
from gateway.cli import gateway as program

from processes import write_config

KINDS = ("nginx", "caddy", "traefik", "haproxy", "apache")


def told(folder: Path, *arguments: str, public_url: str = "https://login.example.com") -> Result:
    given = {"public_url": public_url, "database_url": "sqlite:///gateway.db"}
    config = write_config(folder, {"gateway": given, "providers.google": PROVIDER})
    return CliRunner().invoke(program, ["proxy-config", *arguments, "--config", str(config)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_site_with_tls_and_a_path(tmp_path: Path, kind: str) -> None:
    result = told(tmp_path, kind, "--require", "role=a b&c", public_url="https://example.com/sso")
    assert result.exit_code == 0
    script = told(tmp_path, kind, "--lua", "--require", "role=a b&c", public_url="https://example.com/sso").output
    verify = "/sso/auth/verify/redirect" if kind in ("caddy", "traefik") else "/sso/auth/verify"
    assert f"{verify}?role=a+b%26c" in (script if kind in ("haproxy", "apache") else result.output)
    assert "example.com" in result.output
    assert ".well-known" not in result.output  # below the path, like everything


@pytest.mark.parametrize(
    "arguments",
    [
        ("traefik", "--lua"),
        ("iis",),
        ("nginx", "--upstream", "http://app:9000; evil"),
        ("nginx", "--upstream", "https://app:9000"),
        ("nginx", "--upstream", "http://app"),
        ("nginx", "--gateway", "http://app:9000/path"),
        ("nginx", "--require", "role="),
        ("nginx", "--require", "colour=red"),
        ("nginx", "--require", "role"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert told(tmp_path, *arguments).exit_code == 2


def test_what_traefik_is_told_can_be_read_and_takes_out_every_spelling(tmp_path: Path) -> None:
    read: dict[str, Any] = yaml.safe_load(told(tmp_path, "traefik", "--token").output)["http"]
    application = read["routers"]["application"]
    assert application["middlewares"] == ["gateway-no-forgeries", "gateway-verify"]
    ask = read["middlewares"]["gateway-verify"]["forwardAuth"]
    assert ask["address"] == "http://127.0.0.1:8000/auth/verify/redirect?token=1"
    assert (ask["trustForwardHeader"], ask["authResponseHeadersRegex"]) == (False, "(?i)^X-Auth-Request-")
    emptied = read["middlewares"]["gateway-no-forgeries"]["headers"]["customRequestHeaders"]
    assert set(emptied.values()) == {""}
    for spelled in ("X_Auth_Request_User", "X-Auth_Request-Email", "X_Auth-Request_Preferred-Username", "Connection"):
        assert spelled in emptied
    assert not [name for name in emptied if name.startswith("X-Auth-Request-") and "_" not in name]


def test_nginx_keeps_its_connections_to_the_gateway(tmp_path: Path) -> None:
    """For less time than the gateway keeps them, or one could end under a request that must not be sent twice."""
    printed = told(tmp_path, "nginx", "--gateway", "http://127.0.0.1:8123").output
    (group,) = re.findall(r"upstream login_gateway \{([^}]*)\}", printed)
    assert "server 127.0.0.1:8123;" in group
    assert "keepalive 32;" in group
    assert "http://127.0.0.1:8123" not in printed
    kept = uvicorn.Config("gateway.serve:worker", **serve.options()).timeout_keep_alive
    assert int(re.findall(r"keepalive_timeout (\d+)s;", group)[0]) < kept
