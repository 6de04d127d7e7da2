"""Whoever waits for an answer goes before what pages fetch by themselves.

After each change a hundred pages want their lists. Rendered in one go they would keep a claim waiting until
the last of them is done. So they go one by one, and stand back while somebody's own request is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator

MOST_SECONDS = 0.1
"""How long pages stand back from when somebody began to wait: a slow request must not blind the desk."""


class Precedence:
    """Who goes first in one gateway."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most = most_seconds
        self._by_hand = 0
        self._since = -math.inf
        self._nobody = asyncio.Event()
        self._one = asyncio.Lock()

    @contextlib.contextmanager
    def by_hand(self) -> Iterator[None]:
        """Somebody waits for the answer while this is open."""
        if not self._by_hand:
            self._since = time.monotonic()
            self._nobody.clear()
        self._by_hand += 1
        try:
            yield
        finally:
            self._by_hand -= 1
            if not self._by_hand:
                self._nobody.set()

    @contextlib.asynccontextmanager
    async def behind(self) -> AsyncIterator[None]:
        """The turn of one page that fetches by itself."""
        async with self._one:
            left = self._since + self._most - time.monotonic()
            if self._by_hand and left > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._nobody.wait()
            yield
            # What has come meanwhile is looked at before the next page is made.
            await asyncio.sleep(0)
