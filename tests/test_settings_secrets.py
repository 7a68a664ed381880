"""Secrets in files: one that follows its file, and the keys kept beside a SQLite database."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError, Fault
from gateway.settings import Secret, Settings, build, examine
from gateway.settings.secret_files import FileSecret

CORP = {"discovery_url": "https://id.example.com/.well-known/openid-configuration", "client_id": "abc"}


def with_file(path: Path | str) -> Settings:
    corp: dict[str, Any] = {**CORP, "client_secret_file": str(path)}
    return build({"gateway": {"database_url": "sqlite://"}, "providers": {"corp": corp}})


def secret_of(found: Settings) -> str:
    secret = found.providers["corp"].client_secret
    assert secret is not None
    return secret.get()


def fault(gateway: dict[str, Any], **providers: dict[str, Any]) -> Fault:
    with pytest.raises(ConfigurationError) as refused:
        build({"gateway": gateway, "providers": providers})
    assert len(refused.value.faults) == 1, refused.value.faults
    return refused.value.faults[0]


def later(path: Path, content: str) -> None:
    """Write a file so that it shows: clocks of file systems are coarse."""
    path.write_text(content)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "\ufeffs3cret\n"])
def test_a_trailing_newline_is_no_part_of_a_secret(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content, newline="")
    assert secret_of(with_file(tmp_path / "secret")) == "s3cret"


def test_spaces_are_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" a b \n")
    assert secret_of(with_file(tmp_path / "secret")) == " a b "


def test_a_secret_follows_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old")
    found = with_file(tmp_path / "secret")
    later(tmp_path / "secret", "new")
    assert secret_of(found) == "new"


@pytest.mark.parametrize("harm", ["gone", "empty", "folder"])
def test_a_file_that_is_spoilt_leaves_the_last_secret_in_force(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "secret"
    path.write_text("good")
    secret = Secret(FileSecret(path))
    if harm == "empty":
        later(path, "\n")
    else:
        path.unlink()
    if harm == "folder":
        path.mkdir()
    assert secret.get() == "good"


def test_a_secret_comes_back_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("good")
    secret = Secret(FileSecret(path))
    path.unlink()
    secret.get()
    later(path, "better")
    assert secret.get() == "better"


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    secret = FileSecret(path)
    version = path.stat().st_mtime_ns
    path.write_text("two")
    os.utime(path, ns=(0, version))
    assert secret() == "one"


def test_a_relative_path_starts_at_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    config = tmp_path / "providers.toml"
    config.write_text(
        f'[providers.corp]\ndiscovery_url = "{CORP["discovery_url"]}"\nclient_id = "a"\nclient_secret_file = "secret"'
    )
    found = examine(config, {"GATEWAY_DATABASE_URL": "sqlite://"}).settings
    assert found is not None
    assert secret_of(found) == "s3cret"


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (None, "no such file or directory"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"x" * 70000, "larger"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_a_fault(tmp_path: Path, content: bytes | None, seen: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    found = fault({"database_url": "sqlite://"}, corp={**CORP, "client_secret_file": str(tmp_path / "secret")})
    assert found.key == "client_secret_file"
    assert seen in found.seen


def test_a_pipe_does_not_hold_the_start_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = fault({"database_url": "sqlite://"}, corp={**CORP, "client_secret_file": str(tmp_path / "pipe")})
    assert "not a regular file" in found.seen


# Keys beside the database


def keys_of(folder: Path, **gateway: Any) -> tuple[bytes, ...]:
    return build({"gateway": {"database_url": f"sqlite:///{folder}/gateway.db", **gateway}}).secret_keys


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    assert keys_of(tmp_path) == keys_of(tmp_path)


def test_kept_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    keys_of(tmp_path)
    assert stat.S_IMODE((tmp_path / "gateway.db.secret-keys").stat().st_mode) == 0o600


def test_making_keys_leaves_nothing_else_behind(tmp_path: Path) -> None:
    keys_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.db.secret-keys"]


def test_a_key_of_ones_own_goes_before_kept_ones(tmp_path: Path) -> None:
    assert keys_of(tmp_path, secret_keys=["k" * 32]) == (b"k" * 32,)


def test_given_keys_make_no_file(tmp_path: Path) -> None:
    keys_of(tmp_path, secret_keys=["k" * 32])
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_with_faults_makes_no_file(tmp_path: Path) -> None:
    fault({"database_url": f"sqlite:///{tmp_path}/gateway.db", "signup": "x"})
    assert list(tmp_path.iterdir()) == []


def test_looking_makes_no_file(tmp_path: Path) -> None:
    examine(None, {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db"}, make_keys=False)
    assert list(tmp_path.iterdir()) == []


def test_kept_keys_can_be_rotated_by_hand(tmp_path: Path) -> None:
    (tmp_path / "gateway.db.secret-keys").write_text(f"# newest first\n{'n' * 40}\n\n{'o' * 40}\n")
    assert keys_of(tmp_path) == (b"n" * 40, b"o" * 40)


@pytest.mark.parametrize(("content", "seen"), [("", "empty"), ("short\n", "5 bytes"), ("# nothing\n", "empty")])
def test_kept_keys_that_cannot_be_used_are_a_fault(tmp_path: Path, content: str, seen: str) -> None:
    (tmp_path / "gateway.db.secret-keys").write_text(content)
    assert seen in fault({"database_url": f"sqlite:///{tmp_path}/gateway.db"}).seen


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert fault({"database_url": f"sqlite:///{tmp_path}/absent/gateway.db"}).key == "database_url"


def test_a_database_in_memory_has_passing_keys() -> None:
    assert len(build({"gateway": {"database_url": "sqlite://"}}).secret_keys[0]) >= 32


START = """
import sys
from gateway.settings import build
sys.stdin.readline()
print(build({"gateway": {"database_url": f"sqlite:///{sys.argv[1]}/gateway.db"}}).secret_keys)
"""


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    answers = {starter.communicate(timeout=30)[0] for starter in starters}
    assert len(answers) == 1
    assert answers != {""}
