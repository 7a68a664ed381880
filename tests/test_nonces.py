"""Nonces for posted ID tokens: bound to browser, provider and ten minutes; nobody else can make one."""

from __future__ import annotations

import uuid

import pytest

from gateway.nonces import LIFETIME, Carrier, Nonces
from gateway.sealing import Sealer

NOW = 1_800_000_000
OLD, NEW = b"o" * 32, b"n" * 32
SESSION = uuid.UUID("8c3c9a4e-5f3f-4d3c-9a86-0d2f1f1f7a11")


@pytest.fixture
def nonces() -> Nonces:
    return Nonces(Sealer([OLD]))


@pytest.fixture
def carrier(nonces: Nonces) -> Carrier:
    return nonces.carrier(None, SESSION)


def test_a_nonce_is_known_again(nonces: Nonces, carrier: Carrier) -> None:
    nonce = nonces.issue(carrier, "google", NOW)
    assert nonces.holds(nonce, carrier, "google", NOW)


def test_every_nonce_is_another(nonces: Nonces, carrier: Carrier) -> None:
    assert len({nonces.issue(carrier, "google", NOW) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("later", "holds"), [(-61, False), (-60, True), (LIFETIME, True), (LIFETIME + 1, False), (10**6, False)]
)
def test_it_holds_for_ten_minutes(nonces: Nonces, carrier: Carrier, later: int, holds: bool) -> None:
    nonce = nonces.issue(carrier, "google", NOW)
    assert nonces.holds(nonce, carrier, "google", NOW + later) is holds


def test_not_for_another_browser(nonces: Nonces, carrier: Carrier) -> None:
    nonce = nonces.issue(carrier, "google", NOW)
    assert not nonces.holds(nonce, nonces.carrier(None, SESSION), "google", NOW)
    assert not nonces.holds(nonce, None, "google", NOW)


def test_not_for_another_provider(nonces: Nonces, carrier: Carrier) -> None:
    assert not nonces.holds(nonces.issue(carrier, "google", NOW), carrier, "googl", NOW)


@pytest.mark.parametrize("place", [0, 6, 7, 20, 21, 42])
def test_no_letter_can_be_changed(nonces: Nonces, carrier: Carrier, place: int) -> None:
    nonce = nonces.issue(carrier, "google", NOW)
    other = "B" if nonce[place] == "A" else "A"
    assert not nonces.holds(nonce[:place] + other + nonce[place + 1 :], carrier, "google", NOW)


def test_it_has_one_spelling(nonces: Nonces, carrier: Carrier) -> None:
    """The last letter has two bits that a decoder drops; a second spelling would be a second use."""
    nonce = nonces.issue(carrier, "google", NOW)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [nonce[:-1] + letters[letters.index(nonce[-1]) + step] for step in (1, 2, 3)]
    assert not any(nonces.holds(one, carrier, "google", NOW) for one in spellings)


@pytest.mark.parametrize("wrong", ["", "A" * 42, "A" * 44, "A" * 43, "é" * 43, " " + "A" * 42])
def test_what_is_no_nonce(nonces: Nonces, carrier: Carrier, wrong: str) -> None:
    assert not nonces.holds(wrong, carrier, "google", NOW)


def test_the_cookie_carries_browser_and_session(nonces: Nonces, carrier: Carrier) -> None:
    assert nonces.unpack(nonces.pack(carrier)) == carrier


def test_the_browser_stays_the_same_from_tab_to_tab(nonces: Nonces, carrier: Carrier) -> None:
    again = nonces.carrier(nonces.pack(carrier), None)
    assert again == carrier


def test_the_session_is_the_one_it_has_now(nonces: Nonces, carrier: Carrier) -> None:
    newer = uuid.uuid4()
    assert nonces.carrier(nonces.pack(carrier), newer) == Carrier(carrier.id, newer)


@pytest.mark.parametrize("place", [0, 21, 22, 42, 43, 63])
def test_the_cookie_is_ours_alone(nonces: Nonces, carrier: Carrier, place: int) -> None:
    packed = nonces.pack(carrier)
    other = "B" if packed[place] == "A" else "A"
    assert nonces.unpack(packed[:place] + other + packed[place + 1 :]) is None


@pytest.mark.parametrize("wrong", [None, "", "A" * 63, "A" * 64, "é" * 64])
def test_what_is_no_cookie_of_ours(nonces: Nonces, wrong: str | None) -> None:
    assert nonces.unpack(wrong) is None


def test_a_new_secret_key_takes_nothing_away(nonces: Nonces, carrier: Carrier) -> None:
    nonce, packed = nonces.issue(carrier, "google", NOW), nonces.pack(carrier)
    after = Nonces(Sealer([NEW, OLD]))
    assert after.unpack(packed) == carrier
    assert after.holds(nonce, carrier, "google", NOW)
    assert not nonces.holds(after.issue(carrier, "google", NOW), carrier, "google", NOW)
