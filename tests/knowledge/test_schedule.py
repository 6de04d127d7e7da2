"""A draft that goes live at a set time: then, once, and only if it is still what was approved."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from bot.errors import RefusedError
from bot.knowledge import review
from bot.knowledge.studio import DraftView
from bot.store.record import now
from bot.store.tables import Due
from tests.knowledge.conftest import SLUG, Place, saying
from tests.knowledge.test_review import publish_files
from tests.support.rasa import LoopbackRasa
from tests.support.world import PLAIN, open_world

pytestmark = pytest.mark.integration


async def scheduled(place: Place, words: str = "At six.") -> DraftView:
    draft = await place.submitted(answer=saying(words))
    return await place.studio.approve(draft.id, place.dan, draft.version, at=now() + timedelta(hours=6))


async def open_clocks(place: Place) -> list[Any]:
    return [row for row in await place.world.rows(Due, kind="knowledge.publish") if row.done_at is None]


async def test_it_goes_live_at_its_time_and_once(place: Place) -> None:
    view = await scheduled(place)
    assert view.state == "approved"
    await place.world.tick(hours=5)
    assert await place.releases() == [1]
    await place.world.tick(hours=1)
    assert await place.releases() == [1, 2]
    await place.world.core.content.refresh(place.world.store)
    await place.world.say(PLAIN)
    assert place.world.heard()[0].startswith("At six.")
    await place.world.tick(hours=1)
    assert await place.releases() == [1, 2]
    (newest, _) = await place.studio.history("faq", SLUG)
    assert (newest.wrote, newest.approved) == (("Cora",), "Dan")


async def test_two_gateways_whose_clocks_run_at_once_publish_once(
    place: Place, database_url: str, rasa: LoopbackRasa
) -> None:
    await scheduled(place)
    async with open_world(database_url, rasa, place.world.clock) as other:
        place.studio.attach(other.core.clocks)
        place.world.move(hours=6)
        await asyncio.gather(place.world.core.clocks.look(), other.core.clocks.look())
    assert await place.releases() == [1, 2]
    assert await open_clocks(place) == []


async def test_a_gateway_that_dies_after_publishing_publishes_nothing_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scheduled(place)
    with monkeypatch.context() as broken:
        broken.setattr(review, "ring", crash)
        place.world.move(hours=6)
        with pytest.raises(RuntimeError):
            await place.world.core.clocks.look()
    # The clock ended with what it was for, in one transaction.
    assert await place.releases() == [1, 2]
    assert await open_clocks(place) == []
    await place.world.tick(seconds=31)
    assert await place.releases() == [1, 2]


async def test_a_gateway_that_dies_before_publishing_is_followed_by_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await scheduled(place)
    with monkeypatch.context() as broken:
        broken.setattr(review, "trace", crash)
        place.world.move(hours=6)
        with pytest.raises(RuntimeError):
            await place.world.core.clocks.look()
    assert await place.releases() == [1]
    assert (await place.studio.draft(view.id)).state == "approved"
    await place.world.tick(seconds=31)
    assert len(await place.releases()) == 2
    assert (await place.answer() or "").startswith("At six.")


def crash(*_: Any, **__: Any) -> None:
    raise RuntimeError("the process died")


async def test_a_text_that_changed_meanwhile_is_not_overwritten(place: Place) -> None:
    view = await scheduled(place)
    await publish_files(place, saying("From the files."))
    await place.world.tick(hours=6)
    assert (await place.answer() or "").startswith("From the files.")
    back = await place.studio.draft(view.id)
    assert (back.state, back.changed_under, back.publish_at, back.approved_by) == (
        "in_review", True, None, None,
    )  # fmt: skip
    assert "live text changed" in back.trouble
    assert len(await place.world.audit("knowledge.not_published")) == 1
    assert await open_clocks(place) == []


async def test_what_it_leans_on_is_gone_and_it_says_so(place: Place) -> None:
    """Approved while the contact was there."""
    new = await place.studio.new_draft("contact", "DESK2", place.cora)
    saved = await place.studio.save(new.id, place.cora, 1, {**new.body, "name": "Desk", "say": "desk two"})
    view = await place.studio.submit(new.id, place.cora, saved.version, "A new one.")  # type: ignore[union-attr]
    await place.studio.approve(new.id, place.dan, view.version)
    draft = await place.submitted(answer=saying("See [DESK2]."), contacts=["EMERG", "NPWEB", "P101", "DESK2"])
    draft = await place.studio.approve(draft.id, place.dan, draft.version, at=now() + timedelta(hours=6))
    gone = await place.studio.draft_deletion("contact", "DESK2", place.cora)
    gone = await place.studio.submit(gone.id, place.cora, gone.version, "Closed.")
    await place.studio.approve(gone.id, place.dan, gone.version)
    await place.world.tick(hours=6)
    back = await place.studio.draft(draft.id)
    assert back.state == "in_review"
    assert "No contact DESK2" in back.trouble
    assert await place.releases() == [1, 2, 3]


async def test_one_that_was_sent_back_does_not_go_live(place: Place) -> None:
    view = await scheduled(place)
    await place.studio.send_back(view.id, place.sue, view.version, "Not this week.")
    await place.world.tick(hours=7)
    assert await place.releases() == [1]


async def test_one_that_is_edited_does_not_go_live(place: Place) -> None:
    view = await scheduled(place)
    await place.studio.save(view.id, place.cora, view.version, {**view.body, "answer": saying("Other.")})
    await place.world.tick(hours=7)
    assert await place.releases() == [1]


async def test_a_new_time_is_a_new_approval(place: Place) -> None:
    view = await scheduled(place)
    view = await place.studio.take_back(view.id, place.cora, view.version)
    view = await place.studio.submit(view.id, place.cora, view.version, "Later.")
    await place.studio.approve(view.id, place.dan, view.version, at=now() + timedelta(hours=9))
    await place.world.tick(hours=7)
    assert await place.releases() == [1]
    await place.world.tick(hours=2)
    assert await place.releases() == [1, 2]


async def test_a_clock_that_an_older_gateway_dropped_is_made_up_for(place: Place) -> None:
    """It does not know the kind of clock, and calls it done."""
    await scheduled(place)
    async with place.world.store.write() as connection:
        await connection.execute(update(Due).where(Due.kind == "knowledge.publish").values(done_at=now()))
    place.world.move(hours=6, seconds=31)
    for sweep in place.world.core.clocks._sweeps:
        await sweep()
    assert await place.releases() == [1, 2]


@pytest.mark.parametrize("hours", [0, -1, 24 * 400])
async def test_a_time_that_makes_no_sense_is_refused(place: Place, hours: int) -> None:
    draft = await place.submitted(answer=saying("Then."))
    with pytest.raises(RefusedError, match="time"):
        await place.studio.approve(draft.id, place.dan, draft.version, at=now() + timedelta(hours=hours))
    assert (await place.studio.draft(draft.id)).state == "in_review"
