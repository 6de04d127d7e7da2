"""A conversation is found by the force's incident number, and by when it began.

Revision: 0011, after 0010. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.create_index("conversation_by_opening", ["opened_at", "id"])
        batch_op.create_index(
            "conversation_by_incident",
            ["incident"],
            sqlite_where=sa.text("incident IS NOT NULL"),
            postgresql_where=sa.text("incident IS NOT NULL"),
        )


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.drop_index(
            "conversation_by_incident",
            sqlite_where=sa.text("incident IS NOT NULL"),
            postgresql_where=sa.text("incident IS NOT NULL"),
        )
        batch_op.drop_index("conversation_by_opening")
