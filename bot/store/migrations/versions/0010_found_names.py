"""The index of "Find anything" follows the names that people show.

Revision: 0010, after 0009. It only adds, so that gateways of the version before serve on meanwhile.
"""

from bot.store.migrations import found

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    found.follow("person", 3, words="name", at="created_at", conversation="NULL")


def downgrade() -> None:
    """Take it back."""
    found.unfollow("person", 3)
