"""Documents that are kept: when one waits, when one is served what is there, and when nobody asks again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.errors import IssuerMisconfigured, ProviderFault, ProviderUnavailable
from gateway.providers.kept import PAUSE, TTL, Kept

from .op import Clock


class Source:
    """Gives the number of the fetch, or fails."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fetches = 0
        self.fault: Exception | None = None
        self.kept: Kept[int] = Kept(self.fetch, what="op: numbers", clock=self.clock)

    async def fetch(self) -> int:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        return self.fetches


async def settle(kept: Kept[int]) -> None:
    """Until the fetch under way, if there is one, has ended."""
    if kept.flying:
        await kept.renew()


async def test_everybody_waits_for_one_fetch() -> None:
    source = Source()
    assert await asyncio.gather(*(source.kept.get() for _ in range(20))) == [1] * 20


async def test_fresh_value_is_not_fetched_again() -> None:
    source = Source()
    await source.kept.get()
    source.clock.now += TTL - 1
    await source.kept.get()
    assert source.fetches == 1


async def test_old_value_is_served_at_once_and_renewed_behind() -> None:
    source = Source()
    await source.kept.get()
    source.clock.now += TTL
    served = await source.kept.get()
    await settle(source.kept)
    assert (served, source.kept.value) == (1, 2)


async def test_old_value_outlives_failures() -> None:  # META-3
    source = Source()
    await source.kept.get()
    source.fault = ProviderUnavailable("down")
    source.clock.now += 30 * TTL
    await source.kept.get()
    await settle(source.kept)
    assert await source.kept.get() == 1


async def test_failure_is_not_asked_for_again_at_once() -> None:
    source = Source()
    source.fault = ProviderUnavailable("down")
    for _ in range(5):
        with pytest.raises(ProviderUnavailable):
            await source.kept.get()
    assert source.fetches == 1


async def test_failure_is_forgotten_after_a_pause() -> None:
    source = Source()
    source.fault = ProviderUnavailable("down")
    with pytest.raises(ProviderUnavailable):
        await source.kept.get()
    source.fault = None
    source.clock.now += PAUSE
    assert await source.kept.get() == 2


async def test_failed_renewal_pauses_too() -> None:
    source = Source()
    await source.kept.get()
    source.fault = ProviderUnavailable("down")
    source.clock.now += TTL
    for _ in range(5):
        await source.kept.get()
        await settle(source.kept)
    assert source.fetches == 2


async def test_another_issuer_is_no_outage() -> None:
    source = Source()
    await source.kept.get()
    source.fault = IssuerMisconfigured("named another")
    source.clock.now += TTL
    await source.kept.get()
    await settle(source.kept)
    with pytest.raises(IssuerMisconfigured):
        await source.kept.get()


async def test_whatever_goes_wrong_is_the_providers_fault(caplog: pytest.LogCaptureFixture) -> None:
    source = Source()
    source.fault = ZeroDivisionError()
    with caplog.at_level(logging.CRITICAL), pytest.raises(ProviderFault, match="ZeroDivisionError"):
        await source.kept.get()


async def test_a_clock_set_back_makes_nothing_fresh_for_ever() -> None:
    source = Source()
    await source.kept.get()
    source.clock.now -= 100 * TTL
    await source.kept.get()
    await settle(source.kept)
    assert source.fetches == 2


async def test_who_gives_up_does_not_stop_the_fetch() -> None:
    source = Source()
    waiting = asyncio.create_task(source.kept.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await settle(source.kept)
    assert source.kept.value == 1


async def test_ahead_fetches_what_is_missing_but_not_what_just_failed() -> None:
    source = Source()
    source.fault = ProviderUnavailable("down")
    for _ in range(3):
        source.kept.ahead()
        await settle(source.kept)
    assert source.fetches == 1


async def test_stop_ends_a_fetch_under_way() -> None:
    source = Source()
    flight = source.kept.start()
    await source.kept.stop()
    assert flight.cancelled()
