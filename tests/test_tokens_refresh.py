"""Refresh tokens: what we issued is read back, whatever anybody changes about it is nothing."""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealing import Sealer
from gateway.tokens.refresh import BODY, MAX_COUNTER, PREFIX, PURPOSE, Presented, RefreshTokens

SEALER = Sealer([b"1" * 32])
TOKENS = RefreshTokens(SEALER)
SESSION = uuid.UUID("5f0c1bb5-0b0e-4f52-9c3c-0a6d7f1e2a90")
ISSUED = TOKENS.encode(SESSION, 7)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.uuids(), st.integers(0, MAX_COUNTER - 1))
def test_what_was_issued_is_read_back(session_id: uuid.UUID, counter: int) -> None:
    assert TOKENS.decode(TOKENS.encode(session_id, counter)) == Presented(session_id, counter)


def test_it_is_short_and_fit_for_a_cookie_and_a_form() -> None:
    assert len(ISSUED) == 80
    assert set(ISSUED) <= set(ALPHABET)


def test_every_other_character_at_every_place_is_refused() -> None:
    altered = (
        ISSUED[:place] + other + ISSUED[place + 1 :]
        for place in range(len(ISSUED))
        for other in ALPHABET + "+/=. %\x00ß"
        if other != ISSUED[place]
    )
    assert [token for token in altered if TOKENS.decode(token)] == []


def test_every_truncation_and_extension_is_refused() -> None:
    cut = [ISSUED[:end] for end in range(len(ISSUED))] + [ISSUED[start:] for start in range(1, len(ISSUED))]
    longer = [ISSUED + extra for extra in ("A", "=", "\n", " ", "\x00")] + [" " + ISSUED]
    assert [token for token in cut + longer if TOKENS.decode(token)] == []


@given(st.text(max_size=120))
def test_garbage_is_refused(garbage: str) -> None:
    assert TOKENS.decode(garbage) is None
    assert TOKENS.decode(PREFIX + garbage) is None


@pytest.mark.parametrize(
    ("version", "counter"), [(2, 7), (0, 7), (1, MAX_COUNTER), (1, 2**64 - 1)], ids=["v2", "v0", "limit", "uint64"]
)
def test_a_version_or_counter_that_is_not_ours_is_refused_although_signed(version: int, counter: int) -> None:
    body = BODY.pack(version, SESSION.bytes, counter)
    token = PREFIX + urlsafe_b64encode(body + SEALER.mac(PURPOSE, body)).decode()
    assert TOKENS.decode(token) is None


def test_a_tag_made_for_another_purpose_is_refused() -> None:
    body = BODY.pack(1, SESSION.bytes, 7)
    token = PREFIX + urlsafe_b64encode(body + SEALER.mac("attempt", body)).decode()
    assert TOKENS.decode(token) is None


def test_an_older_secret_key_is_still_believed() -> None:
    after_rotation = RefreshTokens(Sealer([b"2" * 32, b"1" * 32]))
    assert after_rotation.decode(ISSUED) == Presented(SESSION, 7)


def test_the_newest_secret_key_signs() -> None:
    after_rotation = RefreshTokens(Sealer([b"2" * 32, b"1" * 32]))
    assert TOKENS.decode(after_rotation.encode(SESSION, 7)) is None


def test_a_secret_key_that_was_removed_is_no_longer_believed() -> None:
    assert RefreshTokens(Sealer([b"2" * 32])).decode(ISSUED) is None


def test_a_token_is_one_clients() -> None:
    token = TOKENS.encode(SESSION, 7, "shop")
    assert TOKENS.decode(token, "shop") == Presented(SESSION, 7)
    assert [TOKENS.decode(token, other) for other in ("gateway", "sho", "shop2", "Shop", "")] == [None] * 5
    assert TOKENS.decode(ISSUED, "shop") is None


def test_whose_token_it_is_can_be_found_out() -> None:
    token = TOKENS.encode(SESSION, 7, "shop")
    assert TOKENS.owner(token, ["gateway", "blog", "shop"]) == ("shop", Presented(SESSION, 7))
    assert TOKENS.owner(token, ["gateway", "blog"]) is None
