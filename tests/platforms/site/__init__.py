"""The loopback site: a message board that speaks our webhook, as docs/channels/webhook.md describes it.

What may enter: calls signed by the key that both hold. What may leave: signed batches of events, as often
and in whatever order a test asks for.
"""

from tests.platforms.site.events import Visitor
from tests.platforms.site.server import OTHER_SECRET, SECRET, Board, SiteServer, build, headers_of

__all__ = ["OTHER_SECRET", "SECRET", "Board", "SiteServer", "Visitor", "build", "headers_of"]
