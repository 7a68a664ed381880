"""Reception: what comes of those who are admitted together is what the desk would have made of each."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
from admitted import DAY, NOW, SEALER, desk_of, identity, rows, sign_in
from signed_in import add_session

from gateway import accounts, schema, sessions
from gateway.accounts import grants, invitations
from gateway.db import Database
from gateway.events import Origin
from gateway.flows import operate, own
from gateway.flows.admit import Admission, Desk, Newcomer
from gateway.flows.reception import Reception
from gateway.logs import request_id
from gateway.sessions import MOST, Session

LATE = NOW + 100  # after everything that is prepared
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TABLES = (schema.accounts, schema.identities, schema.sessions, schema.events, schema.logouts, schema.grants)

Befall = Callable[[Database, Session, Newcomer], Awaitable[Newcomer]]
Copied = Callable[[str], AbstractContextManager[str]]
Admit = Callable[[Newcomer, Origin, int], Awaitable[Admission]]


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    yield database
    await database.close()


# What may be so of an account, of what the browser had, of what the provider says now. Who is befallen by one of ALONE
# has something to be decided or ended, and goes by themselves.


async def nothing(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return newcomer


async def roles(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    async with db.write() as connection:
        await grants.grant(connection, session.account_id, ["Äditor", "admin"], NOW)
    return newcomer


async def just_enough(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    await more_sessions(db, session, MOST - 2)
    return newcomer


async def one_too_many(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    await more_sessions(db, session, MOST - 1)
    return newcomer


async def more_sessions(db: Database, session: Session, count: int) -> None:
    async with db.write() as connection:
        for age in range(count):
            await sessions.add(connection, replace(session, id=uuid.uuid4(), last_used_at=NOW - age - 1))


async def disabled(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    await operate.disable(db, session.account_id, NOW)
    return newcomer


async def leaving(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    await own.ask_for_deletion(db, session.account_id, Origin(), NOW)
    return newcomer


async def unheard_of(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return replace(newcomer, replaces=uuid.uuid4())


async def ended(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    before = await add_session(db, session.account_id, identity_id=None)
    async with db.write() as connection:
        await sessions.end(connection, before.id, reason="signed_out", now=NOW)
    return replace(newcomer, replaces=before.id)


async def expired(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    before = await add_session(db, session.account_id, identity_id=None, expires_at=LATE)
    return replace(newcomer, replaces=before.id)


async def expired_with_grants(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    newcomer = await expired(db, session, newcomer)
    await with_grant(db, session.account_id, newcomer)
    return newcomer


async def living(_db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    return replace(newcomer, replaces=session.id)


async def living_with_grants(db: Database, session: Session, newcomer: Newcomer) -> Newcomer:
    newcomer = await living(db, session, newcomer)
    await with_grant(db, session.account_id, newcomer)
    return newcomer


async def somebody_elses(db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    theirs = await sign_in(desk_of(db), identity(f"else {newcomer.identity.subject}"))
    newcomer = await living(db, theirs, newcomer)
    await with_grant(db, theirs.account_id, newcomer)
    return newcomer


async def with_grant(db: Database, account_id: uuid.UUID, newcomer: Newcomer) -> None:
    given = {"client_id": "spa", "facts": {"sid": "s"}, "parent_id": newcomer.replaces}
    await add_session(db, account_id, identity_id=None, **given)


async def address_changed(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return says(newcomer, email=f"new-{newcomer.identity.email}")


async def address_gone(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return says(newcomer, email=None, email_verified=False)


async def verified_changed(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return says(newcomer, email_verified=False)


async def much_else_changed(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    told = {
        "provider": "renamed",
        "name": "Gräfin",
        "picture": None,
        "ids": {},
        "groups": ("staff", "Öps"),
        "roles": ("R",),
    }
    return says(newcomer, email_authority=True, provider_session="s1", auth_time=NOW - 50, **told)


async def signed_in_later(_db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    return says(replace(newcomer, id_token="an.id.token", target="/there"), auth_time=NOW + DAY)


async def invited(db: Database, _session: Session, newcomer: Newcomer) -> Newcomer:
    async with db.write() as connection:
        return replace(newcomer, invitation=await invitations.invite(connection, "x@example.com", "admin", NOW))


def says(newcomer: Newcomer, **said: Any) -> Newcomer:
    return replace(newcomer, identity=replace(newcomer.identity, **said))


ACCOUNT: Sequence[Befall] = (nothing, roles, just_enough, one_too_many, disabled, leaving)
BROWSER: Sequence[Befall] = (
    *(nothing, unheard_of, ended, expired),
    *(expired_with_grants, living, living_with_grants, somebody_elses),
)
PROVIDER: Sequence[Befall] = (
    *(nothing, much_else_changed, signed_in_later, invited),
    *(address_changed, address_gone, verified_changed),
)
ALONE = {
    *(one_too_many, disabled, leaving),
    *(expired_with_grants, living, living_with_grants, somebody_elses),
    *(address_changed, address_gone, verified_changed),
}


@dataclass
class Crowd:
    """Who comes, and how many of them by themselves."""

    newcomers: list[Newcomer]
    alone: int = 0

    async def add(self, db: Database, *befalls: Befall) -> Session:
        """Somebody known, with all of this."""
        number = len(self.newcomers)
        who = identity(
            str(number), f"{number}@example.com", name="Ä", ids={"oid": "é"}, picture="https://op.example/p.png"
        )
        session, newcomer = await sign_in(desk_of(db), who), Newcomer(who)
        for befall in befalls:
            newcomer = await befall(db, session, newcomer)
        self.newcomers.append(newcomer)
        self.alone += not ALONE.isdisjoint(befalls)
        return session

    async def add_second(self, db: Database, session: Session) -> None:
        """The same person by another identity at once: one of the two goes by themselves."""
        second = identity(f"second {len(self.newcomers)}", provider="microsoft")
        async with db.write() as connection:
            await accounts.add_identity(connection, session.account_id, second, NOW)
        self.newcomers.append(Newcomer(second))
        self.alone += 1

    async def add_strangers(self, db: Database) -> None:
        """One who is new, and one who brings an address that is known."""
        await sign_in(desk_of(db), identity("absent", "absent@example.com"))
        for subject, email in (("new", "new@example.com"), ("asked", "absent@example.com")):
            self.newcomers.append(Newcomer(identity(subject, email, provider="other")))
        self.alone += 2


class Counting(Desk):
    """Counts whom it admits by themselves."""

    alone = 0

    async def admit(self, newcomer: Newcomer, origin: Origin, now: int) -> Admission:
        Counting.alone += 1
        return await super().admit(newcomer, origin, now)


def counting(db: Database) -> Desk:
    Counting.alone = 0
    return Counting(db, SEALER, desk_of(db).terms)


@contextmanager
def sayings() -> Iterator[list[str]]:
    """What the log says of events, each in the name of its request."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(f"{request_id.get()} {record.getMessage()} {record.__dict__['fields']}")

    handler, logger = Handler(), logging.getLogger("gateway.events")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield said
    logger.setLevel(before)
    logger.removeHandler(handler)


async def come(admit: Admit, number: int, newcomer: Newcomer) -> Admission:
    """A request of its own: it has an id, an address, a moment."""
    request_id.set(f"request-{number}")
    return await admit(newcomer, Origin(f"192.0.2.{number}", "Mozillä/5.0", f"request-{number}"), LATE + number)


async def known_ids(db: Database) -> set[str]:
    return {str(row.id) for table in TABLES if "id" in table.c for row in await rows(db, table)}


def normal(value: object, known: set[str]) -> str:
    """Ids that were made since are all the same."""
    return ID.sub(lambda found: found[0] if found[0] in known else "new", str(value))


def shown(session: Any) -> dict[str, Any]:
    """A session's row or object, its ID token opened."""
    values = session._asdict() if hasattr(session, "_asdict") else asdict(session)
    return values | {"id_token": values["id_token"] and SEALER.open("id-token", values["id_token"])}


def summary(admission: Admission) -> object:
    session = shown(admission.session) if admission.session else None
    return session, type(admission.refusal), bool(admission.question), sorted(map(str, admission.ended))


async def came_of(db: Database, known: set[str], admissions: Sequence[Admission], said: list[str]) -> list[Any]:
    """Everything that can be told apart afterwards."""
    found = [
        sorted(normal(shown(row) if table is schema.sessions else row, known) for row in await rows(db, table))
        for table in TABLES
    ]
    return [*found, [normal(summary(one), known) for one in admissions], sorted(normal(line, known) for line in said)]


async def hold_the_comparison(db: Database, copied: Copied, crowd: Crowd) -> None:
    """The crowd comes one after the other, and in a copy of the database together."""
    known = await known_ids(db)
    await db.close()
    with copied(str(db.url)) as url, sayings() as said:
        other, desk, first = Database(url), desk_of(db), []
        for number, newcomer in enumerate(crowd.newcomers):
            first.append(await asyncio.create_task(come(desk.admit, number, newcomer)))
        apart = await came_of(db, known, first, said)
        said.clear()
        desk = counting(other)
        reception = Reception(desk)
        coming = (come(reception.admit_in_company, *each) for each in enumerate(crowd.newcomers))
        together = await came_of(other, known, await asyncio.gather(*coming), said)
        await other.close()
    assert together == apart
    assert Counting.alone == crowd.alone


@pytest.mark.postgres
@pytest.mark.parametrize("what", [*ACCOUNT, *BROWSER[1:], *PROVIDER[1:]], ids=lambda befall: befall.__name__)
async def test_one_person_is_admitted_as_at_the_desk(db: Database, postgres_copy: Copied, what: Befall) -> None:
    crowd = Crowd([])
    await crowd.add(db, what)
    await hold_the_comparison(db, postgres_copy, crowd)


@pytest.mark.postgres
@pytest.mark.parametrize("seed", range(6))
async def test_a_crowd_is_admitted_as_at_the_desk(db: Database, postgres_copy: Copied, seed: int) -> None:
    chance, crowd = random.Random(seed), Crowd([])  # noqa: S311  the same crowd each time
    for _ in range(24):
        usual = chance.random() < 0.5
        account = chance.choice((nothing, roles) if usual else ACCOUNT)
        session = await crowd.add(
            db,
            account,
            chance.choice(BROWSER[:4] if usual else BROWSER),
            chance.choice(PROVIDER[:4] if usual else PROVIDER),
        )
        if usual and chance.random() < 0.3:
            await crowd.add_second(db, session)
        elif usual and chance.random() < 0.3:
            crowd.newcomers.append(crowd.newcomers[-1])
    await crowd.add_strangers(db)
    await hold_the_comparison(db, postgres_copy, crowd)


async def test_who_finds_nobody_there_goes_to_the_desk(database_url: str) -> None:
    database = Database(database_url)
    desk = counting(database)
    reception, people = Reception(desk), [Newcomer(identity(name)) for name in "abc"]
    for number, newcomer in enumerate(people):
        assert (await come(reception.admit, number, newcomer)).session
    assert Counting.alone == 3
    coming = (come(reception.admit, *each) for each in enumerate(people))
    assert all(one.session for one in await asyncio.gather(*coming))
    assert Counting.alone == 3 + (1 if database.dialect == "postgresql" else 3)
    await database.close()
