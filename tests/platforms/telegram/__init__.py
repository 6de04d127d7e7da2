"""A Bot API of our own, on loopback: answers as Telegram's documentation says, and misbehaves as told."""

from tests.platforms.telegram.server import TelegramServer, build
from tests.platforms.telegram.updates import Writer

__all__ = ["TelegramServer", "Writer", "build"]
