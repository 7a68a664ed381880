"""What surrounds every request: its id, its place below the base path, the size of its body, the security
headers, one line in the log, and an answer also when something broke.

Pure ASGI, outside of everything. What handlers see: `path` as our routes are written and `root_path` empty,
whatever proxy or application lies before us (addresses are made from `public_url`, never from the scope), and
the request's id in `logs.request_id`. A header that a handler sets itself stays as it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, RequestFault, TooLarge
from gateway.logs import Clean, clean_text, request_id
from gateway.settings.model import Network

from .addresses import client_ip, is_proxied
from .base_path import route_path
from .dress import Dress, RawHeaders
from .fields import LIMIT

log = logging.getLogger(__name__)
access = logging.getLogger("gateway.access")

Answer = tuple[int, RawHeaders, bytes]
OnError = Callable[[Scope, Exception], Answer]
Observe = Callable[[Scope, int, float], None]  # a request that was answered: its status, and seconds

GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
LONGEST_PATH = 256  # characters of an unknown path in the log
OPAQUE = re.compile(r"[^/]{25,}")  # a part of one that may be a token gone astray

FALLBACK = json.dumps({"error": GatewayError.code, "error_description": GatewayError.sentence}).encode()


class Envelope:
    """The outermost ASGI application.

    `on_error` answers an exception that nothing inside has answered. `form_action`: origins besides our
    own to which a form's answer may redirect (Chromium checks the CSP's form-action along redirects, too).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        on_error: OnError,
        trusted_proxies: Sequence[Network] = (),
        form_action: Iterable[str] = (),
        max_body: int = LIMIT,
        observe: Observe | None = None,
    ) -> None:
        self._app = app
        self._base = urlsplit(public_url).path.rstrip("/")
        self._on_error = on_error
        self._trusted = tuple(trusted_proxies)
        self._dress = Dress(public_url, form_action)
        self._max_body = max_body
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        scope = {**scope, "path": route_path(scope, self._base), "root_path": ""}
        exchange = Exchange(scope, receive, send, self._dress, self._max_body)
        headers = dict(scope["headers"])
        token = request_id.set(self.name(scope, headers.get(b"x-request-id")))
        try:
            check_framing(headers, self._max_body)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # the last resort: whatever broke, there is an answer
            await self._recover(exchange, error)
        finally:
            self.finish(exchange.scope, exchange.status, exchange.sent, perf_counter() - began)
            request_id.reset(token)

    def name(self, scope: Scope, given: bytes | None) -> str:
        """The request's id: a trusted proxy's, else a new one."""
        if given is not None and GIVEN_ID.fullmatch(given) and is_proxied(scope, self._trusted):
            return given.decode()
        return f"{random.getrandbits(96):024x}"  # tells requests apart, and hides nothing

    async def _recover(self, exchange: Exchange, error: Exception) -> None:
        if isinstance(error, ClientDisconnect):
            return
        if exchange.status is not None or not isinstance(error, GatewayError):
            log.error("unexpected_error", exc_info=error)
        if exchange.status is None:
            await exchange.answer(self._explain(exchange.scope, error))
        elif not exchange.complete:
            raise error  # the server cuts the connection: half an answer must not pass for a whole one

    def _explain(self, scope: Scope, error: Exception) -> Answer:
        try:
            return self._on_error(scope, error)
        except Exception as worse:
            log.error("no_answer_to_error", exc_info=worse)
            return 500, [(b"content-type", b"application/json")], FALLBACK

    def finish(self, scope: Scope, status: int | None, sent: int, seconds: float) -> None:
        """Count a request and write its line. `status`: None when nobody was answered; `sent`: bytes of the body."""
        if self._observe and status is not None:
            self._observe(scope, status, seconds)
        self._write_line(scope, status, sent, seconds)

    def _write_line(self, scope: Scope, status: int | None, sent: int, seconds: float) -> None:
        """The access log. Never the query: it holds codes, states and addresses (ASVS 14.2.1)."""
        level = logging.DEBUG if scope["path"].startswith("/health/") else logging.INFO
        if not access.isEnabledFor(level):
            return
        fields = Clean(
            method=clean_text(scope["method"]),
            path=getattr(scope.get("route"), "path", None)
            or clean_text(OPAQUE.sub("***", scope["path"])[:LONGEST_PATH]),
            status=status,
            ms=round(seconds * 1000, 1),
            ip=client_ip(scope, self._trusted),
            bytes=sent,
        )
        # Not `log`, which would look for the caller on the stack.
        access.handle(access.makeRecord(access.name, level, "", 0, "request", (), None, extra={"fields": fields}))


class Exchange:
    """One request and its answer, as they pass by."""

    __slots__ = ("_dress", "_limit", "_receive", "_received", "_send", "complete", "scope", "sent", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, dress: Dress, limit: int) -> None:
        self.scope = scope
        self.status: int | None = None
        self.sent = 0  # bytes of the body
        self.complete = False
        self._receive = receive
        self._send = send
        self._dress = dress
        self._limit = limit
        self._received = 0

    async def receive(self) -> Message:
        """The next piece of the request. Raises TooLarge, whatever length the request announced, or none."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limit:
                raise TooLarge(f"more than {self._limit} bytes were sent")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await others()
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif message["type"] == "http.response.body":
            if self.scope["method"] == "HEAD":
                message = {**message, "body": b""}
            self.sent += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        status, headers, body = answer
        length = (b"content-length", str(len(body)).encode())
        headers = [*(pair for pair in headers if pair[0] != b"content-length"), length]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _headers(self, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        dressed = self._dress(headers)
        dressed.append((b"x-request-id", request_id.get().encode()))
        if self.status == 413 and self.scope.get("http_version", "1.1").startswith("1"):
            dressed.append((b"connection", b"close"))  # or the rest of the flood would be read, and thrown away
        return dressed


async def others() -> None:
    """Let all who came at once be worked for, before any of them is answered.

    The same work in a row finds its code and tables in the processor's cache; writing an answer between throws them
    out. With 64 at once a login start takes a quarter less for it, and so does a token that has to be verified.
    """
    await asyncio.sleep(0)


def check_framing(headers: dict[bytes, bytes], limit: int) -> None:
    """Refuse a request that announces too much, or a length with two readings (RFC 9112 section 6.3)."""
    length = headers.get(b"content-length")
    if length is None:
        return
    if b"transfer-encoding" in headers:
        raise RequestFault("both Content-Length and Transfer-Encoding")
    if not length.isdigit():
        raise RequestFault("Content-Length is no number")
    if len(length) > 19 or int(length) > limit:
        raise TooLarge(f"{length[:20].decode()} bytes announced")
