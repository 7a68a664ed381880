"""Where one issuer's keys come from: its metadata, then its key set; one fetch at a time, the last good answer kept.

    fresh ─ 5 minutes ─► served, fetched anew in the background ─ 24 hours without a good answer ─► nobody can tell

A key id nobody knows has the set fetched at once, but through a bucket, so that invented ones cost the issuer little.
Fetching is done by a thread of its own, and who waits for it waits for one `Future`: sync code, and any event loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from .errors import CannotTell
from .fetch import FetchFailed, Web, is_fetchable, is_loopback
from .keys import Keys, candidates, merge, read_keys

Clock = Callable[[], float]

FRESH = 300  # seconds
STALE = 86_400  # seconds since the last good answer after which the keys are not believed any more
PAUSE = 5  # seconds after a failure during which nothing is fetched
BURST, REFILL = 3, 60  # fetches for unknown keys that bring nothing, and seconds for each further one
PATIENCE = 10.0  # seconds somebody waits for a fetch

log = logging.getLogger("gateway.resource")


class KeySource:
    """`metadata`: addresses of the issuer's metadata, tried in turn; `issuers`: what it may call itself there."""

    def __init__(
        self,
        metadata: Sequence[str],
        issuers: Sequence[str],
        *,
        web: Web,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when a key has gone."""
        self._metadata = tuple(metadata)
        self._issuers = tuple(issuers)
        self._web = web
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._flight: Future[None] | None = None
        self._keys: Keys = ()
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._failure = ""
        self._left, self._refilled_at = float(BURST), clock()

    def needed(self, kid: str | None, alg: str) -> Future[None] | None:
        """What to wait for before `find` can tell; None: nothing. Raises CannotTell where waiting would not help."""
        now, seen = self._clock(), self._fetched_at
        if seen is None or now - seen > STALE:
            return self._fly(now, seen)
        if now - seen > FRESH and not self._pausing(now):
            self._fly(now, seen)
        if any(kid is None or key.kid in (kid, None) for key in self._keys if key.fits(alg)):
            return None
        return self._ask(now, seen)

    def find(self, kid: str | None, alg: str) -> Keys:
        """The keys that may have signed. CannotTell where there are none to look among."""
        if self._fetched_at is None or self._clock() - self._fetched_at > STALE:
            raise CannotTell(self._failure or "the issuer's keys could not be fetched in time")
        return candidates(self._keys, kid, alg)

    def _ask(self, now: float, seen: float) -> Future[None] | None:
        """Fetch because of an unknown key, if the pace allows. To join a fetch under way is free."""
        with self._lock:
            if self._flight is None:
                if self._pausing(now):
                    raise CannotTell(self._failure)
                self._left = min(float(BURST), self._left + max(0.0, now - self._refilled_at) / REFILL)
                self._refilled_at = now
                if self._left < 1:
                    return None
                self._left -= 1
        return self._fly(now, seen)

    def _pausing(self, now: float) -> bool:
        return self._failed_at is not None and 0 <= now - self._failed_at < PAUSE

    def _fly(self, now: float, seen: float | None) -> Future[None] | None:
        """The fetch under way, or a new one; None where one has come back since its time was `seen`."""
        with self._lock:
            if self._flight is not None:
                return self._flight
            if self._fetched_at != seen:
                return None
            if self._pausing(now):
                raise CannotTell(self._failure)
            flight: Future[None] = Future()
            flight.set_running_or_notify_cancel()  # one who stops waiting does not stop it for the others
            self._flight = flight
            threading.Thread(target=self._run, args=(flight,), name="issuer-keys", daemon=True).start()
            return flight

    def _run(self, flight: Future[None]) -> None:
        try:
            self._load()
            self._failed_at, self._failure = None, ""
        except Exception as error:  # whatever an issuer answers, its waiters must be told
            self._failed_at = self._clock()
            self._failure = str(error) if isinstance(error, FetchFailed) else type(error).__name__
            log.warning("keys of %s cannot be fetched: %s", self._issuers[0], self._failure)
        finally:
            with self._lock:
                self._flight = None
            flight.set_result(None)

    def _load(self) -> None:
        now = self._clock()
        named = read_keys(self._web.document(self._locate()), now)
        if not named:
            raise FetchFailed("the key set holds no usable signing key")
        before, self._keys = self._keys, merge(self._keys, named, now)
        if {key.kid for key in named} - {key.kid for key in before}:
            self._left = min(float(BURST), self._left + 1)  # a fetch that brings a new key costs nothing
        self._fetched_at = now
        if {key.material for key in before} - {key.material for key in self._keys}:
            self._changed()

    def _locate(self) -> str:
        """The address of the key set. The metadata must name the issuer exactly (RFC 8414 section 3.3)."""
        failures = []
        for url in self._metadata:
            try:
                return self._read_metadata(url, self._web.document(url))
            except FetchFailed as failed:
                failures.append(str(failed))
        raise FetchFailed("; ".join(failures))

    def _read_metadata(self, url: str, document: Mapping[str, Any]) -> str:
        if document.get("issuer") not in self._issuers:
            raise FetchFailed(f"{url} names another issuer than {self._issuers[0]}")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or not is_fetchable(address, plain=is_loopback(urlsplit(url).hostname or "")):
            raise FetchFailed(f"{url} names no usable jwks_uri")
        return address


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer publishes its metadata: OpenID Discovery section 4, then RFC 8414 section 3.1."""
    parts = urlsplit(issuer)
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    urls = (
        f"{base}{path}/.well-known/openid-configuration",
        f"{base}/.well-known/oauth-authorization-server{path}",
        f"{base}{path}/.well-known/oauth-authorization-server",
    )
    return tuple(dict.fromkeys(urls))
