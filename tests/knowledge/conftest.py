"""A studio on a gateway without pages, and its people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bot.assistant.content import LiveContent
from bot.knowledge.studio import DraftView, Saved, Studio
from bot.messages import Actor
from bot.store.tables import Release
from tests.support.world import World

SLUG = "contact-101-wait"
"""What the world's Rasa understands of PLAIN; mode H."""
OFFER = "Would you like a person to help? Say: talk to a person."


@dataclass(slots=True)
class Place:
    """A studio with two of communications, a supervisor, an administrator and a moderator."""

    world: World
    studio: Studio
    cora: Actor
    dan: Actor
    sue: Actor
    ada: Actor
    mo: Actor

    async def written(
        self, kind: str = "faq", key: str = SLUG, by: Actor | None = None, **fields: Any
    ) -> DraftView:
        """A draft in which these fields are changed."""
        by = by or self.cora
        draft = await self.studio.open_draft(kind, key, by)
        saved = await self.studio.save(draft.id, by, draft.version, {**draft.body, **fields})
        assert isinstance(saved, Saved)
        return await self.studio.draft(draft.id)

    async def submitted(
        self, kind: str = "faq", key: str = SLUG, by: Actor | None = None, **fields: Any
    ) -> DraftView:
        """A draft in which these fields are changed, in review."""
        draft = await self.written(kind, key, by, **fields)
        return await self.studio.submit(draft.id, by or self.cora, draft.version, "People asked for it.")

    async def published(
        self, kind: str = "faq", key: str = SLUG, by: Actor | None = None, **fields: Any
    ) -> DraftView:
        """The same, approved by Dan, or by Sue where it needs her, and live."""
        draft = await self.submitted(kind, key, by, **fields)
        approver = self.sue if draft.needs_senior else self.dan
        return await self.studio.approve(draft.id, approver, draft.version, why="Looked at.")

    async def answer(self, slug: str = SLUG) -> str | None:
        """What a gateway would say now."""
        live = LiveContent(self.world.core.content.files)
        await live.refresh(self.world.store)
        return live.current.answer(slug)

    async def releases(self) -> list[int]:
        """The ids of all releases; exactly one is live, and it is the last."""
        rows = await self.world.rows(Release)
        assert [row.live for row in rows] == [False] * (len(rows) - 1) + [True]
        return [row.id for row in rows]


def saying(words: str) -> str:
    """An answer for `SLUG` that begins so, and fits its contacts and its mode."""
    return (
        f"{words}\n\nIf someone is in danger, call [EMERG] now.\n\nYou can use our forms at [NPWEB]."
        f" You can call [P101].\n\n{OFFER}"
    )


@pytest.fixture
async def place(world: World) -> Place:
    """A studio whose clocks run with the world's."""
    studio = Studio(world.store, world.core.bell, world.core.content, world.core.settings)
    studio.attach(world.core.clocks)
    people = [
        await world.hire(name, role)
        for name, role in (
            ("cora", "comms"), ("dan", "comms"), ("sue", "supervisor"), ("ada", "admin"), ("mo", "moderator"),
        )
    ]  # fmt: skip
    return Place(world, studio, *people)
