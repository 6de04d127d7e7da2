"""What the platform knows of us: that we want its news, and what it shows before the first message.

Webhooks of a Page: developers.facebook.com/docs/messenger-platform/webhooks ("subscribed_apps"); the
start button, the greeting and the menu:
developers.facebook.com/docs/messenger-platform/reference/messenger-profile-api, and for Instagram
developers.facebook.com/docs/messenger-platform/instagram/features/persistent-menu.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from bot.assistant import LiveContent
from bot.assistant.content import Content
from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.options import Options
from bot.errors import ContentError

log = structlog.get_logger(__name__)

LONGEST_GREETING = 160
LONGEST_MENU_TITLE = 30
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 300.0


async def keep_told(graph: Graph, options: Options, content: LiveContent) -> None:
    """Tell the platform both, each until it has taken it. Chats work without, once the force has set them up."""
    await _tell(graph, options, "me/subscribed_apps", {"subscribed_fields": list(options.traits.fields)})
    try:
        told = profile(content.current, options)
    except ContentError as error:
        log.error("meta.profile_not_set", channel=options.traits.name, reason=str(error))
        return
    await _tell(graph, options, "me/messenger_profile", told)


async def _tell(graph: Graph, options: Options, path: str, body: dict[str, Any]) -> None:
    failures = 0
    while True:
        try:
            await graph.post(path, body)
        except GraphError as error:
            failures += 1
            log.warning("meta.not_told", channel=options.traits.name, reason=str(error), failures=failures)
            if error.kind == "refused":
                # A permission that is not there: the force has to set it up by hand.
                return
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 10))
            await asyncio.sleep(max(pause, error.seconds if error.kind == "busy" else 0.0))
        else:
            return


def profile(content: Content, options: Options) -> dict[str, Any]:
    """Who we are before the first message, and a menu with the way to a person."""
    content = content.for_channel(options.traits.name)
    menu = {
        "locale": "default",
        "composer_input_disabled": False,
        "call_to_actions": [
            {
                "type": "postback",
                "title": content.line("talk_to_person")[:LONGEST_MENU_TITLE],
                "payload": "person",
            }
        ],
    }
    if options.traits.object == "instagram":
        # Instagram has no start button and no greeting: who we are stands in the first answer.
        return {"platform": "instagram", "persistent_menu": [menu]}
    greeting = content.line("opening_automated")
    return {
        "get_started": {"payload": "start"},
        "greeting": [{"locale": "default", "text": greeting[:LONGEST_GREETING]}],
        "persistent_menu": [menu],
    }
