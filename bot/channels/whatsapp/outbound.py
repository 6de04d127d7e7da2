"""The way out: plain text, buttons or a list, approved texts, and what each answer of Meta's means.

| WhatsApp | the outbox hears |
|---|---|
| taken | sent |
| 429, a limit's code, away, no connection, token refused | not taken, try again |
| other 5xx, 1, 2, 131000, no answer in time, a broken answer | nobody can say |
| outside of the window, locked, undeliverable, everything else | never |

developers.facebook.com/documentation/business-messaging/whatsapp/messages. Within 24 hours of a person's last
message everything may leave; after it only a text that Meta has approved (131047). A message carries a
mark of ours, and each status gives it back: so a call without an answer is settled all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from bot.channels.cut import utf16_units
from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.traits import WINDOW
from bot.channels.pacing import Pacing
from bot.channels.render import NOTHING, Around, Choice, Layout, Rows, Shown, render
from bot.channels.whatsapp.codes import TITLE
from bot.channels.whatsapp.identity import Address, address_of, identity_of, mark
from bot.channels.whatsapp.inbound import NAME
from bot.channels.whatsapp.options import Options
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import WINDOW_OVER, Outgoing, Sent, Template
from bot.store.record import now

log = structlog.get_logger(__name__)

LONGEST = 4096
"""Of a text (.../whatsapp/messages/text-messages)."""
LONGEST_ABOVE_BUTTONS = 1024
"""Of the words above buttons or a list."""
LAYOUT = Layout(
    NAME, LONGEST, utf16_units, most_buttons=3, longest_button=20,
    rows=Rows(most=10, longest=24, beside=72, opener=20),
    longest_above=LONGEST_ABOVE_BUTTONS, person_button=True, discloses=True,
)  # fmt: skip
"""Up to three reply buttons, else a list of up to ten lines, else numbers in the text
(.../whatsapp/messages/interactive-reply-buttons-messages and .../interactive-list-messages)."""
PERSON_BURST = 30
PERSON_PER_SECOND = 1 / 6
"""To one person: a burst, then one message in six seconds (131056)."""
WAIT_SHARE = 0.25
"""Of the outbox's patience, for a place in line; more than that, and the row goes back to it."""
PARTS_SHARE = 0.35
"""Of the same: after so long the rest of a long text is left for the next attempt."""
TOKEN_REFUSED_SECONDS = 60.0
LOCKED_SECONDS = 60.0

Json = dict[str, Any]


class WhatsAppChannel:
    """Sends to WhatsApp (see `bot.messages.Channel`)."""

    name = NAME
    title = TITLE
    in_store = False
    layout = LAYOUT
    max_text = LONGEST
    discloses = LAYOUT.discloses
    reply_window: timedelta = WINDOW

    def __init__(self, graph: Graph, options: Options) -> None:
        self._graph = graph
        self._numbers = frozenset(options.number_ids)
        self._pacing = Pacing((PERSON_BURST, PERSON_PER_SECOND), (options.per_second, options.per_second))
        self._longest_wait = options.send_seconds * WAIT_SHARE
        self._for_parts = options.send_seconds * PARTS_SHARE
        self.approved_texts = options.texts
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words that stand beside every answer, once there are any."""

    def numbers(self, titles: list[str]) -> bool:
        """Whether buttons of these titles are shown as a numbered list."""
        return self.layout.has_numbers(titles, has_list=bool(self.around().opens_list))

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The texts as they stand on the platform, in their order."""
        return list(self._shown(outgoing).parts)

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message, in as many parts as it needs, each of them once.

        Raises:
            RetryLaterError: not taken, or not all: `parts_sent` says how far it got.
            UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        address = address_of(person)
        if address is None or address.number_id not in self._numbers:
            raise RejectedError(f"this is no person of {TITLE}'s, or their number of ours is not set up")
        self._must_be_in_time(outgoing)
        shown = self._shown(outgoing)
        pieces = shown.parts
        if not pieces or outgoing.parts_sent >= len(pieces):
            raise RejectedError("there is nothing to send")
        began = time.monotonic()
        wamid = ""
        for number in range(outgoing.parts_sent, len(pieces)):
            if number > outgoing.parts_sent and time.monotonic() - began > self._for_parts:
                raise RetryLaterError("the rest follows", 0.0, parts_sent=number)
            last = number == len(pieces) - 1
            content = _content(pieces[number], interactive(shown) if last else None, outgoing.template)
            body: Json = {
                "messaging_product": "whatsapp", "recipient_type": "individual", **address.to, **content,
                "biz_opaque_callback_data": mark(outgoing.outbox_id, last=last),
            }  # fmt: skip
            try:
                await self._wait_for_place(person, outgoing)
                wamid = await self._call(address, body, outgoing)
            except RetryLaterError as error:
                raise RetryLaterError(str(error), error.retry_after_seconds, parts_sent=number) from None
        return Sent(wamid)

    async def _wait_for_place(self, person: str, outgoing: Outgoing) -> None:
        if outgoing.kind == "safety":
            self._pacing.count(person)
            return
        wait = self._pacing.wait_for(person, longest=self._longest_wait)
        if wait > self._longest_wait:
            raise RetryLaterError("many messages are on their way", wait)
        if wait:
            await asyncio.sleep(wait)

    async def _call(self, address: Address, body: Json, outgoing: Outgoing) -> str:
        try:
            answer = await self._graph.post(f"{address.number_id}/messages", body)
        except GraphError as error:
            failure = self._what_became_of(error, outgoing)
        else:
            messages = answer.get("messages")
            first = messages[0] if isinstance(messages, list) and messages else None
            identity = identity_of(first.get("id")) if isinstance(first, dict) else None
            if identity is not None:
                return identity
            failure = UnsureError(f"no answer from {TITLE}")
        # Outside the handler: what Meta said does not travel along.
        raise failure

    def _what_became_of(self, error: GraphError, outgoing: Outgoing) -> SendError:
        """The same failure in the words of the outbox."""
        said = str(error)
        if error.kind == "token":
            log.error("whatsapp.token_refused", channel=NAME)
            return RetryLaterError(said, TOKEN_REFUSED_SECONDS)
        if error.kind == "locked":
            log.error("whatsapp.locked", channel=NAME, number=error.code)
            # Words for somebody in danger wait for the lock to end; staff have to know at once.
            return RetryLaterError(said, LOCKED_SECONDS) if outgoing.kind == "safety" else RejectedError(said)
        if error.kind == "busy":
            return RetryLaterError(said, error.seconds)
        if error.kind in ("not_sent", "not_taken"):
            return RetryLaterError(said)
        if error.kind in ("no_answer", "server"):
            return UnsureError(said)
        return RejectedError(said)

    # ---- what is sent --------------------------------------------------------------------------

    def _must_be_in_time(self, outgoing: Outgoing) -> None:
        """Whether it may leave now, by our own record.

        Words for somebody in danger, and notices, are put to the platform: it alone knows the minute.

        Raises:
            RejectedError: only an approved text may.
        """
        age = now() - outgoing.wrote_at if outgoing.wrote_at else timedelta()
        if age > WINDOW and outgoing.template is None and outgoing.kind not in ("safety", "notice"):
            raise RejectedError(WINDOW_OVER.format(title=TITLE))

    def _shown(self, outgoing: Outgoing) -> Shown:
        if outgoing.template is not None:
            return Shown((outgoing.text,))
        return render(outgoing, self.layout, self.around())


def interactive(shown: Shown) -> Json | None:
    """What can be pressed, in Meta's own shape."""
    if not shown.choices:
        return None
    if shown.opens_list:
        rows = [_row(one) for one in shown.choices]
        return {"type": "list", "action": {"button": shown.opens_list, "sections": [{"rows": rows}]}}
    buttons = [{"type": "reply", "reply": {"id": one.token, "title": one.title}} for one in shown.choices]
    return {"type": "button", "action": {"buttons": buttons}}


def _row(choice: Choice) -> Json:
    row = {"id": choice.token, "title": choice.title}
    return {**row, "description": choice.beside} if choice.beside else row


def _content(text: str, interactive: Json | None, template: Template | None) -> Json:
    """A text, a text with choices under it, or a text that Meta knows by its name."""
    if template is not None:
        return {"type": "template", "template": _template(template)}
    if interactive is not None:
        return {"type": "interactive", "interactive": {**interactive, "body": {"text": text}}}
    return {"type": "text", "text": {"preview_url": False, "body": text}}


def _template(template: Template) -> Json:
    """By name and language, with what fills its places: in their order, or by their names."""
    body: Json = {"name": template.name, "language": {"code": template.language}}
    if template.values:
        parameters = [
            {"type": "text", "text": words, **({} if place.isdecimal() else {"parameter_name": place})}
            for place, words in _in_order(template)
        ]
        body["components"] = [{"type": "body", "parameters": parameters}]
    return body


def _in_order(template: Template) -> list[tuple[str, str]]:
    if all(place.isdecimal() for place, _ in template.values):
        return sorted(template.values, key=lambda one: int(one[0]))
    return list(template.values)
