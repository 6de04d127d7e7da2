"""What happens to each chat of a surge once it is answered.

Revision: 0014, after 0013. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("surge", schema=None) as batch_op:
        batch_op.add_column(sa.Column("outcome", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("surge", schema=None) as batch_op:
        batch_op.drop_column("outcome")
