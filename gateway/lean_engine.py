"""SQLAlchemy's asynchronous engine without its object mapper, for processes that are nothing but the gateway.

`sqlalchemy.ext.asyncio` imports sessions beside the engine, and with them the mapper, which nothing here uses: a sixth
of the start and 8 MB of every worker. Here the package holds the engine's names alone until somebody asks for another;
then it is executed as if nothing had been. Whoever imports it gets the same objects either way.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

PACKAGE = "sqlalchemy.ext.asyncio"
NAMES = ("AsyncConnection", "AsyncEngine", "AsyncTransaction", "create_async_engine")


def load() -> None:
    """Does nothing where the package is there already."""
    spec = find_spec(PACKAGE)
    if PACKAGE in sys.modules or spec is None or spec.loader is None:
        return
    sys.modules[PACKAGE] = package = module_from_spec(spec)
    execute = spec.loader.exec_module
    engine = import_module(f"{PACKAGE}.engine")

    def complete(name: str) -> Any:
        del vars(package)["__getattr__"]
        execute(package)
        return getattr(package, name)

    vars(package).update({name: getattr(engine, name) for name in NAMES}, __getattr__=complete)
