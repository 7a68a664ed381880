"""People with colliding addresses sign in, link, join, merge and leave at random, against a simple model.

No identity ever has two accounts or an account that is gone, nobody reaches an account they did not prove, and what has
ended stays so: one thing after the other, where the model says what comes of each; and several at once.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from admitted import DAY, Linking, faults, look, outcome
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from town import ADDRESSES, PEOPLE, PROVIDERS, TRUSTS, Kept, Town, key_of, said
from town_model import Account, Model

from gateway.accounts.merges import UNDO, Merge
from gateway.db import Database
from gateway.errors import (
    AccountDisabled,
    AttemptExpired,
    AttemptMismatch,
    CannotUndo,
    IdentityTaken,
    JoinMismatch,
    LastIdentity,
    NotFound,
)
from gateway.flows.admit import Admission, Desk
from gateway.flows.link import Linked
from gateway.flows.own import GRACE
from gateway.identity import Identity
from gateway.pending import LIFETIME
from gateway.sessions import Session

LINKING: tuple[Linking, ...] = ("ask", "verified", "never")

ROUNDS = 15
AT_ONCE = 6

people = st.sampled_from(PEOPLE[:2])  # two suffice, and meet more often
providers = st.sampled_from(PROVIDERS)
addresses = st.sampled_from(ADDRESSES)
trusts = st.sampled_from(TRUSTS)
some = st.integers(0, 999)  # which of those there are
pauses = st.sampled_from((1, 60, 60, 300, 2 * DAY, GRACE, UNDO))  # seconds


class People(RuleBasedStateMachine):
    """One thing after the other. What comes of it is what the model says, and then the rows are what it says."""

    def __init__(self, databases: list[Database], runner: asyncio.Runner) -> None:
        super().__init__()
        self.databases, self.runner, self.done = databases, runner, 0

    @initialize(linking=st.sampled_from(LINKING))
    def begin(self, linking: Linking) -> None:
        self.town, self.model = Town(self.databases, linking), Model(linking)
        self.runner.run(self.town.empty())

    def do(self, work: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await outcome(work)

        self.done += 1
        return self.runner.run(run())

    @property
    def desk(self) -> Desk:
        return self.town.desks[0]

    def open(self, kept: Kept) -> bool:
        """Whether a question or an offer is neither answered nor too old."""
        unanswered = kept.token in self.model.questions or kept.token in self.model.offers
        return unanswered and self.town.now - kept.at < LIFETIME

    def pick(self, kept: list[Kept], which: int) -> Kept:
        """Mostly one that is open."""
        found: Kept = pick([each for each in kept if self.open(each)] or kept, which) if which % 8 else kept[-1]
        return found

    @rule(person=people, provider=providers, address=addresses, trust=trusts)
    def sign_in(self, person: str, provider: str, address: str | None, trust: str) -> None:
        self.arrive(said(person, provider, address, trust))

    @rule(person=people, which=some, trust=trusts)
    def sign_in_anew(self, person: str, which: int, trust: str) -> None:
        """With an identity that nobody has seen, if there is one, and their own address."""
        every = [said(person, provider, "own", trust) for provider in PROVIDERS]
        self.arrive(pick([who for who in every if key_of(who) not in self.model.owner] or every, which))

    def arrive(self, who: Identity) -> None:
        holders, expected = self.model.holders(who), self.model.verdict(who)
        admission = self.do(self.town.sign_in(self.desk, who))
        self.compare(who, expected, admission)
        if admission.question:
            self.model.questions[admission.question] = holders

    def compare(self, who: Identity, expected: str | uuid.UUID, admission: Admission) -> None:
        match expected:
            case "refused":
                assert isinstance(admission.refusal, AccountDisabled)
            case "asked":
                assert admission.question
            case "created":
                assert admission.session
                assert admission.session.account_id not in self.model.accounts
                self.model.let_in(who, admission.session)
            case account:
                assert admission.session
                assert admission.session.account_id == account
                self.model.let_in(who, admission.session)

    @precondition(lambda self: self.town.sessions)
    @rule(which=some, provider=providers, address=addresses, trust=trusts)
    def link(self, which: int, provider: str, address: str | None, trust: str) -> None:
        """Mostly by somebody who is signed in."""
        person, session = pick(self.living() if which % 8 and self.living() else self.town.sessions, which)
        who = said(person, provider, address, trust)
        linked = self.do(self.town.link(self.desk, session, who))
        theirs = self.model.owner.get(key_of(who))
        if session.id not in self.model.sessions:
            assert isinstance(linked, AttemptMismatch)
        elif theirs in (None, session.account_id):
            assert linked == Linked()
            self.model.put(who, session.account_id)
        elif self.model.accounts[theirs].disabled:
            assert isinstance(linked, AccountDisabled)
        else:
            self.model.offers[linked.question] = (session.account_id, theirs)

    @precondition(lambda self: self.model.sessions)
    @rule(which=some, provider=providers)
    def unlink(self, which: int, provider: str) -> None:
        person, session = pick(self.living(), which)
        key = key_of(said(person, provider))
        ended = self.do(self.town.unlink(self.desk, session, key))
        mine = self.model.keys(session.account_id)
        if key not in mine:
            assert isinstance(ended, NotFound)
        elif len(mine) == 1:
            assert isinstance(ended, LastIdentity)
        else:
            assert set(ended) == {id_ for id_, kept in self.model.sessions.items() if kept[1] == key}
            self.model.remove(key)

    def living(self) -> list[tuple[str, Session]]:
        return [each for each in self.town.sessions if each[1].id in self.model.sessions]

    @precondition(lambda self: self.town.questions)
    @rule(which=some, person=people, provider=providers, address=addresses, trust=trusts, right=st.booleans())
    def join(self, which: int, person: str, provider: str, address: str | None, trust: str, right: bool) -> None:
        """`right`: with what was asked for, if they have that; else with anything, by anybody."""
        question = self.pick(self.town.questions, which)
        candidates = {self.model.root(account) for account in self.model.questions.get(question.token, ())}
        asked = [key for account in candidates for key in self.model.keys(account)]
        wanted = [self.model.told[key] for key in sorted(asked) if key[1] == question.person]
        proven = pick(wanted, which) if right and wanted else said(person, provider, address, trust)
        account, new = self.model.owner.get(key_of(proven)), key_of(question.who)
        admission = self.do(self.town.join(self.desk, question, proven))
        if not self.open(question):
            assert isinstance(admission, AttemptExpired)
        elif account not in candidates or not self.model.usable(account):
            assert isinstance(admission, JoinMismatch)
        elif self.model.owner.get(new, account) != account:
            assert isinstance(admission, IdentityTaken)
        else:
            self.compare(proven, account, admission)
            del self.model.questions[question.token]
            if new not in self.model.owner:
                self.model.put(question.who, account)

    @precondition(lambda self: self.town.questions)
    @rule(which=some)
    def stay_apart(self, which: int) -> None:
        question = self.pick(self.town.questions, which)
        expected = self.model.verdict(question.who, ask=False)
        admission = self.do(self.town.stay_apart(self.desk, question))
        if self.open(question):
            del self.model.questions[question.token]
            self.compare(question.who, expected, admission)
        else:
            assert isinstance(admission, AttemptExpired)

    @precondition(lambda self: self.town.offers)
    @rule(which=some)
    def merge(self, which: int) -> None:
        offer = self.pick(self.town.offers, which)
        ended = self.do(self.town.merge(self.desk, offer))
        survivor, absorbed = self.model.offers.get(offer.token, (None, None))
        if survivor is None or absorbed is None or not self.open(offer):
            assert isinstance(ended, AttemptExpired)
        elif not self.model.usable(survivor) or not self.model.usable(absorbed):
            assert isinstance(ended, NotFound)
        elif offer.session not in self.model.sessions or key_of(offer.who) not in self.model.keys(absorbed):
            assert isinstance(ended, AttemptMismatch)
        else:
            assert set(ended) == {id_ for id_, kept in self.model.sessions.items() if kept[0] == absorbed}
            del self.model.offers[offer.token]
            self.move(absorbed, survivor)

    def move(self, absorbed: uuid.UUID, survivor: uuid.UUID) -> None:
        moved = self.model.keys(absorbed)
        self.model.end(lambda account, _: account == absorbed)
        self.model.owner.update(dict.fromkeys(moved, survivor))
        self.model.accounts[absorbed] = Account(into=survivor)
        self.model.accounts[survivor].delete_at = None
        self.model.merged[absorbed] = (survivor, moved, self.town.now)

    @precondition(lambda self: self.model.merged)
    @rule(which=some)
    def unmerge(self, which: int) -> None:
        merged = [account for account in self.town.accounts if account in self.model.merged]
        absorbed = pick(merged if which % 8 and merged else self.town.accounts, which)
        undone = self.do(self.town.unmerge(self.desk, absorbed))
        if absorbed not in self.model.merged:
            assert isinstance(undone, NotFound)
            return
        survivor, moved, at = self.model.merged[absorbed]
        present = self.model.keys(survivor)
        too_late = at + UNDO < self.town.now or absorbed not in self.model.accounts
        if too_late or not present & moved or not present - moved:
            assert isinstance(undone, CannotUndo)
            return
        assert isinstance(undone, Merge)
        del self.model.merged[absorbed]
        self.model.accounts[absorbed].into = None
        self.model.end(lambda _, key: key in present & moved)
        self.model.owner.update(dict.fromkeys(present & moved, absorbed))

    @precondition(lambda self: self.done > 2)
    @rule(which=some, doing=st.sampled_from(("disable", "enable", "enable", "delete", "leave")))
    def end(self, which: int, doing: str) -> None:
        """By an operator, or ("leave") by its owner."""
        account = pick(self.town.accounts, which)
        changed = self.do(getattr(self.town, doing)(self.desk, account))
        if doing != "leave":  # an operator may name what went into it
            account = self.model.root(account)
        state = self.model.accounts.get(account)
        if state is None or (doing == "leave" and not self.model.usable(account)):
            assert isinstance(changed, NotFound)
            return
        match doing:
            case "delete":
                self.model.erase(account)
            case "leave":
                state.delete_at = self.town.now + GRACE
            case _:
                state.disabled = doing == "disable"
        if doing != "enable":
            self.model.end(lambda owner, _: owner == account)

    @precondition(lambda self: self.done > 4)
    @rule(seconds=pauses)
    def wait(self, seconds: int) -> None:
        """Only when a few things have been done, so that questions and offers meet an answer."""
        self.town.now += seconds
        self.do(self.town.prune(self.desk))
        self.done = 0
        now, states = self.town.now, self.model.accounts
        for account in [id_ for id_, state in states.items() if state.delete_at and state.delete_at <= now]:
            self.model.erase(account)
        self.model.sessions = {id_: kept for id_, kept in self.model.sessions.items() if kept[2] > now}

    @invariant()
    def the_rows_are_what_the_model_says(self) -> None:
        seen = self.runner.run(look(self.town.database, self.town.now))
        assert faults(seen) == []
        assert {(row.issuer, row.subject): row.account_id for row in seen.identities.values()} == self.model.owner
        assert set(seen.sessions) == set(self.model.sessions)
        assert {
            id_: Account(row.disabled_at is not None, row.delete_at, row.merged_into)
            for id_, row in seen.accounts.items()
        } == self.model.accounts
        assert self.town.reached_by_others(list(seen.identities.values()), set(seen.sessions)) == []

    @precondition(lambda self: self.model.merged)
    @invariant()
    def every_id_leads_to_where_it_went(self) -> None:
        roots = {id_: self.model.root(id_) for id_ in self.model.accounts}
        assert self.runner.run(self.town.whereabouts()) == {
            id_: (root, {each for each in roots if roots[each] == id_ != each} if root == id_ else None)
            for id_, root in roots.items()
        }


def pick(things: list[Any], which: int) -> Any:
    return things[which % len(things)]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def databases(runner: asyncio.Runner, database_url: str) -> Iterator[list[Database]]:
    """As many processes as there are, so to say."""
    made = [Database(database_url) for _ in range(3)]
    yield made
    for database in made:
        runner.run(database.close())


def test_one_thing_after_the_other(databases: list[Database], runner: asyncio.Runner) -> None:
    patient = settings(max_examples=12, stateful_step_count=30, suppress_health_check=list(HealthCheck))

    class Here(People):
        def __init__(self) -> None:
            super().__init__(databases, runner)

    run_state_machine_as_test(Here, settings=patient)


class Crowd:
    """Several things at once, by whoever is next, mostly to what there is of late."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.random = town, random.Random(seed)  # noqa: S311  no secrets
        self.living: list[tuple[str, Session]] = []

    def somebody(self, person: str | None = None) -> Identity:
        choose = self.random.choice
        return said(person or choose(PEOPLE), choose(PROVIDERS), choose(ADDRESSES), choose(TRUSTS))

    def something(self) -> Awaitable[Any]:
        town, choose, desk = self.town, self.random.choice, self.random.choice(self.town.desks)
        person, session = choose(self.living or town.sessions)
        account = choose(town.accounts[-8:])
        operating = choose((town.disable, town.enable, town.enable, town.delete, town.leave))
        doings: list[Callable[[], Awaitable[Any]]] = [
            *[lambda: town.sign_in(desk, self.somebody())] * 4,
            *[lambda: town.link(desk, session, self.somebody(person))] * 4,
            *[lambda: town.unlink(desk, session, key_of(self.somebody(person)))] * 2,
            *[self.answer(kept, desk) for kept in town.questions[-3:]],
            *[lambda: town.merge(desk, choose(town.offers[-2:]))] * (4 if town.offers else 0),
            *[lambda: town.unmerge(desk, account)] * 2,
            lambda: operating(desk, account),
            lambda: town.refresh(desk, [each for _, each in self.living]),
            lambda: town.prune(desk),
        ]
        return choose(doings)()

    def answer(self, question: Kept, desk: Desk) -> Callable[[], Awaitable[Any]]:
        if self.random.random() < 0.2:
            return lambda: self.town.stay_apart(desk, question)
        return lambda: self.town.join(desk, question, self.somebody(question.person))


@pytest.mark.parametrize("linking", LINKING)
def test_several_things_at_once(databases: list[Database], runner: asyncio.Runner, linking: Linking) -> None:
    async def run() -> None:
        town = Town(databases, linking)
        crowd = Crowd(town, seed=len(linking))
        for person in PEOPLE:
            await town.sign_in(town.desks[0], said(person, "google", "own", "authority"))
        over: set[uuid.UUID] = set()
        for _ in range(ROUNDS):
            await asyncio.gather(*(outcome(crowd.something()) for _ in range(AT_ONCE)))
            seen = await look(town.database, town.now)
            assert faults(seen) == []
            assert town.reached_by_others(list(seen.identities.values()), set(seen.sessions)) == []
            assert over.isdisjoint(seen.sessions)
            over |= {session.id for _, session in town.sessions} - set(seen.sessions)
            crowd.living = [each for each in town.sessions if each[1].id in seen.sessions]
            town.now += crowd.random.choice((1, 1, 1, 60, 60, GRACE))

    runner.run(run())
