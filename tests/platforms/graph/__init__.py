"""The loopback Graph API: Messenger and Instagram as Meta's documentation says they behave.

What may enter: calls with the right token and proof. What may leave: signed webhooks, as often and in
whatever order a test asks for.
"""

from tests.platforms.graph.events import Writer
from tests.platforms.graph.server import App, GraphServer, build, sign

__all__ = ["App", "GraphServer", "Writer", "build", "sign"]
