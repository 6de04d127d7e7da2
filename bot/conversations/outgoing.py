"""A row of the outbox, as its channel gets it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.conversations.words import Words
from bot.messages import Button, Channel, Outgoing, Template
from bot.store.tables import OutboxTemplate


def outgoing_of(
    row: Row[Any],
    content: Content,
    *,
    text: str | None = None,
    wrote_at: datetime | None = None,
    closes: bool = False,
    template: Template | None = None,
) -> Outgoing:
    """What leaves for one row; `text`, if it is not the row's own any more."""
    return Outgoing(
        outbox_id=row.id,
        kind=row.kind,
        text=row.text if text is None else text,
        buttons=tuple(
            Button(button["title"], button["payload"], f"{row.id}.{index}")
            for index, button in enumerate(row.buttons)
        ),
        author=content.desk_name if row.kind == "staff" else "",
        parts_sent=row.parts_sent or 0,
        wrote_at=wrote_at,
        closes=closes,
        template=template,
        way=row.way or "",
        place=row.place or "",
    )


async def template_of(connection: AsyncConnection, row: Row[Any]) -> Template | None:
    """The approved text that a row is, as its platform knows it; None: it is words of our own."""
    if row.kind != "staff":
        return None
    found = await connection.execute(select(OutboxTemplate.body).where(OutboxTemplate.outbox_id == row.id))
    body = found.scalar_one_or_none()
    return None if body is None else Template.from_json(body)


class OwnWords:
    """Tells our own words from somebody else's, for platforms whose echoes carry no mark of ours."""

    def __init__(self, channels: Mapping[str, Channel], words: Words) -> None:
        self._channels = channels
        self._words = words

    def pieces(self, row: Row[Any]) -> tuple[str, ...]:
        """The texts in which a row reaches its platform, one after the other, without their spacing."""
        split = getattr(self._channels.get(row.channel), "pieces", None)
        if split is None:
            return (flat(row.text),)
        return tuple(flat(piece) for piece in split(outgoing_of(row, self._words.content.current)))

    def are_nameless(self, row: Row[Any]) -> bool:
        """Whether its platform may tell our words back under an id that nobody has told us."""
        return bool(getattr(self._channels.get(row.channel), "nameless_echoes", False))

    def are_safety_words(self, text: str) -> bool:
        """Whether these are words for a P1: without a database they leave past the record."""
        return self._words.are_safety_words(text)


def flat(text: str) -> str:
    """A text without its spacing, which platforms change."""
    return " ".join(text.split())
