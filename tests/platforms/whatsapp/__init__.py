"""The loopback Cloud API: WhatsApp as Meta's documentation says it behaves.

What may enter: calls with the right token and proof. What may leave: signed webhooks, as often and in
whatever order a test asks for.
"""

from tests.platforms.whatsapp.events import Writer
from tests.platforms.whatsapp.server import WhatsAppApp, WhatsAppServer

__all__ = ["WhatsAppApp", "WhatsAppServer", "Writer"]
