"""The decision what a verified identity may do, as its whole table."""

from __future__ import annotations

import uuid
from dataclasses import replace
from itertools import product
from typing import Literal

import pytest

from gateway.accounts import AskToJoin, Create, Holder, Join, Known, Policy, Refuse, SignIn, Verdict, decide
from gateway.errors import AccountDisabled, DomainNotAllowed, SignupClosed
from gateway.identity import Identity

A, B, KEY = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)

Linking = Literal["ask", "verified", "never"]

ADDRESS = {
    "none": Identity("google", "https://op.example", "1"),
    "unverified": Identity("google", "https://op.example", "1", "ada@example.com"),
    "verified": Identity("google", "https://op.example", "1", "ada@example.com", email_verified=True),
    "authority": Identity("google", "https://op.example", "1", "ada@example.com", True, email_authority=True),
}
HOLDERS = {
    "nobody": (),
    "one": (Holder(A, authority=False),),
    "one by authority": (Holder(A, authority=True),),
    "two": (Holder(A, authority=True), Holder(B, authority=True)),
}
# What signing up comes to for somebody with a verified address, and for somebody without.
SIGNUP: dict[str, tuple[Policy, Verdict, Verdict]] = {
    "open": (Policy("open"), Create(), Create()),
    "closed": (Policy("closed"), Refuse(SignupClosed), Refuse(SignupClosed)),
    "its domain": (Policy("domains", ("example.com",)), Create(), Refuse(DomainNotAllowed)),
    "other domains": (Policy("domains", ("else.example",)), Refuse(DomainNotAllowed), Refuse(DomainNotAllowed)),
}

# By account_linking and address: what each of the HOLDERS leads to. "-": as if nobody held it.
TABLE: dict[tuple[Linking, str], tuple[str, str, str, str]] = {
    # nobody, one, one by authority, two
    ("ask", "none"): ("-", "-", "-", "-"),
    ("ask", "unverified"): ("-", "-", "-", "-"),
    ("ask", "verified"): ("-", "ask", "ask", "ask"),
    ("ask", "authority"): ("-", "ask", "ask", "ask"),
    ("verified", "none"): ("-", "-", "-", "-"),
    ("verified", "unverified"): ("-", "-", "-", "-"),
    ("verified", "verified"): ("-", "-", "-", "-"),
    ("verified", "authority"): ("-", "-", "join", "-"),
    ("never", "none"): ("-", "-", "-", "-"),
    ("never", "unverified"): ("-", "-", "-", "-"),
    ("never", "verified"): ("-", "-", "-", "-"),
    ("never", "authority"): ("-", "-", "-", "-"),
}
ROWS = [(*key, held_by, outcome) for key, row in TABLE.items() for held_by, outcome in zip(HOLDERS, row, strict=True)]


@pytest.mark.parametrize("invited", [False, True], ids=["", "invited"])
@pytest.mark.parametrize("signup", SIGNUP)
@pytest.mark.parametrize(("linking", "address", "held_by", "outcome"), ROWS)
def test_an_unknown_identity(
    linking: Linking, address: str, held_by: str, outcome: str, signup: str, invited: bool
) -> None:
    policy, verified, unverified = SIGNUP[signup]
    alone = Create() if invited else verified if address in ("verified", "authority") else unverified
    holders = HOLDERS[held_by]
    expected: dict[str, Verdict] = {
        "-": alone,
        "ask": AskToJoin(tuple(holder.account_id for holder in holders), may_separate=alone == Create()),
        "join": Join(A),
    }
    verdict = decide(ADDRESS[address], None, holders, replace(policy, linking=linking), invited=invited)
    assert verdict == expected[outcome]


DISABLED = (Holder(A, authority=True, disabled=True),)
LIVING = (Holder(B, authority=True),)


@pytest.mark.parametrize("invited", [False, True], ids=["", "invited"])
@pytest.mark.parametrize("signup", SIGNUP)
@pytest.mark.parametrize(("linking", "address"), TABLE)
def test_a_disabled_holder_of_the_address(linking: Linking, address: str, signup: str, invited: bool) -> None:
    """Is joined by nobody, and keeps its person out; an address that nobody verified is not theirs."""
    policy, _, unverified = SIGNUP[signup]
    counts = address in ("verified", "authority")
    expected = Refuse(AccountDisabled, A) if counts else Create() if invited else unverified
    verdict = decide(ADDRESS[address], None, DISABLED, replace(policy, linking=linking), invited=invited)
    assert verdict == expected


@pytest.mark.parametrize(
    ("linking", "address", "verdict"),
    [
        ("ask", "verified", AskToJoin((B,), may_separate=False)),
        ("verified", "authority", Join(B)),
        ("verified", "verified", Refuse(AccountDisabled, A)),
        ("never", "authority", Refuse(AccountDisabled, A)),
    ],
)
def test_a_living_holder_beside_a_disabled_one(linking: Linking, address: str, verdict: Verdict) -> None:
    assert decide(ADDRESS[address], None, (*DISABLED, *LIVING), Policy(linking=linking)) == verdict


@pytest.mark.parametrize(
    ("known", "verdict"),
    [(Known(B, KEY), SignIn(B, KEY)), (Known(B, KEY, disabled=True), Refuse(AccountDisabled, B))],
    ids=["living", "disabled"],
)
@pytest.mark.parametrize(("linking", "address"), TABLE)
def test_a_known_identity_goes_to_its_account_or_nowhere(
    known: Known, verdict: Verdict, linking: Linking, address: str
) -> None:
    """Whatever its address is, whoever holds that, and whoever may sign up."""
    verdicts = {
        decide(ADDRESS[address], known, holders, replace(policy, linking=linking), invited=invited)
        for holders, (policy, *_), invited in product(HOLDERS.values(), SIGNUP.values(), (False, True))
    }
    assert verdicts == {verdict}


@pytest.mark.parametrize(
    ("email", "verified", "admitted"),
    [
        ("ada@example.com", True, True),
        ("ada@EXAMPLE.COM", True, True),
        ("ada@example.com", False, False),
        ("ada@sub.example.com", True, False),
        ("ada@badexample.com", True, False),
        ("ada@example.com@else.example", True, False),
        ("ada@example.com.", True, False),
        ("ada@exаmple.com", True, False),  # a Cyrillic letter
        ("ada@example.com\u200b", True, False),
        ("", True, False),
        (None, True, False),
    ],
)
def test_domains_are_exact(email: str | None, verified: bool, admitted: bool) -> None:
    who = Identity("google", "https://op.example", "1", email, verified)
    verdict = decide(who, None, (), Policy("domains", ("Example.com",)))
    assert verdict == (Create() if admitted else Refuse(DomainNotAllowed))
