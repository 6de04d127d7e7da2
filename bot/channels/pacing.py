"""Keeps within what a platform takes: so much at once, so much a second, in one chat and in all.

Whatever is too much all the same comes back as a refusal and is obeyed. Each gateway counts its own.
"""

from __future__ import annotations

import time
from collections import OrderedDict

REMEMBERED = 5_000
Rate = tuple[float, float]
"""So many at once, so many a second after that."""


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
    """Says how long a message has to wait before it may leave: by its chat, and by all of them."""

    def __init__(self, chat: Rate, everybody: Rate) -> None:
        self._chat = chat
        self._all = Bucket(*everybody, time.monotonic())
        self._chats: OrderedDict[str, Bucket] = OrderedDict()

    def wait_for(self, chat: str, *, longest: float) -> float:
        """The seconds to wait for a place. It is ours, unless they are more than `longest`."""
        now = time.monotonic()
        one = self._chats.pop(chat, None) or Bucket(*self._chat, now)
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
