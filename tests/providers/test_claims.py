"""Attributes that make sense, and those that are left out."""

from __future__ import annotations

from dataclasses import asdict

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import Providers
from gateway.providers.claims import clean_email, clean_list, clean_name, clean_picture, read_time
from gateway.providers.lookup import look_up, sibling

from .op import Op, finish

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("a@b", True),
        ("o'hara+tag@sub.example.com", True),
        ("a" * 242 + "@example.com", True),
        ("a" * 243 + "@example.com", False),
        ("@example.com", False),
        ("ada@", False),
        ("ada", False),
        ("ada@.example.com", False),
        ("ada@example..com", False),
        (" ada@example.com", False),
        ("ada@example.com ", False),
        ("ada\u00a0@example.com", False),
        ("ada\u00ad@example.com", False),
        ("ada@example.com\0", False),
        ("ada@example.com\ud800", False),
        ('"ada l"@example.com', False),
        ("ada@[127.0.0.1]", False),
        ("ﬁ@example.com", False),
        (7, False),
        (None, False),
    ],
)
def test_email(value: object, good: bool) -> None:
    assert clean_email(value) == (value if good else None)


@given(ANYTHING)
def test_whatever_is_claimed_can_be_stored(value: object) -> None:
    kept = [clean_email(value), clean_name(value), clean_picture(value), *clean_list(value)]
    for text in kept:
        assert text is None or (text and "\0" not in text and text.encode())


# Whichever of them are kept, now or one day.
CLAIMS = [
    "name",
    "given_name",
    "preferred_username",
    "picture",
    "email",
    "locale",
    "groups",
    "roles",
    "sid",
    "acr",
    "upn",
]


@pytest.mark.parametrize("source", ["claims", "userinfo"])
@pytest.mark.parametrize(
    "odd", ["\0", "a\0@example.com", "https://x/\0", "\ud800", "a\ud800@example.com", ["a", "b\0"]]
)
async def test_whoever_signs_in_can_be_stored(odd: object, source: str) -> None:
    """PostgreSQL takes neither NUL nor halves of characters, and people who come together share their statements."""
    op = Op()
    setattr(op, source, getattr(op, source) | dict.fromkeys(CLAIMS, odd) | {"sub": "ada-1"})
    settings = op.settings(userinfo="always", groups_claim="groups", roles_claim="roles")
    transport = httpx2.MockTransport(op.handle)
    providers = Providers({"op": settings}, public_url="https://login.example", clock=op.clock, transport=transport)
    identity = asdict((await finish(providers.get("op"))).identity)
    assert identity["subject"] == "ada-1"
    assert "\\x00" not in repr(identity)
    assert "\\ud800" not in repr(identity)


def test_name_is_cut() -> None:
    assert clean_name("a" * 5000) == "a" * 200


@pytest.mark.parametrize("value", ["", " ", "\u200e", "\0", None, 7, ["Ada"]])
def test_names_that_are_none(value: object) -> None:
    assert clean_name(value) is None


@pytest.mark.parametrize(
    "value",
    ["//x/y", "https:///x", "https://", "https://[x", "https://x/ y", "https://x\\@y", "https://x/" + "a" * 2048],
)
def test_pictures_that_are_none(value: str) -> None:
    assert clean_picture(value) is None


def test_list_is_cut() -> None:
    assert len(clean_list([str(number) for number in range(5000)])) == 1000


@pytest.mark.parametrize(("value", "time"), [(1.7, 1), (-1, None), (float("nan"), None), (10**400, None), ("1", None)])
def test_time(value: object, time: int | None) -> None:
    assert read_time(value) == time


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": {"c": 1}, "d.e": 2}),
        ("a.b.c", 1),
        ("a.d.e", 2),
        ("x.y", 3),
        ("x.y.z", None),
        ("https://op.example/a.b", 4),
        ("https://op.example/n.m", 5),
        ("a.b.c.d", None),
        ("a.", None),
        ("", None),
        (".", None),
    ],
)
def test_look_up(path: str, value: object) -> None:
    claims = {
        "a": {"b": {"c": 1}, "d.e": 2},
        "x.y": 3,
        "https://op.example/a.b": 4,
        "https://op.example/n": {"m": 5},
    }
    assert look_up(claims, path) == value


def test_sibling() -> None:
    assert (sibling("email", "x"), sibling("a.b.email", "x")) == ("x", "a.b.x")
