"""Takes what a webhook held through the door; then the two small signs that WhatsApp shows a person.

developers.facebook.com/documentation/business-messaging/whatsapp/typing-indicators: one call marks a
message, and all before it, as read, and may show for 25 seconds that an answer is being written.
"""

from __future__ import annotations

from typing import Any

import structlog

from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.intake import Intake
from bot.channels.parts import Parts
from bot.channels.whatsapp.identity import address_of
from bot.channels.whatsapp.inbound import NAME, Webhook
from bot.errors import UnavailableError

log = structlog.get_logger(__name__)

REMEMBERED = 1_000


class WhatsAppIntake(Intake):
    """Hands arrivals to the door. Safe to call with the same ones again."""

    def __init__(self, parts: Parts, graph: Graph) -> None:
        super().__init__(parts, graph, NAME)
        self._newest: dict[str, str] = {}
        """Meta's own id of a person's newest message, until its sign is shown; in memory only."""

    async def take_webhook(self, webhook: Webhook) -> None:
        """Store everything in one transaction. Returns after its commit.

        Raises:
            DoorClosedError: as `Intake.take`.
        """
        if len(self._newest) < REMEMBERED:
            self._newest |= webhook.newest
        await self.take(webhook.arrivals)

    async def _signs(self, person: str) -> None:
        wamid, address = self._newest.pop(person, None), address_of(person)
        if wamid is None or address is None:
            return
        body: dict[str, Any] = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid}
        try:
            if await self._is_with_assistant(person):
                body["typing_indicator"] = {"type": "text"}
            await self._graph.post(f"{address.number_id}/messages", body)
        except (GraphError, UnavailableError) as error:
            log.info("whatsapp.sign_not_shown", channel=NAME, reason=str(error))
