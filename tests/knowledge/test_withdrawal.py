"""One answer taken away at once: by one person, or by its own last day. What the public then sees."""

from __future__ import annotations

from datetime import date

import pytest

from bot.errors import NotAllowedError, RefusedError
from bot.knowledge.releases import publish
from bot.knowledge.studio import Saved
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.tables import Due, Withdrawal
from tests.knowledge.conftest import SLUG, Place, saying
from tests.support.world import P3, PLAIN, read_content

pytestmark = pytest.mark.integration

BUTTON = f"fc:faq:{SLUG}"


async def refreshed(place: Place) -> None:
    await place.world.core.content.refresh(place.world.store)


async def test_one_person_withdraws_an_answer_and_whoever_asks_is_passed_on(place: Place) -> None:
    release = await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    await refreshed(place)

    row = await place.world.say(PLAIN)

    assert (row.state, row.grade) == ("waiting", "P4")
    heard = "\n".join(place.world.heard())
    assert place.world.line("answer_withdrawn") in heard
    assert place.world.line("withdraw_offer") in heard
    assert "forms or live chat" not in heard
    assert row.reasons[-1]["words"] == [f"the answer is withdrawn: {SLUG}"]
    (gone,) = await place.studio.withdrawn()
    assert (gone.slug, gone.by, gone.why, gone.has_expired) == (SLUG, "Cora", "The number is wrong.", False)
    (noted,) = await place.world.audit("knowledge.withdraw")
    assert (noted.staff_id, noted.detail["release"]) == (place.cora.staff_id, release)
    assert (await place.studio.history("faq", SLUG))[0].is_withdrawn
    listed = {one.key: one for one in await place.studio.texts("faq")}
    assert listed[SLUG].is_withdrawn
    assert len(listed) == len(place.world.core.content.files.faqs)


async def test_a_button_of_before_leads_to_a_person_too(place: Place) -> None:
    place.world.rasa.teach("wait", {"intent": "x", "confidence": 0.4, "certain": False, "ranking": [], "risks": []},
                           [{"offer": [SLUG, "lost-property"]}])  # fmt: skip
    title = place.world.core.content.current.faqs[SLUG].title
    await place.world.say("the wait")
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    await refreshed(place)
    row = await place.world.press(title)
    assert (row.state, row.grade) == ("waiting", "P4")
    # And it is offered to nobody any more.
    await place.world.say("the wait", person="bob")
    offered = [button.title for one in place.world.channel.outgoing("bob") for button in one.buttons]
    assert offered
    assert title not in offered


async def test_one_who_waits_already_is_told_that_they_still_wait(place: Place) -> None:
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    await refreshed(place)
    await place.world.say(P3)
    place.world.heard()
    place.world.move(minutes=1)
    row = await place.world.say(PLAIN)
    assert (row.state, row.grade) == ("waiting", "P3")
    assert place.world.heard() == [place.world.line("still_waiting")]


async def test_it_is_given_again_as_it_was(place: Place) -> None:
    before = place.world.answer(SLUG)
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    with pytest.raises(RefusedError):
        await place.studio.restore(SLUG, place.dan, "")
    await place.studio.restore(SLUG, place.dan, "The number was right.")
    await refreshed(place)
    await place.world.say(PLAIN)
    assert place.world.heard() == [before]
    assert await place.studio.withdrawn() == []
    first, last = (await place.studio.releases())[-1], (await place.studio.releases())[0]
    assert first.sha256 == last.sha256
    (row,) = await place.world.rows(Withdrawal)
    assert (row.ended_by, row.ended_why, row.ended_release_id) == (
        place.dan.staff_id, "The number was right.", last.id,
    )  # fmt: skip
    with pytest.raises(RefusedError):
        await place.studio.restore(SLUG, place.dan, "Again.")


async def test_a_better_text_of_a_withdrawn_answer_restores_it(place: Place) -> None:
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    draft = await place.written(answer=saying("Better."))
    assert draft.is_withdrawn
    view = await place.studio.submit(draft.id, place.cora, draft.version, "The right number.")
    await place.studio.approve(view.id, place.dan, view.version)
    assert (await place.answer() or "").startswith("Better.")
    assert await place.studio.withdrawn() == []


async def test_some_answers_are_never_withdrawn(place: Place) -> None:
    for slug in ("missing-person", "ask-for-human", "no-such-answer", "danger_line"):
        with pytest.raises(RefusedError):
            await place.studio.withdraw(slug, place.cora, "Away with it.")
    with pytest.raises(RefusedError):
        await place.studio.withdraw(SLUG, place.cora, " ")
    with pytest.raises(NotAllowedError):
        await place.studio.withdraw(SLUG, place.mo, "I do not like it.")
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    with pytest.raises(RefusedError, match="already"):
        await place.studio.withdraw(SLUG, place.dan, "Me too.")
    assert len(await place.releases()) == 2


async def test_files_that_are_published_leave_it_withdrawn(place: Place) -> None:
    await place.studio.withdraw(SLUG, place.cora, "The number is wrong.")
    await publish(
        place.world.store, read_content(ROOT / "force" / "northumbria", ROOT / "data"), Actor("Files")
    )
    assert await place.answer() is None
    assert [one.slug for one in await place.studio.withdrawn()] == [SLUG]
    await place.studio.restore(SLUG, place.dan, "The number was right.")
    assert await place.answer() is not None


async def test_an_answer_ends_with_its_last_day(place: Place) -> None:
    await place.published(answer=saying("Only today."), expires="2026-11-24")
    await place.world.tick(hours=11, minutes=59)
    assert await place.answer() is not None
    await place.world.tick(minutes=1)
    assert await place.answer() is None
    (gone,) = await place.studio.withdrawn()
    assert (gone.has_expired, gone.by, gone.why) == (True, "", "Its last day was 2026-11-24.")
    assert (await place.studio.releases())[0].origin == "expiry"
    with pytest.raises(RefusedError, match="last day"):
        await place.studio.restore(SLUG, place.dan, "We want it back.")
    # A later day, by a draft that two have looked at.
    await place.published(expires="2026-12-24")
    assert await place.answer() is not None
    await place.world.tick(hours=24)
    assert await place.answer() is not None
    assert [row.done_at is None for row in await place.world.rows(Due, kind="knowledge.expiry")] == [True]


async def test_an_answer_whose_clock_was_never_set_ends_all_the_same(place: Place) -> None:
    """The files' first release sets no clock, and an older gateway drops one that it does not know."""
    draft = await place.published(expires="2026-11-24")
    async with place.world.store.write() as connection:
        await connection.execute(Due.__table__.delete())  # type: ignore[attr-defined]
    await refreshed(place)
    place.world.move(hours=12)
    for sweep in place.world.core.clocks._sweeps:
        await sweep()
    assert await place.answer() is None
    assert draft.state == "live"


async def test_mode_e_has_no_last_day(place: Place) -> None:
    draft = await place.submitted("faq", "missing-person", expires="2026-12-24")
    with pytest.raises(RefusedError) as refused:
        await place.studio.approve(draft.id, place.sue, draft.version)
    assert "no last day" in refused.value.findings[0].words  # type: ignore[attr-defined]


async def test_a_review_date_only_reminds(place: Place) -> None:
    draft = await place.studio.open_draft("faq", SLUG, place.cora)
    body = {**draft.body, "last_checked": "2026-11-01", "review_by": "2026-11-25"}
    saved = await place.studio.save(draft.id, place.cora, draft.version, body)
    assert isinstance(saved, Saved)
    view = await place.studio.submit(draft.id, place.cora, saved.version, "Sooner.")
    await place.studio.approve(view.id, place.dan, view.version)
    assert SLUG not in [one.slug for one in await place.studio.due_reviews(date(2026, 11, 25))]
    due = await place.studio.due_reviews(date(2026, 11, 26))
    assert due[0].slug == SLUG
    await place.world.tick(hours=24 * 30)
    assert await place.answer() is not None
