"""The verifier: one token in, who it speaks for out; sync and async, without the network once the keys are known.

seen before? ─ yes ─► still valid? session not ended? ─► Principal
     no
     └► parse ─► issuer by `iss`, from configuration only ─► header ─► key ─► signature ─► claims ─► Principal
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from hashlib import sha256

import httpx2

from . import jws
from .entra import foreign_issuer
from .errors import InvalidToken, quoted
from .fetch import Web
from .issuers import AccessTokens, Issuer, Place, table
from .jws import Unverified
from .principal import Principal
from .revocations import FIRST, Policy, Revocations
from .seen import SeenTokens, Verified, session_mark
from .source import PATIENCE, KeySource

LEEWAY = 60  # seconds that an issuer's clock may be ahead
CACHE_SIZE = 20_000  # verified tokens remembered


class Verifier:
    """Checks access tokens of one issuer, or of several side by side.

        verifier = Verifier("https://login.example.com", audience="https://api.example.com")
        principal = await verifier.verify(token)      # or verifier.verify_sync(token)

    Both raise InvalidToken, or CannotTell (503) where the issuer's keys cannot be had. Threads and event loops may
    share one; processes that are forked from one have their own from then on.
    """

    def __init__(
        self,
        issuer: str | Issuer | Iterable[str | Issuer],
        audience: str | Sequence[str] | None = None,
        *,
        revocations: bool | str = False,
        unreachable: Policy = "accept",
        leeway: int = LEEWAY,
        cache_size: int = CACHE_SIZE,
        clock: Callable[[], float] = time.time,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`audience`: what must be in `aud` of issuers that are given by URL; default: the issuer itself, as the
        gateway has it. `revocations`: follow the feed of ended sessions of the first such issuer, or at this URL;
        `unreachable`: what to do while there is no news, "accept" or "refuse". `leeway` in seconds.
        """
        given = [issuer] if isinstance(issuer, str) or not isinstance(issuer, Iterable) else list(issuer)
        self.issuers = tuple(
            AccessTokens(one, one if audience is None else audience) if isinstance(one, str) else one for one in given
        )
        self._by_name = dict(table(self.issuers))
        if not self._by_name:
            raise ValueError("a verifier needs an issuer")
        self._leeway = leeway
        self._clock = clock
        self._web = Web(transport)
        self._seen = SeenTokens(cache_size)
        self._sources: dict[Place, KeySource] = {}
        self._revocations = self._follow(revocations, unreachable)

    def _follow(self, revocations: bool | str, unreachable: Policy) -> Revocations | None:
        if not revocations:
            return None
        if isinstance(revocations, str):
            return Revocations(revocations, web=self._web, unreachable=unreachable)
        ours = next((one for one in self.issuers if isinstance(one, AccessTokens)), None)
        if ours is None:
            raise ValueError("revocations=True needs a gateway among the issuers; give the feed's URL")
        return Revocations(f"{ours.issuer.rstrip('/')}/auth/revocations", web=self._web, unreachable=unreachable)

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for. Raises InvalidToken, CannotTell."""
        if self._revocations is not None and not self._revocations.running:
            await asyncio.to_thread(self._revocations.start().wait, FIRST)
        digest = digest_of(token)
        verified = self._seen.get(digest)
        if verified is None:
            unverified, issuer, source = self._prepare(token)
            flight = source.needed(unverified.kid, unverified.alg)
            if flight is not None:
                await asyncio.wait((asyncio.wrap_future(flight),), timeout=PATIENCE)
            verified = self._finish(digest, unverified, issuer, source)
        return self._living(verified)

    def verify_sync(self, token: str) -> Principal:
        """As `verify`, for code without an event loop. A thread that waits for keys stands still."""
        if self._revocations is not None and not self._revocations.running:
            self._revocations.start().wait(FIRST)
        digest = digest_of(token)
        verified = self._seen.get(digest)
        if verified is None:
            unverified, issuer, source = self._prepare(token)
            flight: Future[None] | None = source.needed(unverified.kid, unverified.alg)
            if flight is not None:
                wait_for((flight,), timeout=PATIENCE)
            verified = self._finish(digest, unverified, issuer, source)
        return self._living(verified)

    def close(self) -> None:
        """End the following of revocations; everything else ends by itself."""
        if self._revocations is not None:
            self._revocations.stop()

    def _living(self, verified: Verified) -> Principal:
        if verified.expires_at <= self._clock():
            raise InvalidToken("the token has expired")
        if self._revocations is not None and verified.session and self._revocations.has(verified.session):
            raise InvalidToken("the session that the token belongs to has ended")
        return verified.principal

    def _prepare(self, token: str) -> tuple[Unverified, Issuer, KeySource]:
        """What can be told without keys."""
        unverified = jws.parse(token)
        issuer = self._choose(unverified)
        place = issuer.recognise(unverified)
        jws.check_header(unverified, issuer.algorithms, issuer.types)
        return unverified, issuer, self._source(place)

    def _choose(self, token: Unverified) -> Issuer:
        iss = token.claims.get("iss")
        if not isinstance(iss, str) or not iss:
            raise InvalidToken("the token names no issuer (iss)")
        found = self._by_name.get(iss)
        if found is None:
            known = ", ".join(list(self._by_name)[:4])
            raise InvalidToken(f"the token's issuer is {quoted(iss)}, configured: {known}{foreign_issuer(iss)}")
        return found

    def _source(self, place: Place) -> KeySource:
        found = self._sources.get(place)
        if found is None:
            made = KeySource(place.metadata, place.issuers, web=self._web, clock=self._clock, changed=self._seen.clear)
            found = self._sources.setdefault(place, made)
        return found

    def _finish(self, digest: bytes, token: Unverified, issuer: Issuer, source: KeySource) -> Verified:
        keys = source.find(token.kid, token.alg)
        key = next((one for one in keys if token.is_signed_by(one.key)), None)
        if key is None:
            raise InvalidToken(
                "no key of the issuer has made the signature"
                if keys
                else f"key {quoted(token.kid)} is not the issuer's"
            )
        principal = issuer.accept(token, key, self._clock(), self._leeway)
        session = None if principal.session_id is None else session_mark(principal.session_id)
        verified = Verified(principal, principal.expires_at, session)
        self._seen.put(digest, verified)
        return verified


def digest_of(token: str) -> bytes:
    if len(token) > jws.LONGEST:
        raise InvalidToken(f"the token is longer than {jws.LONGEST} characters")
    try:
        return sha256(token.encode("ascii")).digest()
    except UnicodeEncodeError as error:
        raise InvalidToken("the token is not ASCII") from error
