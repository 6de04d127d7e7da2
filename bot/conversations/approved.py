"""Approved texts: what may still be sent once a platform takes no words of our own any more.

The platform has approved them word by word, the force names them, and staff choose one and fill in its
places. It is a reply of theirs like any other: the same owner, the same page, the same guard over what
they typed, the same record. Whether it may leave is judged where it is accepted and where it is sent,
never on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content, LiveContent
from bot.conversations import drafts, outbound
from bot.conversations.limits import Limits
from bot.errors import NoSuchChatError, RefusedError, StaleError
from bot.handover.approval import Rule
from bot.handover.queue import get_for, may_open
from bot.messages import Actor, ApprovedText, Finding, Template
from bot.safety.guard import LiveGuard, held_back
from bot.store import Bell, Store
from bot.store.tables import Conversation

NOT_YOURS = "You do not have this chat. Nothing was sent."
NO_SUCH_TEXT = "There is no such approved text any more. Load the page again."
SECOND_PERSON = (
    "A second person reads the replies of this team first. Choose an approved text with nothing to fill in."
)


class ApprovedTexts:
    """What staff do with them."""

    def __init__(
        self, store: Store, bell: Bell, content: LiveContent, limits: Limits, guard: LiveGuard
    ) -> None:
        self._store = store
        self._bell = bell
        self._content = content
        self._limits = limits
        self._guard = guard

    async def offered(self, connection: AsyncConnection, row: Row[Any]) -> tuple[ApprovedText, ...]:
        """Those that a page offers: none while words of one's own still get through."""
        if not await self._limits.is_over(connection, row):
            return ()
        return self._limits.approved_texts(row) or ()

    def shown(self, text: ApprovedText, reference: str) -> str:
        """Its words, with what we fill in, and what staff are asked for in brackets."""
        asked = {place.name: f"[{place.asks}]" for place in text.places if place.asks}
        return text.filled({**_known(text, reference, self._content.current), **asked})[0]

    async def send(
        self,
        conversation_id: int,
        actor: Actor,
        key: str,
        given: Mapping[str, str],
        *,
        seen: int | None = None,
        epoch: int | None = None,
    ) -> int:
        """Accept an approved text as a reply of the owner's. Returns its outbox id.

        Args:
            conversation_id: the conversation.
            actor: its owner.
            key: which text.
            given: what they filled in, by the name of the place.
            seen: the newest message on their page, as for a reply.
            epoch: that of their page.

        Raises:
            StaleError: the caller does not own the conversation, or the page is behind.
            GuardedError: what they filled in must not leave.
            RefusedError: there is no such text, a place is empty or too full, or a second person
                would have to read what was filled in.
        """
        channel, reference = await self._of(conversation_id, actor)
        content = self._content.current
        text = self._text(channel, key)
        values = {**_known(text, reference, content), **_typed(text, given)}
        words, spans = text.filled(values)
        # Read before: to look through a text takes longer than a transaction should.
        found = tuple(one for one in held_back(self._guard.current.find(words)) if _touches(one, spans))
        template = Template(
            text.name, text.language, tuple((place.name, values[place.name]) for place in text.places)
        )
        async with self._store.write() as connection:
            row = await get_for(connection, conversation_id, actor)
            if row.state != "human" or row.owner_id != actor.staff_id:
                raise StaleError(NOT_YOURS)
            await drafts.must_be_current(connection, row, seen=seen, epoch=epoch)
            if spans and Rule.of(content.teams).asks(row):
                raise RefusedError(SECOND_PERSON)
            findings = outbound.decide(found, row.grade)
            outbox_id = await outbound.send(
                connection, row, actor, words, content.clock, findings=findings, template=template
            )
        for name in ("outbox", "event"):
            self._bell.ring(name)
        return outbox_id

    async def _of(self, conversation_id: int, actor: Actor) -> tuple[str, str]:
        """Channel and reference of a conversation that `actor` owns: nobody else learns anything of it."""
        async with self._store.read() as connection:
            query = select(Conversation.__table__).where(Conversation.id == conversation_id)
            row = (await connection.execute(query)).one_or_none()
            if row is None or not await may_open(connection, row, actor):
                raise NoSuchChatError
        if row.state != "human" or row.owner_id != actor.staff_id:
            raise StaleError(NOT_YOURS)
        return str(row.channel), str(row.reference)

    def _text(self, channel: str, key: str) -> ApprovedText:
        for text in self._limits.texts_of(channel) or ():
            if text.key == key:
                return text
        raise RefusedError(NO_SUCH_TEXT)


def _known(text: ApprovedText, reference: str, content: Content) -> dict[str, str]:
    """What we fill in by ourselves."""
    ours = {"reference": reference, "desk": content.desk_name, "force": str(content.force.get("name", ""))}
    return {place.name: ours[place.fill] for place in text.places if place.fill}


def _typed(text: ApprovedText, given: Mapping[str, str]) -> dict[str, str]:
    """What staff filled in, on one line each: a platform takes no line breaks there.

    Raises:
        RefusedError: a place is empty or too full.
    """
    typed: dict[str, str] = {}
    for place in text.places:
        if not place.asks:
            continue
        words = " ".join(given.get(place.name, "").split())
        if not words:
            raise RefusedError(f"Fill in: {place.asks}.")
        if len(words) > place.longest:
            raise RefusedError(f"This is too long: {place.asks}. Use {place.longest} letters at most.")
        typed[place.name] = words
    return typed


def _touches(finding: Finding, spans: tuple[tuple[int, int], ...]) -> bool:
    """Whether something that staff typed takes part in it: the rest is approved as it stands."""
    return any(finding.start < end and start < finding.end for start, end in spans)
