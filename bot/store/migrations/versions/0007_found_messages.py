"""The index of "Find anything" follows the messages of the public.

Revision: 0007, after 0006. It only adds, so that gateways of the version before serve on meanwhile.
"""

from bot.store.migrations import found

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    found.follow("message", 0, words="text", at="received_at")


def downgrade() -> None:
    """Take it back."""
    found.unfollow("message", 0)
