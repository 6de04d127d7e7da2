"""What X still takes from us: it counts calls in windows, and tells the count with each answer.

The force's account may send 15 direct messages in 15 minutes and 1,440 in 24 hours
(docs.x.com/x-api/fundamentals/rate-limits, as of 2026; larger for an enterprise plan). That is little, so the
last ones of a window are kept for words of danger: an answer of the assistant's waits first, then what
staff write. Each gateway knows what X told it last; a 429 says the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from bot.messages import OutboundKind

KEPT: Mapping[OutboundKind, int] = {"assistant": 5, "staff": 2, "notice": 2, "safety": 0}
"""How many calls of a window are left for what matters more."""
BUSY_SECONDS = 60.0
"""Where X asks us to wait and does not say how long (its own example waits a minute)."""
LONGEST_WAIT_SECONDS = 24 * 3600.0
_WINDOWS = (
    ("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
    ("x-user-limit-24hour-limit", "x-user-limit-24hour-remaining", "x-user-limit-24hour-reset"),
    ("x-app-limit-24hour-limit", "x-app-limit-24hour-remaining", "x-app-limit-24hour-reset"),
)


@dataclass(frozen=True, slots=True)
class Window:
    """One of X's counts: how many calls, how many are left, and when it begins anew (seconds since 1970)."""

    limit: int
    left: int
    reset: float


def windows(headers: Mapping[str, str]) -> tuple[Window, ...]:
    """The counts that an answer's headers tell."""
    found = []
    for names in _WINDOWS:
        limit, left, reset = (_number(headers.get(name)) for name in names)
        if left is not None and reset is not None:
            found.append(Window(limit if limit is not None else left, left, float(reset)))
    return tuple(found)


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """How long X asks us to wait after a 429."""
    now = time.time()
    counts = windows(headers)
    used_up = [window.reset - now for window in counts if window.left <= 0]
    after = _number(headers.get("retry-after"))
    named = [*used_up, *([float(after)] if after is not None else [])]
    if not named:
        # A 429 without a count of nothing: the window that it names is the one.
        named = [window.reset - now for window in counts[:1]]
    longest = max(named, default=BUSY_SECONDS)
    return min(longest, LONGEST_WAIT_SECONDS) if longest > 0 else 1.0


class Budget:
    """The windows of one kind of call."""

    def __init__(self) -> None:
        self._windows: tuple[Window, ...] = ()
        self._closed_until = 0.0

    def note(self, found: tuple[Window, ...]) -> None:
        """An answer that was no refusal told these."""
        if found:
            self._windows = found
        self._closed_until = 0.0

    def refused(self, seconds: float) -> None:
        """X takes nothing more for so long."""
        self._closed_until = time.time() + seconds

    def wait_for(self, kind: OutboundKind) -> float:
        """The seconds until something of this kind may leave; 0: now. Words of danger never wait here."""
        if kind == "safety":
            return 0.0
        now = time.time()
        # A small window is not kept whole for what may never come.
        waits = [
            window.reset - now
            for window in self._windows
            if window.left <= min(KEPT[kind], window.limit // 3)
        ]
        return max([self._closed_until - now, *waits, 0.0])

    @property
    def closed_for(self) -> float:
        """For how many seconds X takes nothing at all, not even words of danger."""
        return max(0.0, self._closed_until - time.time())

    def even_pace(self) -> float:
        """The seconds between two calls with which the calls that are left last until the window ends."""
        now = time.time()
        ends = [(window.reset - now) / max(1, window.left) for window in self._windows if window.reset > now]
        return max([self._closed_until - now, *ends, 0.0])


def _number(value: str | None) -> int | None:
    if value is None or not value.strip().isdecimal() or len(value.strip()) > 15:
        return None
    return int(value)
