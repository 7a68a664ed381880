"""Fixtures for pytest, there wherever the package is installed. What they need is loaded when a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from gateway.testing import Google, Microsoft, StandIn
    from gateway.testing.server import GatewayServer

Provider = TypeVar("Provider", bound="StandIn")


@pytest.fixture(scope="session")
def gateway_config() -> Mapping[str, Mapping[str, Any]]:
    """Tables laid over the configuration of `gateway_server`; define your own to have applications, roles and so on."""
    return {}


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[tuple[Google, Microsoft]]:
    from gateway.testing import Google, Microsoft

    with Google(automatic=True).serve() as google, Microsoft(automatic=True).serve() as microsoft:
        yield google, microsoft


@pytest.fixture(scope="session")
def gateway_server(
    tmp_path_factory: pytest.TempPathFactory,
    stand_ins: tuple[Google, Microsoft],
    gateway_config: Mapping[str, Mapping[str, Any]],
) -> Iterator[GatewayServer]:
    """A real gateway with a stand-in Google and Microsoft, all on loopback, one for the whole session."""
    from gateway.testing.server import running

    with running(tmp_path_factory.mktemp("gateway"), *stand_ins, gateway_config) as server:
        yield server


@pytest.fixture
def google(stand_ins: tuple[Google, Microsoft]) -> Iterator[Google]:
    """The stand-in Google; what a test changes of its people and behaviour is undone."""
    yield from as_it_was(stand_ins[0])


@pytest.fixture
def microsoft(stand_ins: tuple[Google, Microsoft]) -> Iterator[Microsoft]:
    """The stand-in Microsoft; what a test changes of its people and behaviour is undone."""
    yield from as_it_was(stand_ins[1])


def as_it_was(provider: Provider) -> Iterator[Provider]:
    behaviour, people, automatic = provider.behaviour, list(provider.people), provider.automatic
    yield provider
    provider.behaviour, provider.people, provider.automatic = behaviour, people, automatic
    provider.next_person = None
    provider.calls.clear()
    provider.complaints.clear()
