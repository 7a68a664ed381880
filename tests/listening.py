"""Listening to what a database is asked, on whichever of its ways and in whichever thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy import event
from sqlalchemy.util import await_only

from gateway.db import Database


def listen(database: Database, name: str, hook: Callable[..., None]) -> Callable[[], None]:
    """Call `hook` at each of these events of SQLAlchemy; what is returned ends it."""
    for engine in database.engines:
        event.listen(engine, name, hook)

    def end() -> None:
        for engine in database.engines:
            event.remove(engine, name, hook)

    return end


def statements_of(database: Database) -> list[str]:
    """The statements from now on; the list grows."""
    seen: list[str] = []
    listen(database, "before_cursor_execute", lambda *told: seen.append(told[2]))
    return seen


def waiter() -> Callable[[Coroutine[Any, Any, Any]], None]:
    """What lets a hook wait for something that happens in this loop."""
    loop, here = asyncio.get_running_loop(), threading.get_ident()

    def wait(something: Coroutine[Any, Any, Any]) -> None:
        if threading.get_ident() == here:
            await_only(something)
        else:
            asyncio.run_coroutine_threadsafe(something, loop).result(30)

    return wait
