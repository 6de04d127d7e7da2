"""What Telegram takes: about one message a second in a chat, thirty a second in all.

A short burst in one chat is fine (core.telegram.org/bots/faq, "My bot is hitting limits").
"""

from __future__ import annotations

from bot.channels import pacing

CHAT_BURST = 4
CHAT_PER_SECOND = 1.0
ALL_BURST = 20
ALL_PER_SECOND = 25.0
"""A little under the limit: safety words come on top and are never held back."""


class Pacing(pacing.Pacing):
    """Says how long a message has to wait before it may leave."""

    def __init__(self) -> None:
        super().__init__((CHAT_BURST, CHAT_PER_SECOND), (ALL_BURST, ALL_PER_SECOND))
