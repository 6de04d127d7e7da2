"""New words in every gateway: at the ring or at the next look; a turn says nothing of two releases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from bot.assistant.content import LiveContent
from bot.conversations.application import Application
from bot.errors import StoreUnavailableError
from bot.knowledge.studio import Studio
from bot.store import Bell, Store
from tests.knowledge.conftest import SLUG, Place, saying
from tests.support.databases import break_store, mend_store
from tests.support.rasa import LoopbackRasa
from tests.support.world import P1, PLAIN, open_world

pytestmark = pytest.mark.integration
NEVER = 3600.0
"""Seconds between two looks: only a ring comes sooner."""


@asynccontextmanager
async def kept(content: LiveContent, store: Store, bell: Bell, poll_seconds: float) -> AsyncIterator[None]:
    """The gateway's own task that reads each new release."""
    task = asyncio.create_task(content.keep(store, bell, poll_seconds))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  nothing tells a test that words are in force
            await asyncio.sleep(0.01)


async def test_new_words_are_said_at_the_ring(place: Place) -> None:
    core = place.world.core
    async with kept(core.content, core.store, core.bell, NEVER):
        await place.published(answer=saying("New words."))
        await until(lambda: core.content.current.release_id == 2)
    await place.world.say(PLAIN)
    assert place.world.heard()[0].startswith("New words.")


async def test_new_words_are_said_by_another_gateway_at_the_ring_of_redis(
    place: Place, database_url: str, rasa: LoopbackRasa, redis_url: str
) -> None:
    here = Bell(redis_url)
    studio = Studio(place.world.store, here, place.world.core.content, place.world.core.settings)
    draft = await place.submitted(answer=saying("New words."))
    async with open_world(database_url, rasa, place.world.clock, redis_url=redis_url) as other:
        await here.start()
        await other.core.bell.start()
        try:
            await until(lambda: here.connected and other.core.bell.connected)
            async with kept(other.core.content, other.store, other.core.bell, NEVER):
                await until(lambda: other.core.content.current.release_id == 1)
                await studio.approve(draft.id, place.dan, draft.version)
                await until(lambda: other.core.content.current.release_id == 2)
            await other.say(PLAIN)
            assert other.heard()[0].startswith("New words.")
        finally:
            await here.stop()


async def test_without_redis_another_gateway_sees_them_at_its_next_look(
    place: Place, database_url: str, rasa: LoopbackRasa
) -> None:
    async with (
        open_world(database_url, rasa, place.world.clock) as other,
        kept(other.core.content, other.store, other.core.bell, 0.05),
    ):
        await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
        await until(lambda: SLUG in other.core.content.current.withdrawn)


async def test_a_database_that_is_away_leaves_the_words_in_force(place: Place) -> None:
    core = place.world.core
    async with kept(core.content, core.store, core.bell, 0.02):
        await until(lambda: core.content.current.release_id == 1)
        await place.submitted(answer=saying("New words."))
        break_store(core.store)
        with pytest.raises(StoreUnavailableError):
            await core.content.refresh(core.store)
        await asyncio.sleep(0.1)
        assert core.content.current.answer(SLUG)
        mend_store(core.store)
        (draft,) = await place.studio.drafts("in_review")
        await place.studio.approve(draft.id, place.dan, draft.version)
        await until(lambda: core.content.current.release_id == 2)


async def test_every_answer_names_the_release_of_its_words(place: Place) -> None:
    await place.world.say(PLAIN)
    await place.published(answer=saying("New words."))
    await place.world.core.content.refresh(place.world.store)
    await place.world.say(PLAIN)
    await place.world.say(P1)
    decisions = [message.decision for message in await place.world.messages()]
    assert [decision["content"] for decision in decisions] == [1, 2, 2]


async def test_a_turn_under_way_says_nothing_of_two_releases(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another release is read between the two sentences of one turn."""
    world = place.world
    world.rasa.teach(
        "101",
        {"intent": f"faq/{SLUG}", "confidence": 0.9, "certain": True, "ranking": [], "risks": []},
        [{"answer": SLUG}, {"also": ["lost-property"]}],
    )
    old, new = world.line("also_asked"), "Or was it one of these?"
    write = Application._row

    async def swapped(self: Application, *args: Any, **values: Any) -> None:
        await write(self, *args, **values)
        current = world.core.content.current
        world.core.content.current = replace(current, lines={**current.lines, "also_asked": new})

    monkeypatch.setattr(Application, "_row", swapped)
    await world.say(PLAIN)
    assert world.heard()[-1] == old
    await world.say(PLAIN)
    assert world.heard()[-1] == new
