"""Web chat: the force's own page, for whoever uses no other platform.

In: the page's requests. Out: nothing is sent, because the page reads the record itself
(`in_store`): a row is sent the moment its transaction commits.
"""

from __future__ import annotations

from sanic import Blueprint

from bot.channels.parts import Parts
from bot.channels.render import Layout
from bot.channels.webchat import routes
from bot.channels.webchat.inbound import NAME
from bot.errors import RejectedError
from bot.messages import Channel, Outgoing, Sent
from bot.settings import Settings

LAYOUT = Layout(NAME, None, most_buttons=100, tapped="ours")
"""The page is ours: it shows a text whole, and makes links of the register's addresses and numbers. The way
to a person is a button of the page's own."""


class PageChannel:
    """The way out: the page that reads the event table."""

    name = NAME
    in_store = True
    layout = LAYOUT
    max_text = 4000

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Never called for a channel in the store.

        Raises:
            RejectedError: always.
        """
        raise RejectedError("web chat is read from the store, nothing is sent to it")


class WebChat:
    """The web chat as a platform of the gateway."""

    channel: Channel

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.channel = PageChannel()

    def blueprint(self, parts: Parts) -> Blueprint:
        """The page, its form, its stream and its files."""
        return routes.blueprint(parts)

    async def run(self, parts: Parts) -> None:
        """Nothing by itself: the page asks for what is new."""

    async def reachable(self) -> str | None:
        """Always: the page is ours."""
        return None
