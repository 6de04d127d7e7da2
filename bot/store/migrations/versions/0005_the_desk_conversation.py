"""What the desk keeps of a conversation: seal, snooze, incident number, when a reply is due.

Revision: 0005, after 0004. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

from bot.store.tables import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("sealed", sa.Boolean(), server_default=sa.text("false"), nullable=False)
        )
        batch_op.add_column(sa.Column("snoozed_until", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("incident", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("reply_due_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("first_reply_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.drop_column("first_reply_at")
        batch_op.drop_column("reply_due_at")
        batch_op.drop_column("incident")
        batch_op.drop_column("snoozed_until")
        batch_op.drop_column("sealed")
