"""What a server loads before it answers, and that SQLAlchemy is whole for whoever asks for the rest of it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType

import pytest

from gateway.web import devices, pages, reference

from processes import site

# Providers' clients, pages, migrations, shared counters, the object mapper: none of it checks or renews a token.
LATER = frozenset({"alembic", "authlib", "httpx2", "jinja2", "redis", "sqlalchemy.orm"})

# What the other database needs.
OTHERS = {
    "sqlite": frozenset({"psycopg", "sqlalchemy.dialects.postgresql"}),
    "postgresql": frozenset({"_sqlite3", "aiosqlite", "sqlalchemy.dialects.sqlite"}),
}


def test_start_check_and_renewal_load_nothing_of_what_comes_later(database_url: str, tmp_path: Path) -> None:
    with site(database_url, tmp_path) as made, made.serve(PYTHONPROFILEIMPORTTIME="1") as server:
        (token,) = made.signed_in(1)
        renewed = server.renew(token)
        assert server.verify(renewed.json()["access_token"]) == 200

        before = imported(server.command.err)
        assert server.client.get("/auth/login").status_code == 200
        assert server.client.get("/auth/google/login").status_code == 302
        after = imported(server.command.err)

    assert "gateway.app" in before
    assert before & (LATER | OTHERS[database_url.partition(":")[0].partition("+")[0]]) == set()
    assert {"jinja2", "authlib", "httpx2"} <= after


def imported(said: str) -> set[str]:
    return set(re.findall(r"^import time:.*\| +([\w.]+)$", said, re.MULTILINE))


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_a_worker_has_all_that_it_loads_out_of_the_collectors_sight(database_url: str, tmp_path: Path) -> None:
    with site(database_url, tmp_path) as made:
        code = (
            "import gc, os; from gateway import serve; before = gc.get_freeze_count();"
            f"os.environ |= {{serve.CONFIG: {str(made.config)!r}, serve.PORT: '8000', serve.BOARD: {str(tmp_path)!r}}};"
            "gc.disable(); serve.worker(); print(before, gc.isenabled(), gc.get_freeze_count() > 50_000);"
            "print(gc.get_threshold() == serve.COLLECTED)"
        )
        assert run(code) == "0 True True\nTrue\n"


@pytest.mark.parametrize("module", [devices, pages, reference])
def test_views_cost_the_start_little(module: ModuleType) -> None:
    made_here = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
    assert any(hasattr(thing, "_fields") for thing in made_here)
    assert not [thing for thing in made_here if is_dataclass(thing)]


SHOW = """
for name in sorted(vars(package)):
    if name[0] != "_":
        print(name, getattr(getattr(package, name), "__module__", ""))
"""


def test_sqlalchemy_is_whole_once_somebody_asks_for_more() -> None:
    lean = (
        "import sys; from gateway import lean_engine; lean_engine.load();"
        "import sqlalchemy.ext.asyncio as package; engine = package.create_async_engine;"
        "assert 'sqlalchemy.orm' not in sys.modules;"
        "from sqlalchemy.ext.asyncio import AsyncSession;"
        "assert engine is package.create_async_engine and AsyncSession(engine('sqlite+aiosqlite://'))"
    )
    assert run(lean + SHOW) == run("import sqlalchemy.ext.asyncio as package" + SHOW)


def test_what_is_there_already_stays_as_it_is() -> None:
    code = (
        "import sqlalchemy.ext.asyncio as package; before = dict(vars(package));"
        "from gateway import lean_engine; lean_engine.load(); assert vars(package) == before"
    )
    run(code)
