"""What the page around a web chat is about, as its signature says.

Revision: 0018, after 0017. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("page", sa.String(length=160), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.drop_column("page")
