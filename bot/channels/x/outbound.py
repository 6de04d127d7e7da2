"""The way out: plain text, buttons as a numbered list, and what each answer of X's means for the outbox.

| X | the outbox hears |
|---|---|
| taken | sent |
| 429, 503, no connection, keys or plan refused | not taken, try again |
| other 5xx, no answer in time, a broken answer | nobody can say |
| 403 because of the person, everything else | never |

docs.x.com/x-api/direct-messages/manage/integrate. There are no buttons in it, no mark of ours on a message
and no sign that somebody is writing. X names no time after which a reply is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import structlog

from bot.channels.cut import utf16_units
from bot.channels.render import NOTHING, Around, Layout, render
from bot.channels.x.api import XApi, XError
from bot.channels.x.budget import Budget
from bot.channels.x.inbound import NAME, identity_of
from bot.channels.x.texts import bare
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Outgoing, Sent
from bot.store.record import now

log = structlog.get_logger(__name__)

LONGEST = 10_000
"""Letters of one direct message (developer.x.com/en/docs/direct-messages/sending-and-receiving)."""
LAYOUT = Layout(NAME, LONGEST, utf16_units, person_line=True, discloses=True)
"""No buttons: what can be chosen stands in the text, and so does how to ask for a person."""
PARTS_SHARE = 0.35
"""Of the outbox's patience: after so long the rest of a long text is left for the next attempt."""
REFUSED_SECONDS = 60.0
"""Until the next try, where somebody has to mend the keys or the plan first."""


class WayOut:
    """What X still takes of one kind of call, and what each answer of it means."""

    in_store = False

    def __init__(self) -> None:
        self.budget = Budget()
        self.refused: str | None = None
        """Why X takes nothing from us at all, as it said last."""
        self.heard_at: datetime | None = None
        """When X last said whether it takes anything from us."""

    def taken(self) -> None:
        """X has taken something."""
        self.refused, self.heard_at = None, now()

    def what_became_of(self, error: XError) -> SendError:
        """A failure in the words of the outbox."""
        said = str(error)
        if error.kind in ("token", "plan", "busy"):
            self.heard_at = now()
        if error.kind in ("token", "plan"):
            log.error("x.refused", reason=said)
            self.refused = said
            return RetryLaterError(said, REFUSED_SECONDS)
        if error.kind == "busy":
            return RetryLaterError(said, error.seconds)
        if error.kind in ("not_sent", "not_taken"):
            return RetryLaterError(said)
        if error.kind in ("no_answer", "server"):
            return UnsureError(said)
        return RejectedError(said)


class XChannel(WayOut):
    """Sends direct messages (see `bot.messages.Channel`)."""

    name = NAME
    layout = LAYOUT
    max_text = LONGEST
    discloses = LAYOUT.discloses

    def __init__(self, api: XApi, send_seconds: float) -> None:
        super().__init__()
        self._api = api
        self._for_parts = send_seconds * PARTS_SHARE
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words that stand beside every answer, once there are any."""
        self.on_gone: Callable[[str], None] | None = None
        """Told of who does not take messages from us."""

    def numbers(self, titles: list[str]) -> bool:
        """Buttons are always a numbered list."""
        return self.layout.has_numbers(titles, has_list=False)

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The texts as X tells them back: addresses without what X adds or takes away."""
        return [bare(piece) for piece in self._parts(outgoing)]

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message, in as many parts as it needs, each of them once.

        Raises:
            RetryLaterError: not taken, or not all: `parts_sent` says how far it got.
            UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        pieces = self._parts(outgoing)
        if not pieces or outgoing.parts_sent >= len(pieces):
            raise RejectedError("there is nothing to send")
        if not (person.isascii() and person.isdecimal()):
            raise RejectedError("this is no person of X's")
        began = time.monotonic()
        mid = ""
        for number in range(outgoing.parts_sent, len(pieces)):
            if number > outgoing.parts_sent and time.monotonic() - began > self._for_parts:
                raise RetryLaterError("the rest follows", 0.0, parts_sent=number)
            if wait := self.budget.wait_for(outgoing.kind):
                raise RetryLaterError(
                    "what X still takes is kept for words of danger", wait, parts_sent=number
                )
            try:
                mid = await self._part(person, pieces[number])
            except RetryLaterError as error:
                raise RetryLaterError(str(error), error.retry_after_seconds, parts_sent=number) from None
        return Sent(mid)

    async def _part(self, person: str, text: str) -> str:
        try:
            answer = await self._api.post(
                f"2/dm_conversations/with/{person}/messages", {"text": text}, self.budget
            )
        except XError as error:
            failure = self.what_became_of(error)
            if error.kind == "gone" and self.on_gone is not None:
                self.on_gone(person)
        else:
            self.taken()
            data = answer.get("data")
            mid = identity_of(data.get("dm_event_id")) if isinstance(data, dict) else None
            if mid is not None:
                return mid
            failure = UnsureError("no answer from X")
        # Outside the handler: what X said does not travel along.
        raise failure

    def _parts(self, outgoing: Outgoing) -> tuple[str, ...]:
        return render(outgoing, self.layout, self.around()).parts
