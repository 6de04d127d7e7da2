"""The index of "Find anything", and which conversations bear a label.

Revision: 0006, after 0005. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bot.store.migrations import found
from bot.store.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    words = [] if is_sqlite else [sa.Column("words", postgresql.TSVECTOR(), nullable=False)]
    op.create_table(
        "found",
        sa.Column("id", number, nullable=False, autoincrement=False),
        sa.Column("conversation_id", number, nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        *words,
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("found_by_time", "found", ["at", "id"])
    op.create_index("found_of_conversation", "found", ["conversation_id", "at"])
    op.create_table(
        "found_fill",
        sa.Column("kind", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("below", number, nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    if is_sqlite:
        op.get_bind().exec_driver_sql(
            "CREATE VIRTUAL TABLE found_words USING fts5("
            "text, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
    else:
        found.make_words()
        op.create_index("found_by_words", "found", ["words"], postgresql_using="gin")
        # Names are asked for by the beginnings of their words: among the words of all texts those are many.
        op.create_index(
            "found_by_name",
            "found",
            ["words"],
            postgresql_using="gin",
            postgresql_where=sa.text("conversation_id IS NULL"),
        )
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.create_index("label_by_name", ["name", "conversation_id"])


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.drop_index("label_by_name")
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("found_words")
    op.drop_table("found_fill")
    op.drop_table("found")
    if op.get_bind().dialect.name != "sqlite":
        found.drop_words()
