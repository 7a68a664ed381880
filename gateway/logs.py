"""The log: one line per record, redacted, with the request's id; configured once, by the command that runs.

Modules log with `logging.getLogger(__name__)`: the message is the event's name, everything else goes into
`extra={"fields": {...}}`. Nothing runs at import: an application that mounts the gateway keeps its own log.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO

request_id: ContextVar[str] = ContextVar("request_id", default="")

Style = Literal["json", "text"]

MASK = "***"
MAX_TEXT = 8_192  # characters of one message or value; a provider's answer can be megabytes
MAX_TRACE = 16_384  # characters of a stack, counted from its end
MAX_DEPTH = 4

# Below WARNING these say what must not be written: Authlib the PKCE verifier, SQLAlchemy its parameters.
QUIET = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "authlib",
    "httpcore2",
    "httpx2",
    "joserfc",
    "psycopg",
    "redis",
    "sqlalchemy",
    "uvicorn.access",
)
CHATTY = ("alembic.runtime.migration", "uvicorn", "uvicorn.error")

# Cheap looks first: most values are plain words, and most others hold none of these.
PLAIN = re.compile(r"[\w/{}.-]*")
SUSPECT = re.compile(
    r"eyJ|gwr_|@|%(?:25)*40|\\u0040|code|state|nonce|secret|token|key|bearer|basic|dpop"
    r"|authorization|cookie|credential|assertion|hint|gateway|pass|parameters",
    re.IGNORECASE,
)
LONG = (
    r"code_verifier|client_secret|client_assertion|authorization_code|device_code|user_code|assertion"
    r"|(?:access|refresh|id|logout|subject|actor|csrf)_token(?:_hint)?|login_hint|credential|password|passwd|passphrase"
    r"|secret_keys?|private_key|api_key|session_state|gateway-(?:refresh|attempt-[\w-]{1,64})|__Host-gateway"
)
SHORT = r"code|state|nonce|token|secret|gateway"  # also plain words, so `code: 404` in a sentence stays
START = r"(?:(?<![\w-])|(?<=%26)|(?<=%3[Ff]))"
QUOTED = r"""\\?["']?\s*(?:[:,=]|%3[Dd])\s*b?(?P<quote>\\?["']).*?(?:(?P=quote)|(?m:$))"""
BARE = r"""[^\s&"'<>,;)\]}]+"""
ATOM = r"""[^\s@"'<>()\[\]{},;:\\/?&=]"""  # a character of an e-mail address' halves
# NOTE: each rule takes linear time. What runs on to a closing mark matches without one, too (to the end of the line
# or text), and what may fail late is bounded: clients choose the text, and the log holds up everybody.
RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
    ),
    (re.compile(r"\[parameters: .*?(?:\](?=\s*(?:\n|$))|\Z)", re.DOTALL), "[parameters: ***]"),
    (re.compile(r"eyJ[\w-]{8,}=*(?:\.[\w=-]*){0,4}"), MASK),
    (re.compile(r"gwr_[\w.~=-]*"), MASK),
    (re.compile(r"(?<=://)[^/\s@]{1,512}@"), "***@"),
    (
        re.compile(r"""(?i)((?:proxy-)?authorization|(?:set-)?cookies?)(\\?["']\s*[:,]|\s*[:=])[^\r\n]*"""),
        rf"\1\2 {MASK}",
    ),
    (re.compile(r"(?i:\b(bearer|basic|dpop))\s+(?=\S*[A-Z0-9=+/])[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(rf"(?i)({LONG})(?:{QUOTED}|\s*(?:[=:]|%3D)\s*{BARE})"), rf"\1={MASK}"),
    (re.compile(rf"(?i){START}({SHORT})(?:{QUOTED}|(?:=|%3D){BARE})"), rf"\1={MASK}"),
    (
        re.compile(rf"(?<!{ATOM}){ATOM}+(?:@|%(?:25){{0,8}}40|\\u0040){ATOM}+"),
        MASK,
    ),
)
SECRET_FIELD = re.compile(rf"(?i)(?:.*(?:{LONG})|{SHORT}|(?:.*[-_])?(?:token|secret|cookies?|authorization))")
OUR_CODE = re.compile(r"[a-z_]{3,40}")  # an error code is a word; an authorization code is not
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def configure(level: str = "info", stream: TextIO | None = None, *, style: Style = "json") -> None:
    """Send every logger of this process through one redacting handler. A second call replaces the first.

    `level` is that of the gateway's own loggers; libraries say WARNING and above, server and migrations INFO.
    Raises ValueError for an unknown level.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextLines() if style == "text" else JsonLines())
    handler.addFilter(Redaction())
    for name in (*QUIET, *CHATTY, "gateway"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    chosen = logging.getLogger("gateway")
    chosen.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, chosen.level))
    logging.captureWarnings(True)
    # Asked for with every record, and in none of our lines.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.handlers = [handler]


def redact(text: str) -> str:
    """The text without tokens, codes, secrets, cookies and e-mail addresses."""
    if PLAIN.fullmatch(text) and "eyJ" not in text and "gwr_" not in text:
        return text
    if SUSPECT.search(text) or "://" in text:
        for pattern, replacement in RULES:
            text = pattern.sub(replacement, text)
    return text


class Clean(dict[str, str | int | float | None]):
    """Fields that are redacted already, and flat: the walk over every value is left out, half of what a line costs."""


class Redaction(logging.Filter):
    """Takes secrets out of a record before anything formats it, and stops what libraries must not say."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and is_quiet(record.name):
            return False
        record.msg = clean_text(message(record))
        record.args = None
        if record.exc_info:
            record.exc_text = trace(record.exc_info[1])
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = redact(record.exc_text[-MAX_TRACE:])
        if record.stack_info:
            record.stack_info = redact(record.stack_info[-MAX_TRACE:])
        fields = getattr(record, "fields", None)
        record.fields = fields if type(fields) is Clean else clean_fields(fields)
        return True


@lru_cache(maxsize=256)
def is_quiet(logger: str) -> bool:
    return logger not in CHATTY and any(logger == name or logger.startswith(f"{name}.") for name in QUIET)


def message(record: logging.LogRecord) -> str:
    """The message with its arguments; a record whose arguments do not fit is still worth a line."""
    try:
        return record.getMessage()
    except Exception:  # whatever an argument's __str__ raises
        return f"{show(record.msg)} (arguments do not fit)"


def trace(exception: BaseException | None) -> str:
    if exception is None:
        return ""
    try:
        return redact("".join(traceback.format_exception(exception)).rstrip()[-MAX_TRACE:])
    except Exception:  # an exception may fail to print itself
        return f"{type(exception).__name__} (cannot be shown)"


def show(value: object) -> str:
    try:
        return str(value)
    except Exception:  # the log must not fail where its subject does
        return f"<{type(value).__name__}>"


def clean_text(text: str) -> str:
    return redact(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…")


def clean_fields(fields: object) -> dict[str, Any]:
    return clean_mapping(fields, 0) if isinstance(fields, Mapping) else {}


def clean_mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    cleaned = {}
    for key, value in values.items():
        name, secret = clean_name(show(key)[:64])
        cleaned[name] = MASK if secret and not is_harmless(name, value) else clean(value, depth + 1)
    return cleaned


@lru_cache(maxsize=256)
def clean_name(name: str) -> tuple[str, bool]:
    """The field's name, and whether its value is a secret."""
    return redact(name), SECRET_FIELD.fullmatch(name) is not None


def is_harmless(name: str, value: object) -> bool:
    if isinstance(value, str):
        return name == "code" and OUR_CODE.fullmatch(value) is not None
    return value is None or isinstance(value, bool)


def clean(value: object, depth: int) -> Any:
    """The value as JSON can hold it, every text in it redacted."""
    match value:
        case str():
            return clean_text(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < MAX_DEPTH:
            return clean_mapping(value, depth)
        case list() | tuple() | set() | frozenset() if depth < MAX_DEPTH:
            return [clean(item, depth + 1) for item in value]
        case _:
            return clean_text(show(value))


class JsonLines(logging.Formatter):
    """One JSON object per line, ASCII only, so that nothing in it can end a line or steer a terminal."""

    _encode = json.JSONEncoder(separators=(",", ":"), default=show).encode

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg,
        }
        if current := request_id.get():
            head["request_id"] = current
        tail = {"exception": record.exc_text, "stack": record.stack_info}
        # The head twice: first for its place in the line, last so that no field can pass for it.
        line = {**head, **getattr(record, "fields", {}), **{k: v for k, v in tail.items() if v}, **head}
        return self._encode(line)


class TextLines(logging.Formatter):
    """For a terminal: one line per record; a stack follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items() if value is not None)
        if current := request_id.get():
            fields += f" request_id={current}"
        lines = [f"{timestamp(record)[11:19]} {record.levelname.lower():<8}{record.msg}{fields}"]
        for block in (record.exc_text, record.stack_info):
            lines += [f"    | {line}" for line in (block or "").splitlines()]
        return "\n".join(CONTROL.sub(escape, line) for line in lines)


def timestamp(record: logging.LogRecord) -> str:
    """UTC, ISO 8601, milliseconds."""
    second, rest = divmod(round(record.created * 1_000_000), 1_000_000)
    return f"{date_and_time(second)}.{rest // 1000:03}Z"


@lru_cache(maxsize=2)
def date_and_time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def escape(control: re.Match[str]) -> str:
    return f"\\u{ord(control.group()):04x}"
