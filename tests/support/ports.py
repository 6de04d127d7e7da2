"""Ports for processes that cannot say which one they took."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 20_000, 32_000
"""Below those that Linux gives to connections (ip_local_port_range): one of these would take a port away
between the moment when it is found free and the moment when the process listens."""

_chance = random.SystemRandom()
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens on, and that this process has not given out before."""
    for _ in range(1000):
        port = _chance.randint(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"no port from {FIRST} to {LAST} is free")
