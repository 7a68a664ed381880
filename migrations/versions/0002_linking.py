"""Linking, merging, deleting: grants, invitations, merges, and what accounts and identities need for them.

Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("delete_at", sa.BigInteger(), nullable=True))
        accounts.add_column(sa.Column("merged_into", sa.Uuid(), nullable=True))
        accounts.create_foreign_key(
            op.f("fk_accounts_merged_into"), "accounts", ["merged_into"], ["id"], ondelete="SET NULL"
        )
        accounts.create_index(op.f("ix_accounts_delete_at"), ["delete_at"])
        accounts.create_index(op.f("ix_accounts_merged_into"), ["merged_into"])
    with op.batch_alter_table("identities") as identities:
        authority = sa.Column("email_authority", sa.Boolean(), nullable=False, server_default=sa.false())
        identities.add_column(authority)
    op.create_table(
        "grants",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_grants_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "role", name=op.f("pk_grants")),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitations_digest")),
    )
    op.create_index(op.f("ix_invitations_expires_at"), "invitations", ["expires_at"])
    op.create_table(
        "merges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("absorbed", sa.Uuid(), nullable=False),
        sa.Column("survivor", sa.Uuid(), nullable=False),
        sa.Column("merged_at", sa.BigInteger(), nullable=False),
        sa.Column("identities", sa.JSON(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merges")),
    )
    op.create_table(
        "pending",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pending")),
    )
    op.create_index(op.f("ix_pending_expires_at"), "pending", ["expires_at"])
    op.create_index(op.f("ix_merges_absorbed"), "merges", ["absorbed"])
    op.create_index(op.f("ix_merges_survivor"), "merges", ["survivor"])


def downgrade() -> None:
    for table in ("pending", "merges", "invitations", "grants"):
        op.drop_table(table)
    with op.batch_alter_table("identities") as identities:
        identities.drop_column("email_authority")
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_index(op.f("ix_accounts_merged_into"))
        accounts.drop_index(op.f("ix_accounts_delete_at"))
        accounts.drop_constraint(op.f("fk_accounts_merged_into"), type_="foreignkey")
        accounts.drop_column("merged_into")
        accounts.drop_column("delete_at")
