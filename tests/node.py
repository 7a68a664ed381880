"""Programs and packages of npm that tests need: where they are, or why a test is skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = ROOT / ".cache" / "clients"  # by scripts/clients
PATIENCE = 60  # seconds for a script


def package(name: str) -> Path:
    """Where a package of tests/clients/package.json lies. Skips the test without it, but not under CI=true."""
    found = INSTALLED / "node_modules" / name
    if not (shutil.which("node") and found.is_dir()):
        reason = f"node and the package {name} are needed: scripts/clients installs it"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`node …` among the installed packages, once it has ended."""
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        ["node", *arguments], cwd=INSTALLED, env=clean, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def module(script: Path, given: dict[str, Any]) -> Any:
    """What an ES module prints as JSON; it finds what it is `given` as `process.argv[1]`, and packages by name."""
    ended = run("--input-type=module", "--eval", script.read_text(), json.dumps(given))
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
