"""The wheel holds all that the program needs, and works where nothing else of the checkout is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from processes import Command, environment, write_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked, as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=120)
    (packed,) = folder.glob("*.whl")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def files(folder: Path) -> set[str]:
    """What a folder of the package holds, but for what running it leaves behind."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in found}


def test_the_package_is_complete(wheel: Path) -> None:
    packed = files(wheel / "gateway")
    assert {name for name in packed if not name.startswith("migrations/")} == files(ROOT / "gateway")
    assert {f"migrations/{name}" for name in files(ROOT / "migrations")} <= packed
    assert {
        "web/templates/layout.html",
        "web/static/style.css",
        "web/module/gateway.min.js",
        "providers/presets.toml",
        "migrations/env.py",
    } <= packed


def test_nothing_else_is_packed(wheel: Path) -> None:
    assert {path.name.partition("-")[0] for path in wheel.iterdir()} == {"gateway", "login_gateway"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["migrate"], "The schema is up to date."),
        (["keys", "list"], ""),
        (["check", "--offline"], "no provider is on offer"),
        (["prune"], "sessions: 0 deleted"),
    ],
)
def test_the_commands_work_from_the_wheel_alone(wheel: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    write_config(tmp_path, {"gateway": {"database_url": "sqlite:///gateway.db"}})
    done = from_wheel(wheel, tmp_path, ["-m", "gateway", *arguments])
    assert (done.wait(), told in done.out) == (0, True), done.err
    assert "Traceback" not in done.err


def test_it_is_the_wheel_that_was_tested(wheel: Path, tmp_path: Path) -> None:
    where = "import gateway.migrate as m; print(m.__file__, m.migrations_folder())"
    done = from_wheel(wheel, tmp_path, ["-c", where])
    assert (done.wait(), done.out.count(str(wheel))) == (0, 2)


def from_wheel(wheel: Path, folder: Path, arguments: list[str]) -> Command:
    return Command(arguments, folder, {"PYTHONPATH": str(wheel)})
