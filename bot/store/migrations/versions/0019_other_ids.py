"""A person's other id, a place's name, what a message answers, approved texts, our standing on a platform.

Revision: 0019, after 0018. It only adds, so that gateways of the version before serve on meanwhile; of the
tables in use it changes one.
"""

import sqlalchemy as sa
from alembic import op

from bot.store.tables import UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.add_column(sa.Column("place", sa.String(length=300), nullable=True))
        batch_op.add_column(sa.Column("reply_to", sa.String(length=255), nullable=True))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "person_also",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("also_id", sa.String(length=255), nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.PrimaryKeyConstraint("channel", "also_id"),
    )
    op.create_index("ix_person_also_person_id", "person_also", ["person_id"])
    op.create_table(
        "outbox_template",
        sa.Column("outbox_id", number, autoincrement=False, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id"),
    )
    op.create_table(
        "standing",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("topic", sa.String(length=160), nullable=False),
        sa.Column("says", sa.String(length=64), nullable=False),
        sa.Column("degraded", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", "account", "topic"),
    )


def downgrade() -> None:
    """Take it back. Not in batches: those would make the table anew, without its triggers on SQLite."""
    for name in ("standing", "outbox_template", "person_also"):
        op.drop_table(name)
    op.drop_column("message", "reply_to")
    op.drop_column("message", "place")
