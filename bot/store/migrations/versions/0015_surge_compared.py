"""How far the words of a surge's member were compared.

Revision: 0015, after 0014. It only adds, so that gateways of the version before serve on meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("surge_member", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "compared",
                sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
                server_default="0",
                nullable=False,
            )
        )


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("surge_member", schema=None) as batch_op:
        batch_op.drop_column("compared")
