"""Applications: what a session was granted from, consents, sign-outs to tell, tokens of providers, families of keys.

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LIVE_KEY = sa.text("state <> 'previous'")
GRANTED = sa.text("parent_id IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.create_index(
        op.f("ix_sessions_parent_id"), "sessions", ["parent_id"], postgresql_where=GRANTED, sqlite_where=GRANTED
    )
    with op.batch_alter_table("signing_keys") as keys:
        keys.add_column(sa.Column("family", sa.String(length=16), nullable=False, server_default="access"))
        keys.drop_index("uq_signing_keys_state")
    op.create_index(
        "uq_signing_keys_family_state",
        "signing_keys",
        ["family", "state"],
        unique=True,
        postgresql_where=LIVE_KEY,
        sqlite_where=LIVE_KEY,
    )
    op.create_table(
        "consents",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_consents_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "client_id", name=op.f("pk_consents")),
    )
    op.create_table(
        "logouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logouts")),
    )
    op.create_index(op.f("ix_logouts_next_at"), "logouts", ["next_at"])
    op.create_table(
        "provider_tokens",
        sa.Column("identity_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_provider_tokens_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", name=op.f("pk_provider_tokens")),
    )


def downgrade() -> None:
    for table in ("provider_tokens", "logouts", "consents"):
        op.drop_table(table)
    op.execute(sa.text("DELETE FROM signing_keys WHERE family <> 'access'"))
    op.drop_index("uq_signing_keys_family_state", table_name="signing_keys")
    with op.batch_alter_table("signing_keys") as keys:
        keys.drop_column("family")
    op.create_index(
        "uq_signing_keys_state",
        "signing_keys",
        ["state"],
        unique=True,
        postgresql_where=LIVE_KEY,
        sqlite_where=LIVE_KEY,
    )
    op.drop_index(op.f("ix_sessions_parent_id"), table_name="sessions")
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_column("parent_id")
