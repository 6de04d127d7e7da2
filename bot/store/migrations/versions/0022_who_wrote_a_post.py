"""Who wrote a post: where anybody's post may name us, whoever named us in their own has asked us to talk.

Revision: 0022, after 0021. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("post", sa.Column("author", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("post", "author")
