"""WhatsApp: chats with the force's numbers, by Meta's Cloud API.

In: webhooks of the business account. Out: messages by the Cloud API. Nothing of Meta's own shapes, and no
token, leaves this folder. See README.md here, and docs/channels/whatsapp.md for who sets it up.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from sanic import Blueprint

from bot.channels.addresses import is_this_machine
from bot.channels.checks import Check, account, unless
from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.checks import listed, token_checks
from bot.channels.meta.webhook import add_routes
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.channels.whatsapp.codes import CODES, TITLE
from bot.channels.whatsapp.inbound import NAME, Account, read_body
from bot.channels.whatsapp.intake import WhatsAppIntake
from bot.channels.whatsapp.options import PREFIX, read_options
from bot.channels.whatsapp.outbound import LAYOUT, WhatsAppChannel
from bot.messages import Channel
from bot.settings import Settings

__all__ = ["WhatsApp"]

log = structlog.get_logger(__name__)

PATH = f"/{NAME}/webhook"
REACHABLE_SECONDS = 8.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 300.0
MOST_TEMPLATES = "250"
PERMISSIONS = ("whatsapp_business_messaging", "whatsapp_business_management")
"""What the token must be allowed to do."""


class WhatsApp:
    """WhatsApp as a platform of the gateway."""

    channel: Channel

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingError: one of WhatsApp's settings is wrong.
            ContentError: the force's whatsapp.yml is wrong.
        """
        self._options = read_options(settings)
        self._graph = Graph(self._options, CODES)
        self._way_out = WhatsAppChannel(self._graph, self._options)
        self.channel = self._way_out
        self._intake: WhatsAppIntake | None = None

    def blueprint(self, parts: Parts) -> Blueprint:
        """The webhook's routes."""
        self._way_out.around = lambda: Around.of(parts.content.current, LAYOUT)
        options = self._options
        account = Account(
            options.account_id, frozenset(options.number_ids), frozenset(text.name for text in options.texts)
        )

        async def take(body: bytes) -> None:
            await self._inlet(parts).take_webhook(read_body(body, account))

        found: Blueprint = Blueprint(NAME)
        add_routes(
            found, PATH, take,
            app_secret=self._options.app_secret, verify_token=self._options.verify_token,
        )  # fmt: skip
        return found

    async def run(self, parts: Parts) -> None:
        """Ask Meta for the account's news, then wait until cancelled: Meta calls us."""
        intake = self._inlet(parts)
        try:
            await self._subscribe()
            await asyncio.Event().wait()
        finally:
            await intake.close()

    async def _subscribe(self) -> None:
        """.../whatsapp/solution-providers/manage-webhooks: which app gets the account's webhooks."""
        failures = 0
        while True:
            try:
                await self._graph.post(f"{self._options.account_id}/subscribed_apps", {})
            except GraphError as error:
                failures += 1
                log.warning("whatsapp.not_told", channel=NAME, reason=str(error), failures=failures)
                if error.kind in ("refused", "locked"):
                    # A right that is not there: the force has to set it up by hand.
                    return
                pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 10))
                await asyncio.sleep(max(pause, error.seconds if error.kind == "busy" else 0.0))
            else:
                return

    @property
    def live(self) -> bool:
        """Whether the token is a real one: whatever answers on this machine is a test's."""
        return not is_this_machine(self._options.api_url)

    async def reachable(self) -> str | None:
        """Ask Meta for our numbers and our texts (see `bot.channels.parts.Platform`)."""
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                return await self._numbers_known() or await self._texts_approved()
        except GraphError as error:
            return str(error)
        except TimeoutError:
            return f"no answer from {TITLE}"

    async def checks(self) -> list[Check]:
        """The numbers and texts, the token, what it may do, and the webhook (see `bot.channels.checks`)."""
        known = account(await self.reachable())
        if known.wrong:
            return [known]
        found, app_id = await token_checks(self._graph, self._options.token, PERMISSIONS)
        return [known, *found, await unless("webhook", self._called(app_id), GraphError)]

    async def _called(self, app_id: str) -> Check:
        """Whether Meta tells our app of the account's messages: any app, where nobody says which is ours
        (.../graph-api/reference/whats-app-business-account/subscribed_apps)."""
        answer = await self._graph.get(f"{self._options.account_id}/subscribed_apps")
        apps = [one.get("whatsapp_business_api_data") for one in listed(answer)]
        told = {str(one.get("id")) for one in apps if isinstance(one, dict)}
        if app_id in told or (told and not app_id):
            return Check("webhook")
        return Check(
            "webhook",
            "Our app does not get the account's messages: it is not subscribed to them.",
            "Start the gateway, which subscribes it, or do it at Meta under Webhooks.",
        )

    async def _numbers_known(self) -> str | None:
        answer = await self._graph.get(f"{self._options.account_id}/phone_numbers", fields="id", limit="100")
        known = {str(one.get("id")) for one in listed(answer)}
        strangers = [number for number in self._options.number_ids if number not in known]
        if strangers:
            place = self._options.number_ids.index(strangers[0]) + 1
            return f"number {place} of {PREFIX}PHONE_NUMBER_IDS is not one of this account"
        return None

    async def _texts_approved(self) -> str | None:
        """Each text of ours must stand at Meta as it stands here, and be approved."""
        if not self._options.texts:
            return None
        answer = await self._graph.get(
            f"{self._options.account_id}/message_templates",
            fields="name,language,status,components", limit=MOST_TEMPLATES,
        )  # fmt: skip
        known = {(one.get("name"), one.get("language")): one for one in listed(answer)}
        for text in self._options.texts:
            told = known.get((text.name, text.language))
            if told is None or told.get("status") != "APPROVED":
                return f"the text {text.key} of whatsapp.yml is not approved at Meta ({text.language})"
            if _body_of(told) != text.body:
                return f"the text {text.key} of whatsapp.yml has other words than at Meta"
        return None

    async def close(self) -> None:
        """Give the connections to Meta back."""
        await self._graph.close()

    def _inlet(self, parts: Parts) -> WhatsAppIntake:
        if self._intake is None:
            self._intake = WhatsAppIntake(parts, self._graph)
        return self._intake


def _body_of(template: dict[str, Any]) -> str:
    components = template.get("components")
    for one in components if isinstance(components, list) else []:
        if isinstance(one, dict) and one.get("type") == "BODY":
            return str(one.get("text", "")).strip()
    return ""
