"""The knowledge studio: drafts, their writers and copies, what a release changed, what is withdrawn.

Revision: 0023, after 0022. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

from bot.store.tables import UtcDateTime

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_DRAFT = sa.text("state IN ('draft', 'in_review', 'approved')")
OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "text_draft",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("base", sa.JSON(), nullable=True),
        sa.Column("is_new", sa.Boolean(), nullable=False),
        sa.Column("is_deletion", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("updated_by", ID, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=True),
        sa.Column("submitted_by", ID, nullable=True),
        sa.Column("sent_back_by", ID, nullable=True),
        sa.Column("sent_back_why", sa.Text(), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("approved_by", ID, nullable=True),
        sa.Column("approved_why", sa.Text(), nullable=False),
        sa.Column("publish_at", UtcDateTime(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("release_id", ID, nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        *(
            sa.ForeignKeyConstraint([column], ["staff.id"])
            for column in ("created_by", "updated_by", "submitted_by", "sent_back_by", "approved_by")
        ),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_open_draft_per_text", "text_draft", ["kind", "key"], unique=True,
        sqlite_where=OPEN_DRAFT, postgresql_where=OPEN_DRAFT,
    )  # fmt: skip
    op.create_index("text_draft_of_text", "text_draft", ["kind", "key", "id"])
    op.create_table(
        "text_author",
        sa.Column("draft_id", ID, nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["text_draft.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("draft_id", "staff_id"),
    )
    op.create_table(
        "text_copy",
        sa.Column("id", ID, nullable=False),
        sa.Column("draft_id", ID, nullable=False),
        sa.Column("kept", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["text_draft.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_text_copy_draft_id", "text_copy", ["draft_id"])
    op.create_table(
        "text_editor",
        sa.Column("draft_id", ID, nullable=False),
        sa.Column("staff_id", ID, nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["text_draft.id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"]),
        sa.PrimaryKeyConstraint("draft_id", "staff_id"),
    )
    op.create_table(
        "release_change",
        sa.Column("id", ID, nullable=False),
        sa.Column("release_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("draft_id", ID, nullable=True),
        sa.Column("wrote", sa.JSON(), nullable=False),
        sa.Column("approved_by", ID, nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["release.id"]),
        sa.ForeignKeyConstraint(["draft_id"], ["text_draft.id"]),
        sa.ForeignKeyConstraint(["approved_by"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_release_change_release_id", "release_change", ["release_id"])
    op.create_index("release_change_of_text", "release_change", ["kind", "key", "release_id"])
    op.create_table(
        "withdrawal",
        sa.Column("id", ID, nullable=False),
        sa.Column("slug", sa.String(length=128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("staff_id", ID, nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("release_id", ID, nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ended_by", ID, nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.Column("ended_release_id", ID, nullable=True),
        *(sa.ForeignKeyConstraint([column], ["staff.id"]) for column in ("staff_id", "ended_by")),
        *(sa.ForeignKeyConstraint([column], ["release.id"]) for column in ("release_id", "ended_release_id")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_withdrawal_per_answer", "withdrawal", ["slug"], unique=True,
        sqlite_where=OPEN, postgresql_where=OPEN,
    )  # fmt: skip
    op.add_column("release", sa.Column("origin", sa.String(length=12), nullable=True))
    op.add_column("release", sa.Column("why", sa.Text(), nullable=True))
    op.add_column("release", sa.Column("previous_id", ID, nullable=True))
    op.add_column("release", sa.Column("back_to", ID, nullable=True))
    op.add_column("release", sa.Column("model", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take it back."""
    for name in ("model", "back_to", "previous_id", "why", "origin"):
        op.drop_column("release", name)
    for name in ("withdrawal", "release_change", "text_editor", "text_copy", "text_author", "text_draft"):
        op.drop_table(name)
