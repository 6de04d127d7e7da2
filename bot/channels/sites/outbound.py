"""The way out: plain text with numbered choices, and what each answer of a site's means for the outbox.

| the site answers | the outbox hears |
|---|---|
| 2xx | sent |
| 408, 425, 429, 503, no connection, a name that is not known | not taken, try again (`Retry-After` is obeyed) |
| other 5xx, no answer in time, a cut line | nobody can say |
| a redirect, other 4xx, an address that is not allowed | never |
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from bot.channels.render import NOTHING, Around, Layout, Shown, render
from bot.channels.sites.api import Callback, CallError
from bot.channels.sites.inbound import person_of, reply_id
from bot.channels.sites.options import Site
from bot.conversations.words import SAFE_YES
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Outgoing, Sent
from bot.store.record import now

log = structlog.get_logger(__name__)

VERSION = 1
PARTS_SHARE = 0.35
"""Of the outbox's patience: after so long the rest of a long text is left for the next attempt."""

Json = dict[str, Any]


def layout_of(site: Site) -> Layout:
    """What a site can show: we do not know what it makes of choices, so they stand in the text as well."""
    return Layout(
        site.channel, site.longest, always_numbered=True, beside_numbers="titles", person_button=True,
        person_line=True, discloses=True, tapped="unknown",
    )  # fmt: skip


class LastOf(Protocol):
    """Finds the id of the message that a person wrote last."""

    def __call__(self, person: str, *, stored: bool) -> Awaitable[str | None]:
        """`stored`: ask the record."""
        ...


class SiteChannel:
    """Sends to one joined site (see `bot.messages.Channel`)."""

    in_store = False
    nameless_echoes = True
    """A site has ids of its own for what it shows, and may not give ours back."""

    def __init__(self, callback: Callback, site: Site, send_seconds: float) -> None:
        self.name = site.channel
        self.title = site.title
        self.layout = layout_of(site)
        self.discloses = self.layout.discloses
        self.max_text = site.longest
        self._callback = callback
        self._site = site
        self._for_parts = send_seconds * PARTS_SHARE
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words that stand beside every answer, once there are any."""
        self.last_of: LastOf | None = None

    def numbers(self, titles: list[str]) -> bool:
        """Choices always stand in the text with numbers: a mail has nothing to press."""
        return self.layout.has_numbers(titles, has_list=False)

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The texts as they stand on the site, in their order."""
        return list(self._shown(outgoing).parts)

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one message, in as many parts as it needs, each of them once.

        Raises:
            RetryLaterError: not taken, or not all: `parts_sent` says how far it got.
            UnsureError, RejectedError: as `bot.messages.Channel.send` says.
        """
        shown = self._shown(outgoing)
        pieces = shown.parts
        choices = [{"title": one.title, "token": one.token} for one in shown.choices]
        if not pieces or outgoing.parts_sent >= len(pieces):
            raise RejectedError("there is nothing to send")
        body = await self._body(person, outgoing)
        digest = _digest(person, outgoing)
        began = time.monotonic()
        identity = ""
        for number in range(outgoing.parts_sent, len(pieces)):
            if number > outgoing.parts_sent and time.monotonic() - began > self._for_parts:
                raise RetryLaterError("the rest follows", 0.0, parts_sent=number)
            last = number == len(pieces) - 1
            identity = reply_id(outgoing.outbox_id, digest, None if last else number + 1)
            told = {**body, "id": identity, "text": pieces[number], "choices": choices if last else []}
            if len(pieces) > 1:
                told["part"] = {"number": number + 1, "of": len(pieces)}
            try:
                await self._callback.post(identity, told)
                error = None
            except CallError as failure:
                error = failure
            if error is not None:
                raise self._what_became_of(error, number)
        return Sent(identity)

    def _what_became_of(self, error: CallError, parts_sent: int) -> SendError:
        """The same failure in the words of the outbox."""
        said = str(error)
        if error.kind == "busy":
            return RetryLaterError(said, error.seconds, parts_sent=parts_sent)
        if error.kind == "not_sent":
            return RetryLaterError(said, parts_sent=parts_sent)
        if error.kind in ("no_answer", "server"):
            return UnsureError(said)
        log.error("site.not_taken", channel=self.name, reason=said)
        return RejectedError(said)

    async def _body(self, person: str, outgoing: Outgoing) -> Json:
        who, thread = person_of(person)
        # What leaves past the record, because the database is away, asks it nothing.
        answered = await self.last_of(person, stored=outgoing.outbox_id != 0) if self.last_of else None
        return {
            "version": VERSION,
            "type": "reply",
            "site": self._site.name,
            "person": who,
            "thread": thread or None,
            "in_reply_to": answered,
            "kind": outgoing.kind,
            "desk": outgoing.author or None,
            # Somebody may look over the shoulder of who reads it: no sound, no preview.
            "quiet": any(button.payload == SAFE_YES for button in outgoing.buttons),
            "closes": outgoing.closes,
            "sent_at": now().isoformat(timespec="seconds").replace("+00:00", "Z"),
        }

    def _shown(self, outgoing: Outgoing) -> Shown:
        return render(outgoing, self.layout, self.around())


def _digest(person: str, outgoing: Outgoing) -> str:
    """What tells two rows of the same number apart; words that leave past the record are always new."""
    if outgoing.outbox_id == 0:
        return secrets.token_hex(4)
    return hashlib.sha256(f"{person}\0{outgoing.text}".encode("utf-8", "replace")).hexdigest()
