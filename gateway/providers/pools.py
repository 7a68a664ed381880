"""Several small connection pools in the place of a large one.

For each request httpcore2 asks every idle connection of the pool, twice and by a system call, whether it has been cut.
With thirty connections that is a quarter of the CPU that a call to a provider takes; in a small pool it is next to
nothing. The first pool with room is used, so that while there is little to do the same few connections are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx2


class Pools:
    """Lends one of its pools for each request. `room`: so many requests each, then all of them alike."""

    def __init__(self, pools: Sequence[httpx2.AsyncBaseTransport], room: int = 1) -> None:
        self._pools = pools
        self._room = room
        self._under_way = [0] * len(pools)

    @contextmanager
    def lend(self) -> Iterator[httpx2.AsyncBaseTransport]:
        """The first pool with room, else the one with the least to do; until the answer has been read."""
        under_way = self._under_way
        chosen = next((i for i, busy in enumerate(under_way) if busy < self._room), None)
        if chosen is None:
            chosen = under_way.index(min(under_way))
        under_way[chosen] += 1
        try:
            yield self._pools[chosen]
        finally:
            under_way[chosen] -= 1

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()
