"""The HTTP end of a connection: uvicorn's, with an end to how much and how long a request's head and body may be."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = logging.getLogger(__name__)

PIECE = 16_384  # bytes the parser is given at once; what of them belongs to a pipelined request is not counted
TOO_LARGE = b"The head of the request is too large."
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n"
    b"connection: close\r\n\r\n%b"
)


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head without end with 431 (RFC 6585 section 5), and hangs up on who does not get to the end.

    The parser keeps every header until it is whole and copies it with each piece. Counted is all of a request besides
    its body, so that trailers and the frames of chunks have an end, too; how large a body may be is the application's
    to say. A connection between two requests ends after uvicorn's keep-alive time.
    """

    max_head: ClassVar[int] = 65_536  # bytes
    head_patience: ClassVar[float] = 10  # seconds from the connection or the first byte to the end of the head
    body_patience: ClassVar[float] = 35  # seconds from there to the end of the body; more than `fields.PATIENCE`

    app: Any  # uvicorn's: the gateway, or what somebody has put around it

    _at_once = False  # this request was answered when its head was there
    _dated: tuple[Any, bytes] = (None, b"")  # uvicorn's own headers, which change every second, as bytes
    _counted = 0  # bytes of this request so far, without its body
    _ended = 0  # requests that have come to their end
    _begun = _in_body = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            self._read(data[start : start + PIECE])

    def _read(self, piece: bytes) -> None:
        ended = self._ended
        super().data_received(piece)
        if self._ended == ended:
            self._counted += len(piece)
            if self._counted > self.max_head:
                self._refuse()
        if (self._begun or self._ended == ended) and not self.transport.is_closing():
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._at_once = False

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._stop_timer()
        self._at_once = self._answer_at_once()
        if not self._at_once:
            super().on_headers_complete()

    def _answer_at_once(self) -> bool:
        """Answer by the shortcut, if there is one, the connection is at rest and the request is a plain GET."""
        shortcut = getattr(self.app, "shortcut", None)
        at_rest = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # None before the first
        if shortcut is None or not at_rest or self.flow.write_paused or self.parser.get_method() != b"GET":
            return False
        if self.parser.get_http_version() != "1.1" or self.transport.is_closing():
            return False
        headers = shortcut.find(self.url, self.scope)
        if headers is None:
            return False
        self.transport.write(STATUS_LINE[200] + self._default_headers() + headers + b"\r\n")
        self.on_response_complete()
        return True

    def _default_headers(self) -> bytes:
        given = self.server_state.default_headers
        if self._dated[0] is not given:
            LimitedProtocol._dated = given, b"".join(b"%b: %b\r\n" % pair for pair in given)
        return self._dated[1]

    def on_body(self, body: bytes) -> None:
        self._counted -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._begun = self._in_body = False
        self._counted = 0
        self._ended += 1
        self._stop_timer()
        if not self._at_once:
            super().on_message_complete()

    def _start_timer(self) -> None:
        if self._timer is None:
            patience = self.body_patience if self._in_body else self.head_patience
            self._timer = self.loop.call_later(patience, self._hang_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self) -> None:
        """Answer with 431, unless that would pass for the answer to a request before; the end of the connection."""
        log.info("request_head_too_large", extra={"fields": {"ip": self.client[0] if self.client else None}})
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first
            self.transport.write(REFUSAL % (len(TOO_LARGE), TOO_LARGE))
        self.transport.close()

    def _hang_up(self) -> None:
        """Time is over: at once, or after the answer to the request before that is still being made."""
        if self._in_body:
            self.transport.close()
        else:
            self.shutdown()
