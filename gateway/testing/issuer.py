"""A stand-in for the gateway towards an API: it publishes a key, and signs access tokens as the gateway writes them."""

from __future__ import annotations

import atexit
import hashlib
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Self

from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing import serve, tokens
from gateway.testing.keys import Key, Keys, base64url

LIFETIME = 300  # seconds of an access token
SUBJECT = "00000000-0000-4000-8000-000000000001"


class Issuer:
    """`url` is the issuer that an API's verifier is given, `audience` what the tokens are for; like the gateway's,
    the issuer unless told otherwise."""

    def __init__(self, *, audience: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.url = ""  # once it is served
        self.audience = audience
        self._clock = clock
        self._keys = Keys([Key(ECKey.generate_key("P-256"), secrets.token_hex(8), "sig", {"alg": "ES256"})])
        self._ended: list[str] = []
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/.well-known/jwks.json", self._jwks),
                Route("/auth/revocations", self._revocations),
            ]
        )

    @contextmanager
    def serve(self, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[Self]:
        """Runs on a loopback address in a thread of its own; sets `url`. Starts and stops within seconds."""
        with serve.bound(host, port) as (listener, self.url), serve.running(self.app, listener):
            yield self

    def token(
        self,
        *,
        subject: str = SUBJECT,
        scopes: Iterable[str] = (),
        roles: Iterable[str] = (),
        groups: Iterable[str] = (),
        service: str | None = None,
        lifetime: float = LIFETIME,
        **claims: Any,
    ) -> str:
        """An access token (RFC 9068). `service`: the client_id of an application that acts for itself, in place of
        `subject`. `lifetime` in seconds; below 0 the token has expired. `claims` are laid over the others, and what
        is None is left out."""
        now = int(self._clock())
        person = {"sid": str(uuid.uuid4()), "auth_time": now, "idp": "google", "groups": list(groups)}
        said = {
            "iss": self.url,
            "sub": subject if service is None else f"app:{service}",
            "aud": self.audience or self.url,
            "client_id": service or "gateway",
            "iat": now,
            "exp": int(now + lifetime),
            "jti": secrets.token_urlsafe(16),
            "scope": " ".join(scopes),
            "roles": list(roles),
            **(person if service is None else {}),
            **claims,
        }
        key = self._keys.signer("ES256")
        header = {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
        return tokens.sign(header, {name: value for name, value in said.items() if value is not None}, key.private)

    def end_session(self, session_id: str) -> None:
        """Let the feed of ended sessions tell of this one: the `sid` of a token."""
        self._ended.append(base64url(hashlib.sha256(session_id.encode()).digest()[:16]))

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"})

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(self._keys.published())

    async def _revocations(self, _: Request) -> Response:
        return JSONResponse({"as_of": int(self._clock()), "ended": sorted(self._ended)})


@cache
def issuer() -> Issuer:
    """The one of this process: started when it is first asked for, on a free loopback port, until the process ends."""
    ends = ExitStack()
    started = ends.enter_context(Issuer().serve())
    atexit.register(ends.close)
    return started
