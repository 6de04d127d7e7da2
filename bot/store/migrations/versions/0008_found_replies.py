"""The index of "Find anything" follows the replies.

Revision: 0008, after 0007. It only adds, so that gateways of the version before serve on meanwhile.
"""

from bot.store.migrations import found

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    found.follow("outbox", 1, words="text", at="created_at")


def downgrade() -> None:
    """Take it back."""
    found.unfollow("outbox", 1)
