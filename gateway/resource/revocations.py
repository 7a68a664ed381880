"""Sessions that have ended though their access tokens have not expired: a small feed, followed in the background.

    GET <issuer>/auth/revocations     {"as_of": 1800000000, "ended": ["<mark>", …]}     ETag; 304 while nothing changes

A thread asks every two seconds. A list replaces the one before it; the last two count together, since the issuer's
processes may be half a second apart. Two seconds there, two here: a sign-out arrives within five.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Literal

import httpx2

from .errors import CannotTell
from .fetch import GOOD, UNCHANGED, FetchFailed, Web, get, read_object

INTERVAL = 2.0  # seconds between two readings
PATIENCE = 5.0  # seconds without one after which nothing is certain
LARGEST = 32 * 1024 * 1024  # bytes; 500,000 ends come to 13 MB
FIRST = 3.0  # seconds that the first verification waits for the first reading

Policy = Literal["accept", "refuse"]

log = logging.getLogger("gateway.resource")


class Revocations:
    """What the feed at `url` says. `unreachable`: whether a token is accepted, until it expires by itself, or refused
    with 503 while there is no news."""

    def __init__(
        self,
        url: str,
        *,
        web: Web,
        unreachable: Policy = "accept",
        interval: float = INTERVAL,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._web = web
        self._refuse = unreachable == "refuse"
        self._interval = interval
        self._steady = steady
        self._ended: frozenset[str] = frozenset()
        self._latest: frozenset[str] = frozenset()
        self._etag = ""
        self._known_at: float | None = None
        self._failing = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._first, self._ending = threading.Event(), threading.Event()

    def has(self, mark: str) -> bool:
        """Whether this session has ended. CannotTell where nobody knows and the policy is to refuse."""
        if mark in self._ended:
            return True
        if self._refuse and (self._known_at is None or self._steady() - self._known_at > PATIENCE):
            raise CannotTell(f"no news of ended sessions from {self._url}")
        return False

    @property
    def running(self) -> bool:
        """False also in a process that was forked: the thread has stayed behind."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> threading.Event:
        """Follow, if nobody does; the event is set after the first reading, whatever came of it."""
        with self._lock:
            if not self.running:
                self._first, self._ending = threading.Event(), threading.Event()
                run = (weakref.ref(self), self._ending, self._first, self._interval)
                self._thread = threading.Thread(target=follow, args=run, name="revocations", daemon=True)
                self._thread.start()
        return self._first

    def stop(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            self._thread = None

    def open(self) -> httpx2.Client:
        return self._web.client(self._url)

    def read(self, client: httpx2.Client) -> None:
        """One reading. What goes wrong is logged once and tried again."""
        began = self._steady()
        try:
            self._read(client)
        except FetchFailed as failed:
            if not self._failing:
                what = "tokens are refused" if self._refuse else "tokens are accepted until they expire"
                log.warning("ended sessions are not known, %s: %s", what, failed)
            self._failing = True
        else:
            self._failing, self._known_at = False, began

    def _read(self, client: httpx2.Client) -> None:
        condition = {"If-None-Match": self._etag} if self._etag else {}
        status, headers, body = get(client, self._url, condition, LARGEST)
        if status == UNCHANGED and self._etag:
            self._ended = self._latest
            return
        if status != GOOD:
            raise FetchFailed(f"{self._url} answered {status}")
        marks = read_object(self._url, body).get("ended")
        if not isinstance(marks, list) or not all(isinstance(mark, str) for mark in marks):
            raise FetchFailed(f"{self._url} is no feed of ended sessions")
        before, self._latest = self._latest, frozenset(marks)
        self._ended, self._etag = before | self._latest, headers.get("ETag", "")


def follow(
    revocations: weakref.ref[Revocations], ending: threading.Event, first: threading.Event, interval: float
) -> None:
    """Until told to end, or until nobody holds the verifier any more."""
    client: httpx2.Client | None = None
    try:
        while (one := revocations()) is not None:
            client = client or one.open()
            one.read(client)
            first.set()
            del one
            if ending.wait(interval):
                return
    finally:
        first.set()
        if client is not None:
            client.close()
