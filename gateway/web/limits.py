"""How often one household, or one session, may ask: a table of buckets and a limiter that counts in them.

    request ─► bucket_for(path) ─► RateLimiter.check(bucket, key, now) ─► goes on, or RateLimited

Counting is GCRA: per key one number, the time at which the bucket would be empty again. Counters live in this
process, or in Redis where several processes share them. NOTE: nothing here locks an account. Who floods meets
the limit of the address the flood comes from, and nobody else does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from gateway.errors import ConfigurationError, Fault, RateLimited

from .addresses import household, site

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

BucketName = Literal["sign_in", "callback", "kept", "token", "session", "logout", "other"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """`burst` requests at once, and `per_minute` in the long run."""

    per_minute: float
    burst: int

    @property
    def cost(self) -> float:
        """Seconds that one request takes up."""
        return 60 / self.per_minute

    @property
    def depth(self) -> float:
        """Seconds that fit."""
        return self.cost * self.burst


# One address may be an office or a mobile carrier's gate: a thousand people who all arrive at nine o'clock.
BUCKETS: Mapping[BucketName, Bucket] = MappingProxyType(
    {
        "sign_in": Bucket(per_minute=120, burst=300),  # a start writes nothing and asks nobody
        "callback": Bucket(per_minute=120, burst=300),  # may cost a call to the provider and a transaction
        "kept": Bucket(per_minute=120, burst=300),  # an application's request, a row for half an hour
        "token": Bucket(per_minute=1200, burst=1200),  # 6,000 people who renew every five minutes
        "session": Bucket(per_minute=60, burst=120),  # one session: fifty tabs that wake together, and again
        "logout": Bucket(per_minute=300, burst=300),
        "other": Bucket(per_minute=1200, burst=1200),  # pages and the account's JSON
    }
)

SITE = 16  # times what one /64 may, all of a /48 may: whoever holds 65,536 households is still somebody
SITES: Mapping[BucketName, Bucket] = MappingProxyType(
    {name: Bucket(bucket.per_minute * SITE, bucket.burst * SITE) for name, bucket in BUCKETS.items()}
)

MAX_KEYS = 50_000  # about 12 MB; beyond it those are forgotten that will be as new soonest
MAX_KEY = 200  # characters; a client names itself
SLACK = 0.001  # seconds, for what floating point loses over a burst
REDIS_TIMEOUT = 0.25  # seconds a request waits for Redis
REDIS_PAUSE = 5.0  # seconds during which a Redis that failed is not asked again
REDIS_COMPLAINT = 60.0  # seconds between two complaints about it

# Redis' own clock, so that servers whose clocks differ still count alike. Returns the seconds to wait.
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + ARGV[1]
local wait = full - now - ARGV[2]
if wait > 0.001 then return string.format('%.6f', wait) end
redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000))
return '0'
"""


def bucket_for(path: str) -> BucketName | None:
    """The bucket that a request to this path counts in; None for what costs less than counting it.

    Verification, key sets and static files touch no database, and behind a forward-auth proxy every request of a
    whole site comes past: a limit there would be an outage. Readiness asks the database at most once a second,
    however many ask for it, and metrics are for the networks the operator names.
    """
    match path.split("/")[1:]:
        case ["auth", "verify" | "static", *_] | ["auth", "revocations"] | [".well-known" | "health" | "metrics", *_]:
            return None
        case ["auth", _, "login" | "link" | "nonce"]:
            return "sign_in"
        case ["auth", _, "callback"]:
            return "callback"
        case ["auth", "token" | "refresh" | "revoke" | "introspect"]:
            return "token"
        case ["auth", "logout"]:
            return "logout"
        case _:
            return "other"


class Counters:
    """GCRA over a bounded table in memory.

    Where it is full, keys make room in the order in which their buckets would be empty again. Not by when they were
    seen: fresh keys are cheap to invent, and must not push out the one that has used up its bucket.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._full_until: dict[str, float] = {}

    def take(self, bucket: Bucket, key: str, now: float) -> float:
        """Count one request. Returns 0, or the seconds after which it would have been let through."""
        held = max(self._full_until.get(key, 0.0), now)
        if held > now + bucket.depth + SLACK:
            held = now  # more than fits: the clock was set back, and waiting for it to catch up helps nobody
        full = held + bucket.cost
        wait = full - now - bucket.depth
        if wait > SLACK:
            return wait
        self._full_until[key] = full
        if len(self._full_until) > self._max_keys:
            self._make_room()
        return 0.0

    def _make_room(self) -> None:
        """Forget a tenth at once: to find out whom takes milliseconds."""
        order = sorted(self._full_until, key=self._full_until.__getitem__)
        for key in order[: max(1, len(order) // 10)]:
            del self._full_until[key]

    def __len__(self) -> int:
        return len(self._full_until)


class SharedCounters:
    """The same in Redis; while Redis cannot be asked, this process counts for itself."""

    def __init__(self, url: str, alone: Counters) -> None:
        self._redis = connect(url)
        self._take = self._redis.register_script(TAKE)
        self._alone = alone
        self._ask_again = 0.0
        self._complain_again = 0.0

    async def take(self, bucket: Bucket, key: str, now: float) -> float:
        if now < self._ask_again:
            return self._alone.take(bucket, key, now)
        try:
            return float(await self._take(keys=[f"gateway:limit:{key}"], args=[bucket.cost, bucket.depth]))
        except Exception as error:  # whatever Redis does must not stop a sign-in
            self._turn_away(error, now)
            return self._alone.take(bucket, key, now)

    def _turn_away(self, error: Exception, now: float) -> None:
        self._ask_again = now + REDIS_PAUSE
        if now >= self._complain_again:
            self._complain_again = now + REDIS_COMPLAINT
            log.warning("rate_limits_not_shared", extra={"fields": {"reason": type(error).__name__}})

    async def close(self) -> None:
        await self._redis.aclose()


class RateLimiter:
    """Counts requests per bucket and household; in Redis where a `redis_url` says so; not when disabled."""

    def __init__(self, *, enabled: bool = True, redis_url: str | None = None, max_keys: int = MAX_KEYS) -> None:
        self._enabled = enabled
        self._counters = Counters(max_keys)
        self._shared = SharedCounters(redis_url, self._counters) if redis_url and enabled else None

    async def check(self, bucket: BucketName, key: str, now: float, *, client: str = "") -> None:
        """Count one request of this address (or session id), apart for each client. `now` in seconds.

        Raises RateLimited with the seconds to wait. An IPv6 address counts with the rest of its /64, and in a larger
        bucket with the rest of its /48.
        """
        if not self._enabled:
            return
        wait = await self._take(BUCKETS[bucket], f"{bucket}:{household(key)}:{client}"[:MAX_KEY], now)
        if not wait and (around := site(key)):
            wait = await self._take(SITES[bucket], f"{bucket}:{around}", now)
        if wait > 0:
            raise RateLimited(f"{bucket} bucket is empty", retry_after=math.ceil(wait))

    async def _take(self, limits: Bucket, counted: str, now: float) -> float:
        if self._shared:
            return await self._shared.take(limits, counted, now)
        return self._counters.take(limits, counted, now)

    async def close(self) -> None:
        if self._shared:
            await self._shared.close()


def connect(url: str) -> Redis:
    """A client that fails fast. Raises ConfigurationError where the URL or the package does not serve."""
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise misconfigured("the redis package is not installed", "pip install 'login-gateway[redis]'") from None
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=REDIS_TIMEOUT,
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise misconfigured("no Redis address", "use redis://host:6379/0 or rediss://…") from None
    return Redis.from_pool(pool)  # closes the pool with itself


def misconfigured(seen: str, hint: str) -> ConfigurationError:
    return ConfigurationError([Fault("configuration", "gateway", "redis_url", seen, hint)])
