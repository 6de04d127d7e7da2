"""The queue in its order, and what each member of staff has: two small indexes of open chats alone.

Revision: 0013, after 0012. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_index(
        "conversation_in_line",
        "conversation",
        ["grade", "waiting_since", "id"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "conversation_of_owner",
        "conversation",
        ["owner_id", "id"],
        sqlite_where=sa.text("state = 'human'"),
        postgresql_where=sa.text("state = 'human'"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("conversation_of_owner", "conversation")
    op.drop_index("conversation_in_line", "conversation")
