"""What a request brings: query, form and JSON fields, read strictly. Whatever has two readings is refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.errors import RequestFault, TooLarge, UnsupportedMediaType

Headers = Iterable[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LIMIT = 65_536  # bytes of a body
MAX_FIELDS = 64
MAX_TYPE = 100  # characters of a content type
PATIENCE = 30  # seconds for a whole body
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

# Given twice these are an attack (RFC 6749 section 3.1) and refused before anything looks at the rest. Other
# names are refused when they are asked for; names nobody asks for are ignored.
SINGLE = frozenset(
    """
    access_token acr_values actor_token assertion audience claims client_assertion client_id
    client_assertion_type client_secret code code_challenge code_challenge_method code_verifier
    credential error error_description everywhere g_csrf_token grant_type id_token id_token_hint iss
    login_hint logout_token max_age nonce post_logout_redirect_uri prompt provider redirect_to
    redirect_uri refresh_token request request_uri response_mode response_type scope sid state
    subject_token subject_token_type target_link_uri token token_type_hint ui_locales user
    """.split()  # noqa: SIM905  forty names on forty lines are not read
)
PROSE = frozenset({"error_description"})  # sentences for people; Microsoft's hold line breaks

BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fields:
    """Decoded fields. A value is as it was sent, also when it is empty."""

    values: dict[str, str] = field(repr=False)
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str | None:
        """The value, None when absent. Raises RequestFault when it was given more than once."""
        if name in self.repeated:
            raise RequestFault(f"{name} was given more than once")
        return self.values.get(name)

    def one(self, name: str) -> str:
        """The value of a field that must be there. Raises RequestFault when absent, empty or repeated."""
        value = self.get(name)
        if not value:
            raise RequestFault(f"{name} is missing")
        return value


NOTHING = Fields({})


def query(scope: MutableMapping[str, Any]) -> Fields:
    """The query string. Raises RequestFault."""
    raw: bytes = scope["query_string"]
    return parse(raw) if raw else NOTHING


def form(headers: Headers, body: bytes) -> Fields:
    """A urlencoded body. Raises UnsupportedMediaType or RequestFault; no body of no type holds no fields."""
    kind = media_type(headers)
    if kind == FORM:
        return parse(body)
    if kind is None and not body:
        return NOTHING
    raise UnsupportedMediaType(f"{kind!r} instead of {FORM}")


def json_object(headers: Headers, body: bytes) -> dict[str, Any]:
    """A JSON object whose names are unique and whose texts hold no control characters. Raises as `form`."""
    kind = media_type(headers)
    if kind != JSON:
        raise UnsupportedMediaType(f"{kind!r} instead of {JSON}")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse_constant)
        check_texts(value)
    except (ValueError, RecursionError) as error:
        raise RequestFault(f"not the JSON expected: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise RequestFault("the JSON is no object")
    return value


async def read_body(receive: Receive, limit: int, patience: float = PATIENCE) -> bytes:
    """The whole body, of at most `limit` bytes. Raises TooLarge; RequestFault when the client went away, or when it
    has not sent everything after `patience` seconds.
    """
    try:
        async with asyncio.timeout(patience):
            return await read_pieces(receive, limit)
    except TimeoutError:
        raise RequestFault(f"the body was not complete after {patience:g} s") from None


async def read_pieces(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestFault("the client went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"more than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """Every field of a query in its order, for the one place where a name may come several times."""
    return [(key, text(value)) for key, value in split(raw)]


def parse(raw: bytes) -> Fields:
    """application/x-www-form-urlencoded, each field once where that matters."""
    values: dict[str, str] = {}
    repeated: set[str] = set()
    for key, value in split(raw):
        if key in values:
            repeated.add(key)
        values[key] = prose(value) if key in PROSE else text(value)
    if repeated & SINGLE:
        raise RequestFault(f"{min(repeated & SINGLE)} was given more than once")
    return Fields(values, frozenset(repeated))


def split(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and what stands behind them, UTF-8 only (WHATWG URL section 5.1, with its leniences refused)."""
    if raw.count(b"&") >= MAX_FIELDS:
        raise RequestFault(f"more than {MAX_FIELDS} fields")
    if b"%" in raw and BAD_PERCENT.search(raw):
        raise RequestFault("a percent sign that encodes nothing")
    for pair in raw.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield text(name), value


def text(raw: bytes) -> str:
    decoded = decode(raw)
    if not decoded.isprintable() and CONTROL.search(decoded):
        raise RequestFault("a control character in a field")
    return decoded


def prose(raw: bytes) -> str:
    return CONTROL.sub(" ", decode(raw))


def decode(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestFault("a field is not UTF-8") from None


def media_type(headers: Headers) -> str | None:
    """The content type in lower case, None if absent. UnsupportedMediaType for two or another charset."""
    found = [value for name, value in headers if name == b"content-type"]
    if not found:
        return None
    kind, _, parameters = found[0].decode("latin-1").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"') if "charset" in parameters else "utf-8"
    if len(found) > 1 or charset != "utf-8":
        raise UnsupportedMediaType("two content types, or another charset than UTF-8")
    return kind.strip()[:MAX_TYPE]


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def check_texts(value: Any) -> None:
    """Raise ValueError where a text holds what no database and no header should be given."""
    if isinstance(value, str):
        if CONTROL.search(value):
            raise ValueError("a control character")
    elif isinstance(value, dict):
        for name, member in value.items():
            check_texts(name)
            check_texts(member)
    elif isinstance(value, list):
        for item in value:
            check_texts(item)
