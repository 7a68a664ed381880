"""What importing the package brings along."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import gateway.resource
tops = {name.partition(".")[0] for name in sys.modules}
ours = sorted(name for name in sys.modules if name.startswith("gateway.") and not name.startswith("gateway.resource"))
print(sorted(tops & {"sqlalchemy", "starlette", "authlib", "fastapi", "flask", "django", "uvicorn", "alembic"}), ours)
"""


def test_it_needs_neither_the_server_nor_a_framework() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[] []"
