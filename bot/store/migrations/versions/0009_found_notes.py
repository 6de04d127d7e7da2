"""The index of "Find anything" follows the private notes.

Revision: 0009, after 0008. It only adds, so that gateways of the version before serve on meanwhile.
"""

from bot.store.migrations import found

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    found.follow("note", 2, words="text", at="created_at")


def downgrade() -> None:
    """Take it back."""
    found.unfollow("note", 2)
