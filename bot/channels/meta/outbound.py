"""The way out: plain text, quick replies, and what each answer of Meta's means for the outbox.

| Meta | the outbox hears |
|---|---|
| taken | sent |
| 429, a limit's code, 503, 1200, no connection, token refused | not taken, try again |
| other 5xx, code 1 or 2, no answer in time, a broken answer | nobody can say |
| outside of the window, blocked, everything else | never |

developers.facebook.com/docs/messenger-platform/reference/send-api. Within 24 hours of a person's last
message everything may leave (`RESPONSE`); after it only what a person of the staff writes, for seven
days, with the tag `HUMAN_AGENT`, where Meta has granted that.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog

from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.inbound import identity_of, metadata
from bot.channels.meta.options import Options
from bot.channels.meta.traits import HUMAN_AGENT_WINDOW, WINDOW
from bot.channels.render import NOTHING, Around, Choice, Shown, render
from bot.conversations.words import SAFE_YES
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Outgoing, Sent
from bot.store.record import now

log = structlog.get_logger(__name__)

PARTS_SHARE = 0.35
"""Of the outbox's patience: after so long the rest of a long text is left for the next attempt."""
TOKEN_REFUSED_SECONDS = 60.0
TAKE_AGAIN_SECONDS = 5.0

Json = dict[str, Any]
RESPONSE: Json = {"messaging_type": "RESPONSE"}
HUMAN_AGENT: Json = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}


class MetaChannel:
    """Sends to one platform of Meta's (see `bot.messages.Channel`)."""

    in_store = False

    def __init__(self, graph: Graph, options: Options) -> None:
        self.name = options.traits.name
        self.layout = options.traits.layout
        self.discloses = self.layout.discloses
        self.max_text = options.traits.longest
        self.reply_window: timedelta = HUMAN_AGENT_WINDOW if options.human_agent else WINDOW
        self._graph = graph
        self._options = options
        self._traits = options.traits
        self._for_parts = options.send_seconds * PARTS_SHARE
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words that stand beside every answer, once there are any."""
        self.on_gone: Callable[[str], None] | None = None
        """Told of who does not take messages from us."""

    def numbers(self, titles: list[str]) -> bool:
        """Whether buttons of these titles are shown as a numbered list."""
        return self.layout.has_numbers(titles, has_list=False)

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The texts as they stand on the platform, in their order."""
        return list(self._shown(outgoing).parts)

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message, in as many parts as it needs, each of them once.

        Raises:
            RetryLaterError: not taken, or not all: `parts_sent` says how far it got.
            UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        shown = self._shown(outgoing)
        pieces = shown.parts
        if not pieces or outgoing.parts_sent >= len(pieces):
            raise RejectedError("there is nothing to send")
        if not person.isdecimal():
            raise RejectedError(f"this is no person of {self._traits.title}'s")
        terms = self._terms(outgoing)
        began = time.monotonic()
        mid = ""
        for number in range(outgoing.parts_sent, len(pieces)):
            if number > outgoing.parts_sent and time.monotonic() - began > self._for_parts:
                raise RetryLaterError("the rest follows", 0.0, parts_sent=number)
            last = number == len(pieces) - 1
            body = self._body(person, outgoing, pieces[number], terms, last=last)
            if last:
                if shown.choices:
                    body["message"]["quick_replies"] = [_quick_reply(one) for one in shown.choices]
                if outgoing.closes and self._options.release_thread:
                    body["thread_control"] = {"control_type": "release"}
            try:
                mid = await self._sent(person, outgoing, body)
            except RetryLaterError as error:
                raise RetryLaterError(str(error), error.retry_after_seconds, parts_sent=number) from None
        return Sent(mid)

    # ---- one call ------------------------------------------------------------------------------

    async def _sent(self, person: str, outgoing: Outgoing, body: Json) -> str:
        """Send one part, by another way where the first one is closed and the other allowed."""
        try:
            return await self._call(body)
        except GraphError as error:
            first = error
        # Outside the handler: what Meta said does not travel along.
        other = self._another_way(first, outgoing, body)
        if other is None:
            raise self._what_became_of(first, person, outgoing)
        try:
            return await other(person, body)
        except GraphError as error:
            # If we may not take the chat, what was wrong at first still is.
            second = first if error.kind == "refused" else error
        raise self._what_became_of(second, person, outgoing)

    def _another_way(
        self, error: GraphError, outgoing: Outgoing, body: Json
    ) -> Callable[[str, Json], Awaitable[str]] | None:
        if error.kind == "window" and self._may_tag(outgoing) and body["messaging_type"] == "RESPONSE":
            return self._tagged
        # Words for somebody in danger take a chat from whoever holds it; staff do where the force says so.
        takes = outgoing.kind == "safety" or (
            self._options.take_thread and outgoing.kind in ("staff", "notice")
        )
        return self._taken if error.kind == "elsewhere" and takes else None

    async def _tagged(self, _person: str, body: Json) -> str:
        return await self._call({**body, **HUMAN_AGENT})

    async def _taken(self, person: str, body: Json) -> str:
        await self._graph.post("me/take_thread_control", {"recipient": {"id": person}})
        return await self._call(body)

    async def _call(self, body: Json) -> str:
        answer = await self._graph.post("me/messages", body)
        mid = identity_of(answer.get("message_id"))
        if mid is None:
            raise GraphError("no_answer", self._traits.title)
        return mid

    def _what_became_of(self, error: GraphError, person: str, outgoing: Outgoing) -> SendError:
        """The same failure in the words of the outbox."""
        said = str(error)
        if error.kind == "token":
            log.error("meta.token_refused", channel=self.name)
            return RetryLaterError(said, TOKEN_REFUSED_SECONDS)
        if error.kind == "busy":
            return RetryLaterError(said, error.seconds)
        if error.kind in ("not_sent", "not_taken"):
            return RetryLaterError(said)
        if error.kind in ("no_answer", "server"):
            return UnsureError(said)
        if error.kind == "elsewhere" and outgoing.kind == "safety":
            return RetryLaterError(said, TAKE_AGAIN_SECONDS)
        if error.kind == "gone" and self.on_gone is not None:
            self.on_gone(person)
        return RejectedError(said)

    # ---- what is sent --------------------------------------------------------------------------

    def _may_tag(self, outgoing: Outgoing) -> bool:
        return outgoing.kind == "staff" and self._options.human_agent

    def _terms(self, outgoing: Outgoing) -> Json:
        """On what terms it may leave now.

        Words for somebody in danger, and notices, are put to the platform: it alone knows the minute.

        Raises:
            RejectedError: it may not.
        """
        age = now() - outgoing.wrote_at if outgoing.wrote_at else timedelta()
        if age <= WINDOW or outgoing.kind in ("safety", "notice"):
            return RESPONSE
        if self._may_tag(outgoing) and age <= HUMAN_AGENT_WINDOW:
            return HUMAN_AGENT
        raise RejectedError(f"the time in which {self._traits.title} takes a reply is over")

    def _body(self, person: str, outgoing: Outgoing, text: str, terms: Json, *, last: bool) -> Json:
        message: Json = {"text": text, "metadata": metadata(outgoing.outbox_id, last=last)}
        body: Json = {"recipient": {"id": person}, **terms, "message": message}
        if self._traits.has_silent and _is_hidden(outgoing):
            body["notification_type"] = "NO_PUSH"
        return body

    def _shown(self, outgoing: Outgoing) -> Shown:
        return render(outgoing, self.layout, self.around())


def _quick_reply(choice: Choice) -> Json:
    return {"content_type": "text", "title": choice.title, "payload": choice.token}


def _is_hidden(outgoing: Outgoing) -> bool:
    """Whether it asks if it is safe to chat: then the telephone of who wrote must make no sound."""
    return any(button.payload == SAFE_YES for button in outgoing.buttons)
