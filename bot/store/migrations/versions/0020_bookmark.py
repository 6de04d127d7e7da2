"""How far a platform that is asked for its news was read; why a standing is as it is, and until when.

Revision: 0020, after 0019. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

from bot.store.tables import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "bookmark",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=True),
        sa.Column("good_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("trouble", sa.String(length=200), nullable=True),
        sa.Column("trouble_at", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.add_column("standing", sa.Column("why", sa.String(length=400), nullable=True))
    op.add_column("standing", sa.Column("until", UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("standing", "until")
    op.drop_column("standing", "why")
    op.drop_table("bookmark")
