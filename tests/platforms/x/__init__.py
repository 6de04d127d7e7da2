"""The loopback X: direct messages, webhooks and limits as X's documentation says they behave.

What may enter: calls with the right signature. What may leave: signed webhooks, as often and in whatever
order a test asks for.
"""

from tests.platforms.x.events import Writer
from tests.platforms.x.server import App, XServer, build, sign
from tests.platforms.x.timeline import Poster

__all__ = ["App", "Poster", "Writer", "XServer", "build", "sign"]
