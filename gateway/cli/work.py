"""How a command gets at the configuration and at the parts of a gateway. What is slow to load is loaded when needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.web.parts import Parts

T = TypeVar("T")

CONFIG = click.option(
    "--config",
    envvar="GATEWAY_CONFIG",
    default="providers.toml",
    show_default=True,
    help="The configuration file.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def load(config: str) -> Settings:
    from gateway.settings import load as load_settings

    return load_settings(config, os.environ)


def with_parts(config: str, work: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
    """Do one piece of an operator's work with the parts of a gateway that does not serve."""
    from gateway.app import create_app, prepare_schema

    async def run() -> T:
        app = create_app(load(config))
        try:
            await prepare_schema(app.parts.database)
            return await work(app.parts)
        finally:
            await app.stop()

    return asyncio.run(run())
