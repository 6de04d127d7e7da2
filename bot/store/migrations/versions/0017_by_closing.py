"""Closed chats by the time of their closing: for figures, and for the list of the last two days.

Revision: 0017, after 0016. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_index(
        "conversation_by_closing",
        "conversation",
        ["closed_at", "id"],
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("conversation_by_closing", "conversation")
