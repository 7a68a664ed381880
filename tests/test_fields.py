"""What a request brings: one reading or none."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, RequestFault, TooLarge, UnsupportedMediaType
from gateway.web import fields
from gateway.web.fields import Fields

FORM = [(b"host", b"x"), (b"content-type", b"application/x-www-form-urlencoded")]
JSON = [(b"content-type", b"application/json")]

words = st.text(st.characters(exclude_categories=["Cc", "Cs"]))


def query(raw: bytes) -> Fields:
    return fields.query({"query_string": raw})


@given(st.dictionaries(words, words, max_size=20))
def test_what_was_encoded_is_read_back(sent: dict[str, str]) -> None:
    assert query(urlencode(sent).encode()).values == sent


@given(st.binary(max_size=200) | st.text(st.sampled_from("%=&+;aA0\x00é"), max_size=60).map(str.encode))
def test_anything_is_read_or_refused(raw: bytes) -> None:
    try:
        read = query(raw)
    except RequestFault:
        return
    assert all(isinstance(read.values[name], str) for name in read.values)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=b+c%2B", {"a": "b c+"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a=%C3%A9", {"a": "é"}),
        (b"a=\xc3\xa9", {"a": "é"}),
    ],
)
def test_urlencoded_fields(raw: bytes, expected: dict[str, str]) -> None:
    assert query(raw).values == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%u0041",
        b"a=%FF",
        b"a=%C0%80",
        b"a=%ED%A0%80",
        b"a=%00",
        b"a%00=b",
        b"a=b%0D%0Ac",
        b"a=%1B[2J",
        b"a=%C2%85",
        b"a=%7F",
        b"&".join(b"a%d=1" % number for number in range(65)),
        b"&" * 70_000,
    ],
)
def test_fields_with_no_clear_reading_are_refused(raw: bytes) -> None:
    with pytest.raises(RequestFault):
        query(raw)


@pytest.mark.parametrize("name", ["state", "code", "iss", "redirect_to", "refresh_token"])
@pytest.mark.parametrize("second", ["same", "other"])
def test_a_known_field_given_twice_is_refused_at_once(name: str, second: str) -> None:
    with pytest.raises(RequestFault):
        query(f"{name}=same&x=1&{name}={second}".encode())


def test_an_encoded_name_is_the_same_name() -> None:
    with pytest.raises(RequestFault):
        query(b"state=a&st%61te=b")


def test_an_unknown_field_given_twice_is_ignored() -> None:
    assert query(b"utm=a&utm=b&code=c").get("code") == "c"


def test_an_unknown_field_given_twice_is_refused_when_asked_for() -> None:
    asked = query(b"utm=a&utm=b")
    with pytest.raises(RequestFault):
        asked.get("utm")


def test_a_provider_s_sentence_may_have_several_lines() -> None:
    asked = query(b"error=access_denied&error_description=AADSTS65004%3a+User+declined.%0d%0aTrace+ID%3a+1")
    assert asked.get("error_description") == "AADSTS65004: User declined.  Trace ID: 1"


def test_an_absent_field_is_none() -> None:
    assert query(b"a=1").get("b") is None


def test_an_empty_field_is_there() -> None:
    assert query(b"iss=").get("iss") == ""


@pytest.mark.parametrize("raw", [b"", b"a=", b"b=1"])
def test_a_field_that_must_be_there(raw: bytes) -> None:
    with pytest.raises(RequestFault):
        query(raw).one("a")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/x-www-form-urlencoded",
        b"Application/X-WWW-Form-Urlencoded",
        b"application/x-www-form-urlencoded; charset=UTF-8",
        b'application/x-www-form-urlencoded;charset="utf-8"',
    ],
)
def test_a_form(content_type: bytes) -> None:
    assert fields.form([(b"content-type", content_type)], b"a=1").values == {"a": "1"}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"")],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"multipart/form-data; boundary=x")],
        [(b"content-type", b"application/json")],
        [(b"content-type", b"application/x-www-form-urlencoded; charset=utf-16")],
        FORM + FORM,
    ],
)
def test_a_body_of_another_type_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(UnsupportedMediaType):
        fields.form(headers, b"a=1")


def test_no_body_of_no_type_is_an_empty_form() -> None:
    assert fields.form([], b"").values == {}


def test_an_empty_body_of_another_type_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        fields.form([(b"content-type", b"text/plain")], b"")


members = st.recursive(
    st.none() | st.booleans() | st.integers() | words, lambda inner: st.lists(inner) | st.dictionaries(words, inner)
)


@given(st.dictionaries(words, members, max_size=6), st.booleans())
def test_a_json_object_is_read_back(sent: dict[str, Any], ascii_only: bool) -> None:
    assert fields.json_object(JSON, json.dumps(sent, ensure_ascii=ascii_only).encode()) == sent


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b'{"a": "\\u0000"}',
        b'{"a": ["\\ud800"]}',
        b'{"a\\n": 1}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a":' * 20_000,
        b"[" * 60_000 + b"]" * 60_000,
        b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"a": ' + b"1" * 60_000 + b"}",
    ],
)
def test_json_with_no_clear_reading_is_refused(body: bytes) -> None:
    with pytest.raises(RequestFault):
        fields.json_object(JSON, body)


@given(st.binary(max_size=100) | st.text(st.sampled_from('{}[]",:\\u0dt1e-'), max_size=60).map(str.encode))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestFault):
        assert isinstance(fields.json_object(JSON, body), dict)


@pytest.mark.parametrize("headers", [[], FORM, [(b"content-type", b"text/plain")], JSON + JSON])
def test_json_of_another_type_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(UnsupportedMediaType):
        fields.json_object(headers, b"{}")


@pytest.mark.parametrize("read", [fields.form, fields.json_object])
def test_a_cause_quotes_no_more_than_a_log_line_should_hold(read: Callable[[fields.Headers, bytes], object]) -> None:
    with pytest.raises(UnsupportedMediaType) as refused:
        read([(b"content-type", b"x" * 60_000)], b"a=1")
    assert len(refused.value.cause) < 200


def test_a_cause_never_repeats_a_value() -> None:
    with pytest.raises(RequestFault) as refused:
        fields.json_object(JSON, b'{"token": "hidden", "token": "hidden"}')
    assert "hidden" not in str(refused.value)


def receiving(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    queue = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(queue)

    return receive


def piece(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


@given(st.lists(st.binary(max_size=10), min_size=1))
async def test_a_body_in_pieces_is_joined(chunks: list[bytes]) -> None:
    messages = [piece(chunk, True) for chunk in chunks] + [piece(b"", False)]
    assert await fields.read_body(receiving(*messages), 1000) == b"".join(chunks)


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert await fields.read_body(receiving(piece(b"ab", True), piece(b"cd", False)), 4) == b"abcd"


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([piece(b"abcde", False)], TooLarge),
        ([piece(b"abc", True), piece(b"de", True)], TooLarge),
        ([piece(b"abc", True), {"type": "http.disconnect"}], RequestFault),
    ],
)
async def test_a_body_that_is_too_long_or_breaks_off_is_refused(
    messages: list[dict[str, Any]], error: type[GatewayError]
) -> None:
    with pytest.raises(error):
        await fields.read_body(receiving(*messages), 4)


async def test_a_body_that_never_comes_is_not_waited_for() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    with pytest.raises(RequestFault, match="not complete"):
        await fields.read_body(receive, 4, patience=0.01)
