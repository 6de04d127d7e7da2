"""How fast one person, and one address, may write: buckets in this process, nothing stored.

Only a brake for scripts that run wild. Whoever is in danger is never braked: the caller asks the
screen before it refuses.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 20_000
MINUTE = 60.0


class Limits:
    """Counts messages. A minute's worth may come at once; after that, at the even pace."""

    def __init__(
        self, per_person: int, per_address: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._people = _Buckets(per_person, clock)
        self._addresses = _Buckets(per_address, clock)

    def wait_seconds(self, person: str, address: str) -> float:
        """How long this message comes too early; 0 when it is in time, and then it counts."""
        network = _network(address)
        wait = max(self._people.wait_seconds(person), self._addresses.wait_seconds(network))
        if wait == 0.0:
            self._people.take(person)
            self._addresses.take(network)
        return wait


class _Buckets:
    """One bucket for each key, full at first; the longest unused are forgotten."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._size = float(per_minute)
        self._pace = per_minute / MINUTE
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What was left in it, and when."""

    def _left(self, key: str) -> float:
        held = self._held.get(key)
        if held is None:
            return self._size
        return min(self._size, held[0] + (self._clock() - held[1]) * self._pace)

    def wait_seconds(self, key: str) -> float:
        return max(0.0, (1.0 - self._left(key)) / self._pace)

    def take(self, key: str) -> None:
        self._held[key] = (self._left(key) - 1.0, self._clock())
        self._held.move_to_end(key)
        # A bucket that is full again says no more than none: the oldest go as soon as they are.
        # It may be this one, if the process stood still for a moment; then nothing is left to forget.
        while self._held and (
            len(self._held) > REMEMBERED or self._left(next(iter(self._held))) >= self._size
        ):
            self._held.popitem(last=False)


def _network(address: str) -> str:
    """The address; of IPv6 the first half, for one customer has all of the other."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        # A listener on `::` writes everybody's IPv4 like this: they are not one customer.
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
