"""Small pools in the place of a large one: which of them takes a request."""

from __future__ import annotations

from contextlib import ExitStack

import httpx2
import pytest

from gateway.providers.pools import Pools


def pools_of(number: int, room: int) -> tuple[Pools, list[httpx2.AsyncBaseTransport]]:
    made: list[httpx2.AsyncBaseTransport] = [httpx2.AsyncBaseTransport() for _ in range(number)]
    return Pools(made, room), made


def test_one_request_after_another_goes_to_the_first() -> None:
    pools, made = pools_of(3, room=2)
    for _ in range(9):
        with pools.lend() as pool:
            assert pool is made[0]


def test_the_first_with_room_is_lent_and_then_the_one_with_the_least_to_do() -> None:
    pools, made = pools_of(2, room=2)
    with ExitStack() as under_way:
        lent = [made.index(under_way.enter_context(pools.lend())) for _ in range(7)]
    assert lent == [0, 0, 1, 1, 0, 1, 0]


def test_a_request_that_fails_leaves_its_room() -> None:
    pools, made = pools_of(2, room=1)
    with pytest.raises(httpx2.ReadTimeout), pools.lend():
        raise httpx2.ReadTimeout("")
    with pools.lend() as pool:
        assert pool is made[0]
