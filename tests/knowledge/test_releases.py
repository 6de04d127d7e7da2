"""Releases: what the public gets is the live one, and exactly one is live."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from bot.assistant import Content, LiveContent
from bot.assistant.content import content_from_items
from bot.errors import ContentError
from bot.knowledge.releases import OverwritesError, live_content, publish, seed
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.tables import Audit, Message, Release, ReleaseItem, Team
from tests.knowledge.conftest import SLUG, Place, saying
from tests.support.world import PLAIN, World, read_content

pytestmark = pytest.mark.integration


def files() -> Content:
    return read_content(ROOT / "force" / "northumbria", ROOT / "data")


def with_line(content: Content, key: str, text: str) -> Content:
    items = [
        (kind, name, {"text": text} if (kind, name) == ("line", key) else body)
        for kind, name, body in content.items()
    ]
    return content_from_items(items)


async def test_a_seeded_database_is_not_seeded_again(world: World) -> None:
    assert await seed(world.store, files(), Actor("again")) is False
    assert len(await world.rows(Release)) == 1


async def test_a_release_says_what_the_files_say(world: World) -> None:
    live = LiveContent(with_line(files(), "greeting", "Not yet"))
    assert await live.refresh(world.store) is True
    assert live.current.sha256 == files().sha256
    assert live.current.faqs == files().faqs
    assert dict(live.current.lines) == dict(files().lines)
    assert await live.refresh(world.store) is False


async def test_a_published_change_reaches_the_public_without_training(world: World) -> None:
    faqs = {**files().faqs}
    faqs["contact-101-wait"] = replace(faqs["contact-101-wait"], answer="A new answer. Call [P101].")
    await publish(world.store, replace(files(), faqs=faqs), Actor("Comms", None))
    await world.core.content.refresh(world.store)
    await world.say(PLAIN)
    assert world.heard() == ["A new answer. Call 101."]
    assert [release.live for release in await world.rows(Release)] == [False, True]
    noted = await world.rows(Audit, action="release")
    assert noted[-1].actor == "Comms"


async def test_a_release_from_before_a_sentence_was_added_lends_the_files(world: World) -> None:
    """After an upgrade: the turn that has to say it must not break."""
    old = [item for item in files().items() if item[:2] != ("line", "opening_message")]
    await publish(world.store, with_line(content_from_items(old), "slow_down", "Wait."), Actor("Comms"))
    await world.core.content.refresh(world.store)
    await world.say("/start", kind="button", button="start")
    assert world.heard() == [files().line("opening_message")]
    assert world.line("slow_down") == "Wait."


async def test_many_publish_at_once_and_one_is_live(world: World) -> None:
    results = await asyncio.gather(
        *(
            publish(world.store, with_line(files(), "greeting", f"Hello {n}"), Actor(f"c{n}"))
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert len([r for r in results if isinstance(r, int)]) >= 1
    assert len(await world.rows(Release, live=True)) == 1


async def test_a_release_that_breaks_leaves_the_old_one_live(world: World) -> None:
    broken = replace(files(), teams={"default_team": "x", "teams": {"x": {}}})
    with pytest.raises(KeyError):
        await publish(world.store, broken, Actor("x"))
    (only,) = await world.rows(Release)
    assert only.live
    assert len(await world.rows(ReleaseItem)) == len(files().items())


async def test_a_release_that_names_a_contact_which_is_gone_is_refused(world: World) -> None:
    contacts = {key: body for key, body in files().contacts.items() if key != "METRO"}
    gone = replace(files(), contacts=contacts)
    with pytest.raises(ContentError, match="'lost-property': No contact METRO"):
        await publish(world.store, gone, Actor("Comms"))
    assert len(await world.rows(Release)) == 1


async def test_an_answer_that_cannot_be_shown_leaves_nobody_waiting(world: World) -> None:
    """A release of before the check, or rows that somebody changed by hand."""
    faqs = {**files().faqs}
    faqs["contact-101-wait"] = replace(faqs["contact-101-wait"], answer="Call [NOBODY].")
    world.core.content.current = replace(files(), faqs=faqs)
    await world.say(PLAIN)
    (heard,) = world.heard()
    assert "NOBODY" not in heard
    assert [message.handled for message in await world.rows(Message)] == [True]


async def test_teams_follow_the_release(world: World) -> None:
    async with world.store.read() as connection:
        teams = {row.key for row in await connection.execute(Team.__table__.select())}
    assert teams == set(files().teams["teams"])


def test_what_the_register_does_not_hold_is_an_error() -> None:
    content = files()
    assert content.render("Call [P101].") == "Call 101."
    with pytest.raises(ContentError):
        content.render("Call [NOBODY].")
    with pytest.raises(ContentError):
        content.render("Call [P101.nopart].")
    with pytest.raises(ContentError):
        content.line("no such line")
    with pytest.raises(ContentError):
        content.line("closed")
    assert content.answer("no-such-answer") is None


def test_every_answer_and_line_can_be_rendered() -> None:
    content = files()
    for slug in content.faqs:
        assert content.answer(slug)
    for key in content.lines:
        assert content.line(key, reference="FC-12345678")


async def test_gateways_that_start_together_seed_an_empty_database_once(world: World) -> None:
    async with world.store.write() as connection:
        await connection.execute(delete(ReleaseItem))
        await connection.execute(delete(Release))
    results = await asyncio.gather(*(seed(world.store, files(), Actor(f"g{n}")) for n in range(4)))
    assert sorted(results) == [False, False, False, True]
    assert [row.live for row in await world.rows(Release)] == [True]


async def test_files_do_not_overwrite_what_was_changed_in_the_studio(place: Place) -> None:
    await place.published(answer=saying("From the studio."))
    with pytest.raises(OverwritesError, match=f"1 live texts.*faq {SLUG}.*--over-edits"):
        await publish(place.world.store, files(), Actor("Files"))
    assert await place.releases() == [1, 2]
    await publish(place.world.store, files(), Actor("Files"), edits="overwrite")
    assert await place.answer() == files().answer(SLUG)
    (newest, _, _) = await place.studio.history("faq", SLUG)
    assert (newest.origin, newest.wrote) == ("files", ("Files",))
    # The files are what is live: there is nothing to overwrite any more.
    await publish(place.world.store, with_line(files(), "greeting", "Hello."), Actor("Files"))


async def test_files_that_say_what_the_studio_says_are_published(place: Place) -> None:
    """What an export wrote, with one more change."""
    await place.published(answer=saying("From the studio."))
    exported = await live_content(place.world.store)
    await publish(place.world.store, with_line(exported, "greeting", "Hello."), Actor("Files"))
    assert (await place.answer() or "").startswith("From the studio.")
    (release, *_) = await place.studio.releases()
    assert [(name.kind, name.key) for name in release.changed] == [("line", "greeting")]


async def test_what_is_exported_is_the_live_release_with_its_phrases(place: Place) -> None:
    assert (await live_content(place.world.store)).sha256 == files().sha256
    await place.published(examples=["how long for 101", "waiting for ages"])
    exported = await live_content(place.world.store)
    assert exported.faqs[SLUG].body["examples"] == ["how long for 101", "waiting for ages"]
    assert len(exported.faqs["lost-property"].body["examples"]) >= 20


async def test_a_release_of_before_the_phrases_were_kept_lends_the_files(place: Place) -> None:
    """A gateway of the version before made it."""
    old = [
        (kind, key, {field: value for field, value in body.items() if field != "examples"})
        for kind, key, body in files().items()
    ]
    await publish(place.world.store, content_from_items(old), Actor("Old"))
    async with place.world.store.write() as connection:
        await connection.execute(update(Release).values(origin=None, previous_id=None))
    draft = await place.written(answer=saying("From the studio."))
    assert draft.body["examples"] == files().faqs[SLUG].body["examples"]
    assert not draft.changed_under
    view = await place.studio.submit(draft.id, place.cora, draft.version, "Better.")
    assert (await place.studio.approve(view.id, place.dan, view.version)).state == "live"
    assert [version.release_id for version in await place.studio.history("faq", SLUG)] == [3, 1]


async def test_files_are_published_beside_the_edits_of_the_studio(place: Place) -> None:
    """A new version's sentences, and what communications have changed since."""
    await place.published(answer=saying("From the studio."))
    await place.studio.withdraw("lost-property", place.cora, "The number is wrong.")
    release = await publish(
        place.world.store, with_line(files(), "greeting", "Hello."), Actor("Files"), edits="keep"
    )
    assert (await place.answer() or "").startswith("From the studio.")
    assert await place.answer("lost-property") is None
    assert await place.studio.live_body("line", "greeting") == {"text": "Hello."}
    (newest, *_) = await place.studio.releases()
    assert (newest.id, [name.key for name in newest.changed]) == (release, ["greeting"])
