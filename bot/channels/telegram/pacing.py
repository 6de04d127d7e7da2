"""Keeps within what Telegram takes: about one message a second in a chat, thirty a second in all.

A short burst in one chat is fine (core.telegram.org/bots/faq, "My bot is hitting limits"); whatever
is too much all the same comes back as 429 and is obeyed. Each gateway counts its own.
"""

from __future__ import annotations

import time
from collections import OrderedDict

CHAT_BURST = 4
CHAT_PER_SECOND = 1.0
ALL_BURST = 20
ALL_PER_SECOND = 25.0
"""A little under the limit: safety words come on top and are never held back."""
REMEMBERED = 5_000


class Bucket:
    """Tokens that come back with time; it may go below nothing, and then says how long to wait."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst = burst
        self._rate = per_second
        self._left = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one. Returns the seconds until it is really there."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._left / self._rate)

    def is_full(self, now: float) -> bool:
        """Whether it says no more than a new one would."""
        return self._left + (now - self._at) * self._rate >= self._burst

    def give_back(self) -> None:
        """It was not used after all."""
        self._left += 1


class Pacing:
    """Says how long a message has to wait before it may leave."""

    def __init__(self) -> None:
        self._all = Bucket(ALL_BURST, ALL_PER_SECOND, time.monotonic())
        self._chats: OrderedDict[str, Bucket] = OrderedDict()

    def wait_for(self, chat: str, *, longest: float) -> float:
        """The seconds to wait for a place. It is ours, unless they are more than `longest`."""
        now = time.monotonic()
        one = self._chats.pop(chat, None) or Bucket(CHAT_BURST, CHAT_PER_SECOND, now)
        self._chats[chat] = one
        wait = max(one.take(now), self._all.take(now))
        while len(self._chats) > REMEMBERED or next(iter(self._chats.values())).is_full(now):
            self._chats.popitem(last=False)
        if wait > longest:
            one.give_back()
            self._all.give_back()
        return wait

    def count(self, chat: str) -> None:
        """A message leaves at once, whatever the pace: those after it wait the longer."""
        self.wait_for(chat, longest=float("inf"))
