"""Every table on one page. Times are epoch seconds, ids UUIDs; a table's SQL lives in the module that owns it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    Uuid,
    false,
    text,
)

# The migration this page agrees with; compared at start without loading Alembic, and by a test with the migrations.
HEAD = "0003"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def only(condition: str) -> dict[str, TextClause]:
    """An index of the rows for which this holds: the options of each database, for `complete`."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text),  # the owner's chosen address; an attribute, never a key
    Column("email_verified", Boolean(create_constraint=False), nullable=False),
    Column("name", Text),
    Column("picture", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("delete_at", BigInteger, index=True),  # its owner asked for it
    # A tombstone: its id still resolves to the account that absorbed it.
    Column("merged_into", Uuid, ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("provider", String(32), nullable=False),  # last name it came under; not part of the key
    Column("issuer", Text, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("email", Text),
    Column("email_key", Text, index=True),  # normalised for comparison; see identity rules in accounts
    Column("email_verified", Boolean(create_constraint=False), nullable=False),
    Column("email_authority", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("name", Text),
    Column("picture", Text),
    Column("ids", JSON, nullable=False),  # sub, oid, tid as the provider gave them
    Column("linked_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    UniqueConstraint("issuer", "subject"),
)

grants = Table(
    "grants",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(64), primary_key=True),
    Column("granted_at", BigInteger, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),  # of the token, which is not kept
    Column("email", Text, nullable=False),  # whom it was made for; it is bound to nothing but its use
    Column("role", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger),
)

merges = Table(
    "merges",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("absorbed", Uuid, nullable=False, index=True),
    Column("survivor", Uuid, nullable=False, index=True),
    Column("merged_at", BigInteger, nullable=False),
    Column("identities", JSON, nullable=False),  # ids of those that moved
    Column("roles", JSON, nullable=False),  # granted ones that moved
    Column("undone_at", BigInteger),
)

# One row per session, updated in place at every refresh. Nothing that a refresh changes is indexed, and pages
# keep room (fillfactor), so that PostgreSQL can do a heap-only update.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Empty once the account is deleted: every process learns of the end from the row, as long as tokens live.
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("identity_id", Uuid, ForeignKey("identities.id", ondelete="SET NULL"), index=True),
    Column("client_id", Text, nullable=False),  # "gateway" for the browser session
    Column("parent_id", Uuid),  # the browser session an application's was granted from; no key, it may be gone
    Column("provider", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),  # absolute; no refresh moves it
    Column("last_used_at", BigInteger, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("ip", Text, nullable=False),
    Column("facts", JSON, nullable=False),  # what role rules look at: addresses, groups, provider roles
    Column("scope", Text, nullable=False),
    Column("provider_session", Text),
    Column("id_token", LargeBinary),  # sealed; for the provider's end-session page
    Column("current", BigInteger, nullable=False),
    Column("parent", BigInteger, nullable=False),  # -1 before the first rotation
    Column("rotated_at", BigInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),  # what the last presentation came to
    Column("ended_at", BigInteger),
    Column("end_reason", String(32)),
    CheckConstraint("account_id IS NOT NULL OR ended_at IS NOT NULL", name="owned"),
    Index("ix_sessions_parent_id", "parent_id", info=only("parent_id IS NOT NULL")),
    Index("ix_sessions_ended_at", "ended_at", info=only("ended_at IS NOT NULL")),
    info={"postgresql_with": {"fillfactor": "70"}},
)

events = Table(
    "events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("account_id", Uuid, index=True),  # no foreign key: what happened outlives the account
    Column("session_id", Uuid),
    Column("provider", String(32)),
    Column("ip", Text),
    Column("user_agent", Text),
    Column("request_id", String(64)),
    Column("detail", JSON, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("family", String(16), nullable=False, server_default="access"),  # keys that follow each other
    Column("alg", String(16), nullable=False),
    Column("state", String(16), nullable=False),  # next, current, previous
    Column("public", JSON, nullable=False),
    Column("private", LargeBinary, nullable=False),  # sealed
    Column("created_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger),
    Column("retire_at", BigInteger),  # when its last token is dead
    Index("uq_signing_keys_family_state", "family", "state", unique=True, info=only("state <> 'previous'")),
)

# What a person has agreed that an application may have; only for applications that ask.
consents = Table(
    "consents",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("client_id", String(64), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("granted_at", BigInteger, nullable=False),
)

# Ended sessions that applications still have to be told of, by back-channel logout; gone once they know.
logouts = Table(
    "logouts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("sid", String(64), nullable=False),  # as the application knows the session
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False, index=True),  # when to try, or to try again
    Column("tries", SmallInteger, nullable=False),
)

# Tokens of a provider, where `store_tokens` asks to keep them.
provider_tokens = Table(
    "provider_tokens",
    metadata,
    Column("identity_id", Uuid, ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# What a person has proven and still has to answer for: to join an account, to merge two. Taken once.
pending = Table(
    "pending",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # of the token, which only the browser holds
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

spent = Table(
    "spent",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of purpose and value
    Column("expires_at", BigInteger, nullable=False, index=True),
)


def complete() -> MetaData:
    """The tables with the options that only one database or the other knows, for whoever makes or compares tables.

    SQLAlchemy loads a database's dialect as soon as it is given one of these, and a server needs no more than its own.
    """
    for table in metadata.tables.values():
        table.dialect_kwargs.update(table.info)
        for index in table.indexes:
            index.dialect_kwargs.update(index.info)
    return metadata
