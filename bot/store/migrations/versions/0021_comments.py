"""Comments on posts: the posts, who wrote under them, the comments, and what was hidden of them.

Revision: 0021, after 0020. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

from bot.store.tables import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("decided_at IS NULL")


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "post",
        sa.Column("id", ID, nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("platform_id", sa.String(length=255), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("is_ours", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=True),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("marked_at", UtcDateTime(), nullable=True),
        sa.Column("marked_by", ID, nullable=True),
        sa.ForeignKeyConstraint(["marked_by"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("channel", "platform_id"),
    )
    op.create_table(
        "commenter",
        sa.Column("person_id", ID, nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("post_id", ID, nullable=False),
        sa.Column("account", sa.String(length=64), nullable=True),
        sa.Column("private_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.ForeignKeyConstraint(["post_id"], ["post.id"]),
        sa.PrimaryKeyConstraint("person_id"),
    )
    op.create_index("commenter_by_account", "commenter", ["channel", "account"])
    op.create_index("commenter_by_private_id", "commenter", ["channel", "private_id"])
    op.create_table(
        "public_comment",
        sa.Column("id", ID, nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("platform_id", sa.String(length=255), nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("place", sa.String(length=255), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("takes_public", sa.Boolean(), nullable=False),
        sa.Column("takes_private", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("wanted_hidden", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("channel", "platform_id"),
    )
    op.create_index("ix_public_comment_conversation_id", "public_comment", ["conversation_id"])
    op.create_table(
        "hidden_review",
        sa.Column("id", ID, nullable=False),
        sa.Column("comment_id", ID, nullable=False),
        sa.Column("was_hidden", sa.Boolean(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("copy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("opened_by", ID, nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", ID, nullable=True),
        sa.Column("decision", sa.String(length=12), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["comment_id"], ["public_comment.id"]),
        sa.ForeignKeyConstraint(["opened_by"], ["staff.id"]),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "hidden_review_open", "hidden_review", ["due_at"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.create_index("hidden_review_of_comment", "hidden_review", ["comment_id", "id"])
    op.add_column("outbox", sa.Column("way", sa.String(length=8), nullable=True))
    op.add_column("outbox", sa.Column("place", sa.String(length=255), nullable=True))


def downgrade() -> None:
    """Take it back."""
    # Not in a batch: that would make the table anew on SQLite, without the triggers of the index.
    op.drop_column("outbox", "place")
    op.drop_column("outbox", "way")
    for name in ("hidden_review", "public_comment", "commenter", "post"):
        op.drop_table(name)
