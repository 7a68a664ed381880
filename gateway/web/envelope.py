"""What surrounds every request: its id, its place below the base path, the size of its body, the security
headers, one line in the log, and an answer also when something broke.

Pure ASGI, outside of everything. What handlers see: `path` as our routes are written and `root_path` empty,
whatever proxy or application lies before us (addresses are made from `public_url`, never from the scope), and
the request's id in `logs.request_id`. A header that a handler sets itself stays as it is.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from time import perf_counter
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, RequestFault, TooLarge
from gateway.logs import request_id
from gateway.settings.model import Network

from .addresses import client_ip, is_proxied
from .fields import LIMIT

log = logging.getLogger(__name__)
access = logging.getLogger("gateway.access")

RawHeaders = list[tuple[bytes, bytes]]
Answer = tuple[int, RawHeaders, bytes]
OnError = Callable[[Scope, Exception], Answer]

GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
DROPPED = frozenset({b"server", b"x-powered-by", b"x-request-id"})  # no versions (ASVS 13.4.6); the id is ours
LONGEST_PATH = 256  # characters of an unknown path in the log

PAGE_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
HSTS = "max-age=31536000; includeSubDomains"
ALWAYS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


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
    ) -> None:
        self._app = app
        self._base = urlsplit(public_url).path.rstrip("/")
        self._on_error = on_error
        self._trusted = tuple(trusted_proxies)
        self._dress = Dress(public_url, form_action)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        scope = {**scope, "path": route_path(scope, self._base), "root_path": ""}
        exchange = Exchange(scope, receive, send, self._dress, self._max_body)
        headers = dict(scope["headers"])
        token = request_id.set(self._name(scope, headers.get(b"x-request-id")))
        try:
            check_framing(headers, self._max_body)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # the last resort: whatever broke, there is an answer
            await self._recover(exchange, error)
        finally:
            self._write_line(exchange, began)
            request_id.reset(token)

    def _name(self, scope: Scope, given: bytes | None) -> str:
        """The request's id: a trusted proxy's, else a new one."""
        if given is not None and GIVEN_ID.fullmatch(given) and is_proxied(scope, self._trusted):
            return given.decode()
        return secrets.token_hex(12)

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

    def _write_line(self, exchange: Exchange, began: float) -> None:
        """The access log. Never the query: it holds codes, states and addresses (ASVS 14.2.1)."""
        scope = exchange.scope
        level = logging.DEBUG if scope["path"].startswith("/health/") else logging.INFO
        if not access.isEnabledFor(level):
            return
        fields = {
            "method": scope["method"],
            "path": getattr(scope.get("route"), "path", None) or scope["path"][:LONGEST_PATH],
            "status": exchange.status,
            "ms": round((perf_counter() - began) * 1000, 1),
            "ip": client_ip(scope, self._trusted),
            "bytes": exchange.sent,
        }
        access.log(level, "request", extra={"fields": fields})


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


class Dress:
    """The headers that every answer wears, made once."""

    def __init__(self, public_url: str, form_action: Iterable[str]) -> None:
        common = ALWAYS | ({"strict-transport-security": HSTS} if wants_hsts(public_url) else {})
        page_policy = " ".join((f"{PAGE_POLICY}; form-action 'self'", *form_action))
        self._page = encode(common | {"content-security-policy": page_policy})
        self._data = encode(common | {"content-security-policy": DATA_POLICY})
        self._names = frozenset(name for name, _ in self._page)

    def __call__(self, headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        worn = [pair for pair in headers if pair[0] not in DROPPED]
        own = dict(worn)
        ours = self._page if own.get(b"content-type", b"").startswith(b"text/html") else self._data
        if self._names.isdisjoint(own):
            return worn + ours
        return worn + [pair for pair in ours if pair[0] not in own]


def encode(headers: dict[str, str]) -> RawHeaders:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def wants_hsts(public_url: str) -> bool:
    """On https, but not for names of this machine: there it would lock every other project out of http."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if parts.scheme != "https" or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False  # an address is no known HSTS host (RFC 6797 section 8.1.1)


def route_path(scope: Scope, base: str) -> str:
    """The path our routes know, below the mount point or else below the base path of `public_url`.

    A proxy may have taken the base path away already; then there is nothing to take. NOTE: where it does so,
    the base path cannot be one that our own routes begin with, such as /auth.
    """
    path: str = scope["path"]
    for prefix in (scope.get("root_path", "").rstrip("/"), base):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            return path[len(prefix) :] or "/"
    return path or "/"


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
