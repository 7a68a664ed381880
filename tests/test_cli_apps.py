"""What the command line says of applications."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.check import check
from gateway.cli import gateway
from gateway.settings import build

CONFIG = """
[gateway]
public_url = "https://login.example.com"
database_url = "sqlite://"
secret_keys = ["an-obviously-fake-secret-key-for-tests-0123456789"]

[apps.shop]
type = "web"
client_secret = "not-a-real-secret-xxxxxxxxxxxxxxxxxxxx"
redirect_uris = ["https://shop.example.com/callback"]

[apps.phone]
type = "native"
redirect_uris = ["com.example.app:/callback", "http://127.0.0.1/callback"]

[apps.robot]
type = "service"
client_secret_hash = "sha256:{digest}"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "providers.toml"
    path.write_text(CONFIG.format(digest="0" * 64))
    return path


def apps(*arguments: str) -> Result:
    return CliRunner().invoke(gateway, ["apps", *arguments])


def test_list(config: Path) -> None:
    lines = [line.split() for line in apps("list", "--config", str(config)).stdout.splitlines()]
    assert lines == [
        ["shop", "web", "client_secret", "https://shop.example.com/callback"],
        ["phone", "native", "none", "com.example.app:/callback", "http://127.0.0.1/callback"],
        ["robot", "service", "client_secret"],
    ]


def test_list_for_programs(config: Path) -> None:
    listed = json.loads(apps("list", "--json", "--config", str(config)).stdout)
    assert [app["client_id"] for app in listed] == ["shop", "phone", "robot"]
    assert "not-a-real-secret" not in json.dumps(listed)


def test_a_new_secret_fits_its_hash_and_the_settings() -> None:
    printed = apps("new-secret").stdout
    secret = re.search(r"application: +(\S+)", printed)
    digest = re.search(r'client_secret_hash = "(sha256:[0-9a-f]{64})"', printed)
    assert secret
    assert digest
    assert digest[1] == "sha256:" + sha256(secret[1].encode()).hexdigest()
    table = {"type": "service", "client_secret_hash": digest[1]}
    assert build({"gateway": {"database_url": "sqlite://"}, "apps": {"x": table}}).apps["x"]
    assert apps("new-secret").stdout != printed


def test_check_says_what_to_give_to_a_client_library(config: Path) -> None:
    status, report = check(str(config), True, {}, {})
    assert status == 0, report
    assert "shop: web, returns to https://shop.example.com/callback" in report
    assert "robot: service" in report
    assert "client libraries: https://login.example.com/.well-known/openid-configuration" in report
