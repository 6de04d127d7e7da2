"""One step back: an earlier release's texts live again, as a new release that says what it undid."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import NotAllowedError, RefusedError, StaleError
from tests.knowledge.conftest import SLUG, Place, saying

pytestmark = pytest.mark.integration


async def test_an_earlier_release_is_live_again_and_history_stays(place: Place) -> None:
    before = place.world.answer(SLUG)
    await place.published(answer=saying("One."))
    await place.published(answer=saying("Two."))
    await place.published("line", "still_waiting", text="You are still in the queue.")

    undone = await place.studio.would_undo(1)

    assert [(one.kind, one.key) for one in undone] == [("faq", SLUG), ("line", "still_waiting")]
    assert [version.release_id for version in undone[0].changes] == [3, 2]
    assert undone[0].changes[0].wrote == ("Cora",)

    made = await place.studio.roll_back(1, place.dan, "The new words confuse people.", live=4)

    assert await place.releases() == [1, 2, 3, 4, made]
    assert await place.answer() == before
    releases = await place.studio.releases()
    assert (releases[0].origin, releases[0].back_to, releases[0].previous_id, releases[0].why) == (
        "rollback", 1, 4, "The new words confuse people.",
    )  # fmt: skip
    assert releases[0].sha256 == releases[-1].sha256
    newest = (await place.studio.history("faq", SLUG))[0]
    assert (newest.approved, newest.why, newest.is_live) == ("Dan", "The new words confuse people.", True)
    # Forward again is a step back to what was undone.
    await place.studio.roll_back(3, place.cora, "They were right after all.", live=made)
    assert (await place.answer() or "").startswith("Two.")


async def test_who_looked_at_another_live_release_looks_again(place: Place) -> None:
    await place.published(answer=saying("One."))
    results = await asyncio.gather(
        place.studio.roll_back(1, place.dan, "Back.", live=2),
        place.studio.roll_back(1, place.cora, "Back too.", live=2),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in results) == ["StaleError", "int"]
    with pytest.raises(StaleError):
        await place.studio.roll_back(2, place.dan, "Forward.", live=2)
    assert await place.releases() == [1, 2, 3]


async def test_what_would_change_nothing_is_refused(place: Place) -> None:
    with pytest.raises(RefusedError):
        await place.studio.roll_back(1, place.dan, "To what is live.", live=1)
    with pytest.raises(RefusedError):
        await place.studio.roll_back(99, place.dan, "To nothing.", live=1)
    await place.published(answer=saying("One."))
    with pytest.raises(RefusedError):
        await place.studio.roll_back(1, place.dan, " ", live=2)
    with pytest.raises(NotAllowedError):
        await place.studio.roll_back(1, place.mo, "Back.", live=2)
    assert await place.releases() == [1, 2]


async def test_safety_words_go_back_by_a_senior(place: Place) -> None:
    await place.published("line", "danger_line", text="If anyone is in danger, call 999 now.")
    with pytest.raises(NotAllowedError, match="safety words"):
        await place.studio.roll_back(1, place.dan, "Back.", live=2)
    await place.studio.roll_back(1, place.sue, "Back.", live=2)
    body = await place.studio.live_body("line", "danger_line")
    assert body == {"text": "If you or someone else is in danger, call 999 now."}


async def test_what_is_withdrawn_stays_withdrawn(place: Place) -> None:
    await place.published("faq", "lost-property", owner="Somebody")
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    await place.studio.roll_back(1, place.dan, "Back to the first.", live=3)
    assert await place.answer() is None
    assert [one.slug for one in await place.studio.withdrawn()] == [SLUG]
    await place.studio.restore(SLUG, place.dan, "The number was right.")
    # And what was given again is not taken away by a step back to when it was withdrawn.
    await place.published("faq", "lost-property", owner="Another")
    await place.studio.roll_back(3, place.dan, "Back to the withdrawal.", live=6)
    assert await place.answer() is not None


async def test_an_open_draft_of_an_undone_text_is_looked_at_again(place: Place) -> None:
    await place.published(answer=saying("One."))
    draft = await place.submitted(answer=saying("Two."))
    await place.studio.roll_back(1, place.sue, "Back.", live=2)
    assert (await place.studio.draft(draft.id)).changed_under
    with pytest.raises(StaleError):
        await place.studio.approve(draft.id, place.dan, draft.version)
