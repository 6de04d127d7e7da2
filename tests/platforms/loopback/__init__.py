"""The loopback platform: a channel for tests, drills and the demo, and the platform it talks to.

`Loopback` is the channel, inside a gateway. `server` is the platform, a process of its own. What may
enter: signed webhooks of that platform. What may leave: messages to it, over HTTP.
"""

from tests.platforms.loopback.inbound import Loopback
from tests.platforms.loopback.outbound import LoopbackChannel
from tests.platforms.loopback.signature import HEADER, sign

__all__ = ["HEADER", "Loopback", "LoopbackChannel", "sign"]
