"""Rate limits: who floods waits, nobody else does, and Redis is a help, never a need."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigurationError, RateLimited
from gateway.web import limits
from gateway.web.limits import BUCKETS, SITE, Bucket, BucketName, Counters, RateLimiter, bucket_for

HOME, OFFICE = "203.0.113.1", "198.51.100.7"
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
START = 1_800_000_000.0

ten_a_minute = Bucket(per_minute=10, burst=3)


async def admitted(limiter: RateLimiter, bucket: BucketName, key: str, now: float, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            await limiter.check(bucket, key, now)
            count += 1
        except RateLimited:
            break
    return count


@pytest.mark.parametrize("bucket", BUCKETS)
async def test_a_burst_is_let_through_and_not_one_more(bucket: BucketName) -> None:
    burst = BUCKETS[bucket].burst
    assert await admitted(RateLimiter(), bucket, HOME, START, burst + 10) == burst


@pytest.mark.parametrize("bucket", BUCKETS)
async def test_the_time_to_wait_is_the_time_to_wait(bucket: BucketName) -> None:
    limiter = RateLimiter()
    await admitted(limiter, bucket, HOME, START, BUCKETS[bucket].burst)
    with pytest.raises(RateLimited) as refused:
        await limiter.check(bucket, HOME, START)
    assert await admitted(limiter, bucket, HOME, START + refused.value.retry_after, 1) == 1


@pytest.mark.parametrize("bucket", BUCKETS)
async def test_a_steady_rate_is_never_refused(bucket: BucketName) -> None:
    step, tries = BUCKETS[bucket].cost, 3 * BUCKETS[bucket].burst
    limiter = RateLimiter()
    for number in range(tries):
        await limiter.check(bucket, HOME, START + number * step)


@given(st.lists(st.floats(0, 30), max_size=100))
def test_no_window_lets_through_more_than_burst_and_rate(gaps: list[float]) -> None:
    counters, now, passed = Counters(), START, []
    for gap in gaps:
        now += gap
        if not counters.take(ten_a_minute, "k", now):
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            allowed = ten_a_minute.burst + (passed[last] - passed[first]) / ten_a_minute.cost
            assert last - first + 1 <= allowed + 0.01


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    counters = Counters()
    counters.take(ten_a_minute, "k", START)
    assert counters.take(ten_a_minute, "k", START - 3600) == 0


async def test_a_flood_from_elsewhere_does_not_touch_a_victim() -> None:
    limiter = RateLimiter()
    await admitted(limiter, "sign_in", HOME, START, 10_000)
    assert await admitted(limiter, "sign_in", OFFICE, START, 1) == 1


async def test_one_bucket_s_flood_does_not_touch_another_bucket() -> None:
    limiter = RateLimiter()
    await admitted(limiter, "callback", HOME, START, 10_000)
    assert await admitted(limiter, "logout", HOME, START, 1) == 1


async def test_the_addresses_of_one_ipv6_subscriber_count_together() -> None:
    limiter, burst = RateLimiter(), BUCKETS["sign_in"].burst
    for number in range(burst):
        await limiter.check("sign_in", f"2001:db8:1:2::{number:x}", START)
    with pytest.raises(RateLimited):
        await limiter.check("sign_in", "2001:db8:1:2:ffff::1", START)


@pytest.mark.parametrize("bucket", BUCKETS)
async def test_all_households_of_one_ipv6_site_together_may_a_limited_number(bucket: BucketName) -> None:
    limiter, passed = RateLimiter(), 0
    for number in range(SITE * BUCKETS[bucket].burst + 10):
        passed += await admitted(limiter, bucket, f"2001:db8:1:{number % 0xFFFF:x}::1", START, 1)
    assert passed == SITE * BUCKETS[bucket].burst


async def test_a_household_cannot_use_up_what_its_site_may() -> None:
    limiter = RateLimiter()
    for _ in range(SITE * BUCKETS["sign_in"].burst):
        await admitted(limiter, "sign_in", "2001:db8:1:1::1", START, 1)
    assert await admitted(limiter, "sign_in", "2001:db8:1:2::1", START, 1) == 1


async def test_another_ipv6_site_notices_nothing() -> None:
    limiter = RateLimiter()
    for number in range(SITE * BUCKETS["callback"].burst + 10):
        await admitted(limiter, "callback", f"2001:db8:1:{number:x}::1", START, 1)
    assert await admitted(limiter, "callback", "2001:db8:2::1", START, 1) == 1


async def test_clients_behind_one_address_count_apart() -> None:
    limiter = RateLimiter()
    for _ in range(BUCKETS["token"].burst):
        await limiter.check("token", HOME, START, client="one")
    await limiter.check("token", HOME, START, client="two")


async def test_switched_off_it_counts_nothing() -> None:
    assert await admitted(RateLimiter(enabled=False), "sign_in", HOME, START, 5_000) == 5_000


def test_memory_is_bounded() -> None:
    counters = Counters(max_keys=3)
    for number in range(10):
        counters.take(ten_a_minute, f"{number}", START)
    assert len(counters) <= 3


def test_a_crowd_of_new_keys_does_not_give_back_what_one_has_used_up() -> None:
    counters = Counters(max_keys=20)
    for _ in range(ten_a_minute.burst):
        counters.take(ten_a_minute, "flooding", START)
    for number in range(1000):
        counters.take(ten_a_minute, f"new-{number}", START + 1)
    assert counters.take(ten_a_minute, "flooding", START + 1) > 0


def test_a_key_whose_bucket_is_full_again_is_forgotten_first() -> None:
    counters = Counters(max_keys=2)
    for key, now in (("rested", START), ("busy", START + 60), ("new", START + 60)):
        for _ in range(ten_a_minute.burst):
            counters.take(ten_a_minute, key, now)
    assert [counters.take(ten_a_minute, key, START + 60) > 0 for key in ("busy", "new", "rested")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        ("/auth/google/login", "sign_in"),
        ("/auth/google/nonce", "sign_in"),
        ("/auth/google/callback", "callback"),
        ("/auth/token", "token"),
        ("/auth/refresh", "token"),
        ("/auth/logout", "logout"),
        ("/auth/login", "other"),
        ("/auth/account", "other"),
        ("/auth/sessions/1/end", "other"),
        ("/", "other"),
        ("", "other"),
        ("/nothing/here", "other"),
        ("/auth/verify", None),
        ("/auth/verify/redirect", None),
        ("/auth/static/style.css", None),
        ("/.well-known/jwks.json", None),
        ("/health/ready", None),
        ("/metrics", None),
    ],
)
def test_the_bucket_of_a_path(path: str, bucket: BucketName | None) -> None:
    assert bucket_for(path) == bucket


def test_the_numbers_are_the_documented_ones() -> None:
    page = (Path(__file__).parent.parent / "docs" / "limits.md").read_text()
    for name, bucket in BUCKETS.items():
        assert f"| `{name}` | {bucket.per_minute:,} | {bucket.burst:,} |" in page
    assert f"may ask {SITE} times what one /64 may" in page


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense"])
def test_what_is_no_redis_address_is_a_fault_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RateLimiter(redis_url=url)
    assert refused.value.faults[0].key == "redis_url"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream, logger = io.StringIO(), logging.getLogger("gateway.web.limits")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(fields)s"))
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


async def test_a_silent_redis_is_asked_once_and_then_left_alone(listening: int) -> None:
    limiter = RateLimiter(redis_url=f"redis://127.0.0.1:{listening}/0")
    burst = BUCKETS["sign_in"].burst
    # Each question to it takes a quarter of a second: three hundred would not end before the test's patience.
    async with asyncio.timeout(20):
        assert await admitted(limiter, "sign_in", HOME, START, burst + 10) == burst
    await limiter.close()


async def test_an_absent_redis_is_complained_about_once_a_minute(logged: io.StringIO) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    limiter = RateLimiter(redis_url=f"redis://:hidden@127.0.0.1:{port}/0")
    for second in range(0, 120, 10):
        await limiter.check("sign_in", HOME, START + second)
    await limiter.close()
    said = logged.getvalue()
    assert (said.count("rate_limits_not_shared"), "hidden" in said) == (2, False)


@pytest.fixture
async def shared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RateLimiter, RateLimiter]]:
    """Two servers' limiters on one Redis, with patience: a busy machine is no absent Redis."""
    monkeypatch.setattr(limits, "REDIS_TIMEOUT", 20.0)
    try:
        socket.create_connection(("127.0.0.1", 6379), timeout=1).close()
    except OSError:
        if os.environ.get("CI") == "true":
            pytest.fail("Redis is needed when CI=true")
        pytest.skip("Redis is not there")
    one, two = RateLimiter(redis_url=REDIS), RateLimiter(redis_url=REDIS)
    yield one, two
    await one.close()
    await two.close()


@pytest.mark.redis
async def test_two_servers_count_together(shared: tuple[RateLimiter, RateLimiter]) -> None:
    one, two = shared
    session, burst = str(uuid.uuid4()), BUCKETS["session"].burst
    first = await admitted(one, "session", session, time.time(), burst // 2)
    second = await admitted(two, "session", session, time.time(), burst)
    # One request comes back for each second that the test itself takes.
    assert first == burst // 2
    assert burst // 2 <= second < burst


@pytest.mark.redis
async def test_servers_whose_clocks_differ_count_alike(shared: tuple[RateLimiter, RateLimiter]) -> None:
    one, two = shared
    session, burst = str(uuid.uuid4()), BUCKETS["session"].burst
    await admitted(one, "session", session, time.time() + 3600, burst // 2)
    assert await admitted(two, "session", session, time.time(), 1) == 1


@pytest.mark.redis
async def test_parallel_requests_are_each_counted(shared: tuple[RateLimiter, RateLimiter]) -> None:
    session, burst = str(uuid.uuid4()), BUCKETS["session"].burst
    asked = [shared[number % 2].check("session", session, time.time()) for number in range(burst * 2)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert burst <= sum(answer is None for answer in answers) < burst * 2


@pytest.mark.redis
async def test_redis_says_how_long_to_wait(shared: tuple[RateLimiter, RateLimiter]) -> None:
    session = str(uuid.uuid4())
    asked = [shared[0].check("session", session, time.time()) for _ in range(BUCKETS["session"].burst * 2)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {answer.retry_after for answer in answers if isinstance(answer, RateLimited)} == {1}


@pytest.mark.redis
async def test_counters_leave_redis_by_themselves(shared: tuple[RateLimiter, RateLimiter]) -> None:
    import redis.asyncio

    session = str(uuid.uuid4())
    await shared[0].check("session", session, time.time())
    async with redis.asyncio.Redis.from_url(REDIS) as client:
        left = await client.pttl(f"gateway:limit:session:{session}:")
    assert 0 < left <= BUCKETS["session"].cost * 1000
