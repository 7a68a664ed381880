"""The log: one line per record whatever is in it, and no secret at any level."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import logs

JWT = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl_-Zm9v"
NAMES = (None, "gateway", *logs.QUIET, *logs.CHATTY)

log = logging.getLogger("gateway.test")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Puts the process-wide state back that `configure` changes."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("debug", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_record_is_one_json_object(stream: io.StringIO) -> None:
    log.info("signed_in", extra={"fields": {"provider": "google", "sessions": 3, "new": True, "note": None}})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "gateway.test",
        "event": "signed_in",
        "provider": "google",
        "sessions": 3,
        "new": True,
        "note": None,
    }


def test_a_record_carries_the_request_it_belongs_to(stream: io.StringIO) -> None:
    token = logs.request_id.set("r-1")
    log.info("signed_in")
    logs.request_id.reset(token)
    assert lines(stream)[0]["request_id"] == "r-1"


def test_no_field_passes_for_the_head_of_the_line(stream: io.StringIO) -> None:
    log.info("signed_in", extra={"fields": {"event": "forged", "level": "critical", "time": "never"}})
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["time"] == "never") == ("signed_in", "info", False)


@given(st.text(), st.text(), st.text())
@example("a\r\nb", "\x1b[31mred\x1b[0m", '"}\n{"event":"forged"')
@example("\x85\u2028\u2029", "\x00\x7f", "\ud800")
def test_nothing_in_a_record_ends_its_line(event: str, key: str, value: str) -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    log.info("%s", event, extra={"fields": {key: value}})
    written = stream.getvalue()
    assert written.endswith("\n")
    assert written[:-1].isascii()
    assert written[:-1].isprintable()
    json.loads(written)


def test_a_terminal_is_not_steered_by_what_it_shows() -> None:
    stream = io.StringIO()
    logs.configure("info", stream, style="text")
    log.info("refused", extra={"fields": {"cause": "x\r\n\x1b[2Jadmin signed in\u202e"}})
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written[:-1].isprintable()


def test_the_text_style_shows_fields_and_stack() -> None:
    stream = io.StringIO()
    logs.configure("info", stream, style="text")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("broke", extra={"fields": {"part": "keys"}})
    head, *stack = stream.getvalue().splitlines()
    assert head[9:] == "error   broke part=keys"
    assert all(line.startswith("    | ") for line in stack)
    assert stack[-1] == "    | second"


SECRETS: tuple[tuple[str, str], ...] = (
    ("an access token", f"verify {JWT} failed"),
    ("half a token", f"cut {JWT[:30]}"),
    ("a refresh token", "presented gwr_SECRET.SECRET-SECRET_1"),
    ("a callback's query", "/auth/google/callback?code=4/0SECRET&state=SECRET&iss=https%3A%2F%2Fx"),
    ("a query inside a query", "redirect_to=%2Fauth%3Fcode%3DSECRET%26state%3DSECRET"),
    ("the PKCE verifier as Authlib says it", "Using code_verifier: 'SECRET'"),
    ("a token request", "grant_type=authorization_code&code=SECRET&code_verifier=SECRET&client_secret=SECRET"),
    ("a dictionary", "{'client_secret': 'SECRET, SECRET', 'code': 'SECRET'}"),
    ("JSON", '{"access_token": "SECRET", "id_token":"SECRET", "refresh_token" : "SECRET"}'),
    ("JSON inside JSON", r'"{\"client_secret\": \"SECRET\"}"'),
    ("keyword arguments", "finish(code='SECRET', nonce='SECRET')"),
    ("a Bearer header", "Authorization: Bearer SECRET0SECRET"),
    ("a Basic header alone", "sent Basic U0VDUkVU"),
    ("header pairs", "[(b'Authorization', b'Basic SECRET'), (b'Cookie', b'a=SECRET')]"),
    ("cookies", "Cookie: __Host-gateway=SECRET; __Secure-gateway-refresh=SECRET"),
    ("a cookie set", "set-cookie: gateway-attempt-abc=SECRET; Path=/"),
    ("one cookie", "saw __Host-gateway-attempt-abc=SECRET"),
    ("plain-name cookies", "saw gateway=SECRET gateway-refresh=SECRET"),
    ("a login hint", "login_hint=SECRET&x=1"),
    ("an address", "mail to SECRET@example.com bounced"),
    ("an address in a URL", "/x?user=SECRET%40example.com"),
    ("an address encoded twice", "next=%2Fx%3Fuser%3DSECRET%2540example.com"),
    ("a database URL", "postgresql://gateway:SECRET@db/gateway is down"),
    ("statement parameters", "[SQL: INSERT …]\n[parameters: ('SECRET', [1], 'SECRET')]\n(Background on …)"),
    ("a private key", "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----"),
    ("a cut private key", "-----BEGIN EC PRIVATE KEY-----\nSECRET"),
)

each_secret = pytest.mark.parametrize("text", [text for _, text in SECRETS], ids=[name for name, _ in SECRETS])


def hidden(written: str) -> bool:
    return "SECRET" not in written and "U0VDUkVU" not in written and "eyJ" not in written and "***" in written


@each_secret
def test_a_secret_is_hidden_in_a_message(stream: io.StringIO, text: str) -> None:
    log.info("failed: " + text)
    assert hidden(stream.getvalue())


@each_secret
def test_a_secret_is_hidden_in_an_argument(stream: io.StringIO, text: str) -> None:
    log.info("failed: %s", text)
    assert hidden(stream.getvalue())


@each_secret
def test_a_secret_is_hidden_in_a_field(stream: io.StringIO, text: str) -> None:
    log.info("failed", extra={"fields": {"outer": [{"inner": text}], text: 1}})
    assert hidden(stream.getvalue())


@each_secret
def test_a_secret_is_hidden_in_a_stack(stream: io.StringIO, text: str) -> None:
    try:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise RuntimeError("later") from error
    except RuntimeError:
        log.exception("failed")
    assert hidden(stream.getvalue())


@each_secret
def test_a_secret_is_hidden_on_a_terminal(text: str) -> None:
    stream = io.StringIO()
    logs.configure("info", stream, style="text")
    log.info("failed: %s", text)
    assert hidden(stream.getvalue())


@pytest.mark.parametrize(
    "name", ["code", "state", "token", "client_secret", "Authorization", "cookies", "x-csrf-token", "id_token_hint"]
)
def test_a_field_with_a_secret_name_is_hidden_whole(stream: io.StringIO, name: str) -> None:
    log.info("failed", extra={"fields": {name: "abc123"}})
    assert lines(stream)[0][name] == "***"


def test_an_error_code_is_no_authorization_code(stream: io.StringIO) -> None:
    log.info("refused", extra={"fields": {"code": "attempt_used"}})
    assert lines(stream)[0]["code"] == "attempt_used"


@pytest.mark.parametrize(
    "text",
    [
        "answered with status_code=503",
        "exit code: 3",
        "the cookie is of another state or provider",
        "basic authentication is used",
        "https://accounts.google.com/.well-known/openid-configuration took 31 ms",
        "2001:db8::1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.redact(text) == text


# What rules wait for or run along, over and over: the seeds of texts that take time squared where a rule is careless.
SEEDS = (
    "gateway-attempt-", "gateway-attempt-a", "[parameters: ", "[parameters: ] ", "password: '",
    "assertion=\\\"", "code='", "cookie ", "authorization\t", "bearer ", "bearer a", "basic  ", "://", "://a",
    "eyJ", "gwr_", "a", "a.", "a@", "a%40,", "%25", "%2525", "a%25", "\\u0040", "-----BEGIN ", "-----BEGIN A",
    "-----BEGIN PRIVATE KEY-----", "-----END ", "access_token", "secret_key", "code= ", "%26code", "] ", " ",
)  # fmt: skip
REDACT_ALL = """
import json, sys
from gateway.logs import redact
for text in json.load(sys.stdin):
    redact(text)
"""


def test_no_text_takes_long_to_redact() -> None:
    """200 kB each: seconds for all of them where time is linear, minutes for one where it is not."""
    texts = [f"code {seed * (200_000 // len(seed))}" for seed in SEEDS]
    subprocess.run(  # its end is the claim
        [sys.executable, "-c", REDACT_ALL], input=json.dumps(texts), text=True, check=True, timeout=60
    )


@pytest.mark.parametrize("end", ["", "\n", "\nnext line"])
def test_a_secret_whose_quote_is_never_closed_is_hidden(end: str) -> None:
    assert "SECRET" not in logs.redact(f"client_secret: 'SECRET SECRET{end}")


def test_parameters_that_were_cut_are_hidden() -> None:
    assert "SECRET" not in logs.redact("[parameters: ('SECRET', 'SEC…")


@given(st.text(st.sampled_from("ab=:'\"@%&\\. \neyJgwr_codestatcookie"), max_size=300))
def test_any_text_can_be_redacted(text: str) -> None:
    """And what is redacted has no more to hide."""
    once = logs.redact(text)
    assert logs.redact(once) == once


@pytest.mark.parametrize(
    "logger", ["authlib.integrations.base_client.sync_app", "httpcore2.http11", "sqlalchemy.engine"]
)
def test_what_a_library_says_below_a_warning_never_passes(stream: io.StringIO, logger: str) -> None:
    noisy = logging.getLogger(logger)
    noisy.setLevel(logging.DEBUG)
    noisy.debug("Using code_verifier: %r", "abc")
    noisy.setLevel(logging.NOTSET)
    assert stream.getvalue() == ""


def test_a_library_is_no_chattier_for_our_debug_level(stream: io.StringIO) -> None:
    logging.getLogger("some.library").info("hello")
    assert stream.getvalue() == ""


def test_a_library_s_warning_goes_through_the_same_handler(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").error("Exception for %s", JWT)
    assert lines(stream)[0]["event"] == "Exception for ***"


def test_a_second_call_replaces_the_first(stream: io.StringIO) -> None:
    second = io.StringIO()
    logs.configure("info", second)
    log.info("once")
    assert (stream.getvalue(), len(lines(second))) == ("", 1)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    "write",
    [
        lambda: log.info("%d", "one"),
        lambda: log.info("%s", Unprintable()),
        lambda: log.info("x", extra={"fields": {"value": Unprintable(), "inf": float("inf"), "bytes": b"\xff"}}),
        lambda: log.info("x", extra={"fields": "no mapping"}),
        lambda: log.info("x", extra={"fields": {Unprintable(): {1, 2}}}),
        lambda: log.error("x", exc_info=(ValueError, ValueError(Unprintable()), None)),
    ],
)
def test_a_record_that_cannot_be_shown_still_makes_a_line(stream: io.StringIO, write: Callable[[], None]) -> None:
    write()
    assert len(lines(stream)) == 1


def test_a_huge_message_is_cut(stream: io.StringIO) -> None:
    log.warning("answered %s", "x" * 5_000_000)
    assert len(stream.getvalue()) < 10_000


def test_a_value_that_holds_itself_ends(stream: io.StringIO) -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    log.info("x", extra={"fields": loop})
    assert len(lines(stream)) == 1


def test_an_unknown_level_is_said() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.configure("loud", io.StringIO())
