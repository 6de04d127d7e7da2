"""One platform of Meta's, as the gateway sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from sanic import Blueprint

from bot.channels.addresses import is_this_machine
from bot.channels.checks import Check, account
from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.checks import token_checks, webhook_check
from bot.channels.meta.inbound import Account, pieces_of, read_body, read_changes
from bot.channels.meta.intake import Intake
from bot.channels.meta.options import Options
from bot.channels.meta.outbound import MetaChannel
from bot.channels.meta.profile import keep_told
from bot.channels.meta.webhook import add_routes
from bot.channels.parts import Parts
from bot.channels.render import Around
from bot.errors import BadRequestError
from bot.messages import Arrival, Channel

REACHABLE_SECONDS = 5.0


class Beside(Protocol):
    """What reads the rest of our webhooks, which are no messages: `bot/channels/comments`."""

    def read(self, changes: Sequence[Mapping[str, Any]]) -> tuple[list[Arrival], list[Any]]:
        """The changes of one webhook as arrivals, and what has to be fetched."""
        ...

    async def fetched(self, named: Sequence[Any]) -> list[Arrival]:
        """That, as far as it can be fetched now; a clock fetches the rest."""
        ...


class MetaPlatform:
    """Messenger or Instagram: what `bot.channels.parts.Platform` asks for."""

    channel: Channel

    def __init__(self, options: Options) -> None:
        self._options = options
        self._graph = Graph(options)
        self._way_out = MetaChannel(self._graph, options)
        self.channel = self._way_out
        self._intake: Intake | None = None
        self._beside: Beside | None = None

    @property
    def options(self) -> Options:
        """The settings, checked."""
        return self._options

    @property
    def graph(self) -> Graph:
        """Our end of the Graph API."""
        return self._graph

    def also(self, beside: Beside, fields: tuple[str, ...], permissions: tuple[str, ...] = ()) -> None:
        """Hand the changes of our webhooks to another channel, which asks Meta for these fields too."""
        self._beside = beside
        traits = self._options.traits
        traits = replace(
            traits, fields=(*traits.fields, *fields), permissions=(*traits.permissions, *permissions)
        )
        self._options = replace(self._options, traits=traits)

    def blueprint(self, parts: Parts) -> Blueprint:
        """The webhook's routes."""
        layout = self._way_out.layout
        self._way_out.around = lambda: Around.of(parts.content.current, layout)
        self._way_out.on_gone = lambda person: self._inlet(parts).gone(person)
        found: Blueprint = Blueprint(self.channel.name)
        options = self._options
        account = Account(options.traits, options.account_id, options.app_id)

        async def take(body: bytes) -> None:
            try:
                arrivals = read_body(body, account)
            except BadRequestError:
                # Signed, and no webhook: nothing is kept, but whoever is in danger in it is told.
                await self._inlet(parts).warn(pieces_of(body, account))
                raise
            named: Sequence[Any] = ()
            if self._beside is not None:
                others, named = self._beside.read(read_changes(body, account))
                arrivals += others
            await self._inlet(parts).take(arrivals)
            # Only now: nobody's words of danger wait for what has to be fetched.
            if self._beside is not None and named:
                await self._inlet(parts).take(await self._beside.fetched(named))

        add_routes(
            found, options.traits.path, take, app_secret=options.app_secret, verify_token=options.verify_token
        )
        return found

    async def run(self, parts: Parts) -> None:
        """Tell the platform who we are, then wait until cancelled: Meta calls us."""
        intake = self._inlet(parts)
        try:
            await keep_told(self._graph, self._options, parts.content)
            await asyncio.Event().wait()
        finally:
            await intake.close()

    @property
    def live(self) -> bool:
        """Whether the token is a real one: whatever answers on this machine is a test's."""
        return not is_this_machine(self._options.api_url)

    async def reachable(self) -> str | None:
        """Ask Meta who we are (see `bot.channels.parts.Platform`)."""
        traits = self._options.traits
        try:
            async with asyncio.timeout(REACHABLE_SECONDS):
                answer = await self._graph.get("me", fields=traits.id_field)
        except GraphError as error:
            return str(error)
        except TimeoutError:
            return f"no answer from {traits.title}"
        found = answer.get(traits.id_field)
        known = found.get("id") if isinstance(found, dict) else found
        if str(known) != self._options.account_id:
            return f"the token is of another account than {traits.variable}{traits.account}"
        return None

    async def checks(self) -> list[Check]:
        """The token, what it may do, and the webhook (see `bot.channels.checks`)."""
        known = account(await self.reachable())
        if known.wrong:
            return [known]
        options = self._options
        found, app_id = await token_checks(self._graph, options.token, options.traits.permissions)
        if app_id and app_id != options.app_id:
            found.append(
                Check(
                    "app",
                    f"The token belongs to another app than {options.traits.variable}APP_ID.",
                    "Make the token for the app whose id and secret stand in the settings.",
                )
            )
        return [known, *found, await webhook_check(self._graph, options.app_id, options.traits.fields)]

    async def close(self) -> None:
        """Give the connections to Meta back."""
        await self._graph.close()

    def _inlet(self, parts: Parts) -> Intake:
        if self._intake is None:
            self._intake = Intake(parts, self._graph, self._options.traits.name)
        return self._intake
