"""A second person's word: who may give it, what keeps a text from going live, and that all or nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bot.assistant.content import content_from_items
from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.knowledge import releases, review
from bot.knowledge.releases import publish
from bot.knowledge.studio import ChangedUnderError, FaultyError
from bot.messages import Actor
from bot.settings import ROOT
from bot.store.tables import Audit, Release, ReleaseChange, ReleaseItem
from tests.knowledge.conftest import OFFER, SLUG, Place, saying
from tests.support.world import read_content

pytestmark = pytest.mark.integration


async def test_a_second_person_makes_it_live(place: Place) -> None:
    draft = await place.submitted(answer=saying("New words."))
    assert (draft.state, draft.note) == ("in_review", "People asked for it.")
    view = await place.studio.approve(draft.id, place.dan, draft.version)

    assert (view.state, view.approved_by and view.approved_by.name) == ("live", "Dan")
    assert (await place.answer() or "").startswith("New words.")
    assert await place.releases() == [1, 2]
    newest, first = await place.studio.history("faq", SLUG)
    assert (newest.wrote, newest.approved, newest.why, newest.is_live) == (
        ("Cora",), "Dan", "People asked for it.", True,
    )  # fmt: skip
    assert (first.release_id, first.wrote, first.is_live) == (1, ("seed",), False)
    (release, _) = await place.studio.releases()
    assert (release.origin, release.previous_id, release.by, release.why) == (
        "studio", 1, "Dan", "People asked for it.",
    )  # fmt: skip
    audit = (await place.world.rows(Audit, action="release"))[-1]
    assert audit.detail["sha256"] == release.sha256
    assert (audit.detail["wrote"], audit.detail["approved_by"]) == (
        [place.cora.staff_id],
        [place.dan.staff_id],
    )
    assert audit.detail["previous"] == 1


async def test_a_release_is_the_one_before_with_one_text_replaced(place: Place) -> None:
    await place.published(answer=saying("New words."))

    def rows(release: int) -> Callable[[Any], bool]:
        return lambda row: row.release_id == release

    items = await place.world.rows(ReleaseItem)
    before = {(row.kind, row.key): row.body for row in filter(rows(1), items)}
    after = {(row.kind, row.key): row.body for row in filter(rows(2), items)}
    assert {place for place in after if after[place] != before.get(place)} == {("faq", SLUG)}
    assert before.keys() == after.keys()
    (release,) = await place.world.rows(Release, id=2)
    assert release.sha256 == content_from_items([(*name, body) for name, body in after.items()]).sha256


async def test_who_wrote_in_a_draft_does_not_approve_it(place: Place) -> None:
    draft = await place.written(answer=saying("Cora wrote."))
    await place.studio.save(
        draft.id, place.dan, draft.version, {**draft.body, "answer": saying("Dan wrote.")}
    )
    draft = await place.studio.submit(draft.id, place.dan, draft.version + 1, "Both of us.")
    for who in (place.cora, place.dan):
        with pytest.raises(NotAllowedError, match="You wrote"):
            await place.studio.approve(draft.id, who, draft.version)
    assert await place.releases() == [1]
    assert (await place.studio.draft(draft.id)).state == "in_review"
    assert (await place.studio.approve(draft.id, place.sue, draft.version)).state == "live"


async def test_who_asked_for_the_review_does_not_approve_it(place: Place) -> None:
    draft = await place.written(answer=saying("Cora wrote."))
    draft = await place.studio.submit(draft.id, place.dan, draft.version, "Dan asks.")
    with pytest.raises(NotAllowedError):
        await place.studio.approve(draft.id, place.dan, draft.version)


async def test_one_whose_save_was_refused_does_not_approve_it(place: Place) -> None:
    draft = await place.written(answer=saying("Cora wrote."))
    await place.studio.save(draft.id, place.dan, draft.version - 1, {**draft.body, "answer": "Dan's idea."})
    draft = await place.studio.submit(draft.id, place.cora, draft.version, "With Dan's idea in it.")
    with pytest.raises(NotAllowedError):
        await place.studio.approve(draft.id, place.dan, draft.version)


async def test_moderators_decide_nothing(place: Place) -> None:
    draft = await place.submitted(answer=saying("New."))
    with pytest.raises(NotAllowedError):
        await place.studio.approve(draft.id, place.mo, draft.version)
    with pytest.raises(NotAllowedError):
        await place.studio.send_back(draft.id, place.mo, draft.version, "No, not like this.")
    assert (await place.studio.draft(draft.id)).state == "in_review"


@pytest.mark.parametrize(
    ("kind", "key", "fields"),
    [
        ("line", "danger_line", {"text": "If anyone is in danger, call 999 now."}),
        ("line", "greeting", {"text": "Hello. In danger? Call 999."}),
        ("faq", "missing-person", {"owner": "Somebody else"}),
        ("card", "R06", {"call": ["Control room"]}),
        ("contact", "EMERG", {"notes": "Always."}),
    ],
)
async def test_safety_words_need_a_senior(place: Place, kind: str, key: str, fields: dict[str, Any]) -> None:
    draft = await place.submitted(kind, key, **fields)
    assert draft.needs_senior
    with pytest.raises(NotAllowedError, match="safety words"):
        await place.studio.approve(draft.id, place.dan, draft.version)
    assert await place.releases() == [1]
    assert (await place.studio.approve(draft.id, place.ada, draft.version)).state == "live"


@pytest.mark.parametrize(
    ("kind", "key", "fields", "where"),
    [
        ("faq", SLUG, {"answer": saying("Call 0191 498 0000.")}, ("answer", "typed contact")),
        ("faq", SLUG, {"answer": saying("Call 101.")}, ("answer", "typed contact")),
        ("faq", SLUG, {"answer": saying("Call [NOBODY].")}, ("", "release")),
        ("faq", SLUG, {"answer": saying("See [P101.nopart].")}, ("", "release")),
        ("faq", SLUG, {"answer": saying("See [SAMS].")}, ("answer", "contact list")),
        ("faq", SLUG, {"answer": saying("Officers are searching Byker now.")}, ("answer", "D1")),
        ("faq", SLUG, {"answer": saying("Hi.").removesuffix(OFFER)}, ("answer", "offer")),
        ("faq", SLUG, {"title": "x" * 73}, ("title", "form")),
        ("faq", SLUG, {"title": " "}, ("title", "form")),
        ("faq", SLUG, {"mode": "Z"}, ("mode", "form")),
        ("faq", SLUG, {"colour": "red"}, ("colour", "form")),
        ("faq", SLUG, {"review_by": "2020-01-01"}, ("", "form")),
        ("faq", SLUG, {"expires": "2020-01-01"}, ("expires", "form")),
        ("faq", SLUG, {"examples": "no list"}, ("examples", "form")),
        ("line", "greeting", {"text": "Hello {name}."}, ("text", "form")),
        ("line", "greeting", {"text": "Hello {."}, ("text", "form")),
        ("line", "greeting", {"text": ""}, ("text", "form")),
        ("line", "danger_line", {"text": "Take care."}, ("text", "form")),
        ("reply", "hello", {"text": "Hello {person}"}, ("", "form")),
        ("contact", "METRO", {"say": ""}, ("say", "form")),
        ("hours", "desk", {"value": {"days": {"monday": [{"opens": "late", "closes": "early"}]}}}, ("", "release")),
        ("labels", "labels", {"value": {"labels": "one"}}, ("", "release")),
        ("teams", "teams", {"value": {}}, ("", "release")),
    ],
)  # fmt: skip
async def test_what_may_not_be_read_cannot_be_approved(
    place: Place, kind: str, key: str, fields: dict[str, Any], where: tuple[str, str]
) -> None:
    draft = await place.submitted(kind, key, **fields)
    with pytest.raises(FaultyError) as refused:
        await place.studio.approve(draft.id, place.ada, draft.version, why="I insist.")
    assert where in [(one.field, one.check) for one in refused.value.findings]
    assert all(one.blocks and one.words and one.better for one in refused.value.findings)
    assert await place.releases() == [1]
    assert (await place.studio.draft(draft.id)).state == "in_review"


async def test_hard_words_need_a_reason_which_is_kept(place: Place) -> None:
    draft = await place.submitted(answer=saying("Pursuant to protocol we endeavour to facilitate this."))
    with pytest.raises(FaultyError) as refused:
        await place.studio.approve(draft.id, place.dan, draft.version)
    assert refused.value.findings
    assert not any(one.blocks for one in refused.value.findings)
    view = await place.studio.approve(draft.id, place.dan, draft.version, why="The law says it so.")
    assert (view.state, view.approved_why) == ("live", "The law says it so.")
    (noted,) = await place.world.audit("knowledge.approve")
    assert noted.detail["why"] == "The law says it so."


async def test_a_review_needs_a_note_and_a_difference(place: Place) -> None:
    draft = await place.studio.open_draft("faq", SLUG, place.cora)
    with pytest.raises(RefusedError, match="Say why"):
        await place.studio.submit(draft.id, place.cora, draft.version, " ")
    with pytest.raises(RefusedError, match="Nothing differs"):
        await place.studio.submit(draft.id, place.cora, draft.version, "I only looked.")
    assert (await place.studio.draft(draft.id)).state == "draft"


async def test_it_goes_back_with_a_reason_and_comes_again(place: Place) -> None:
    draft = await place.submitted(answer=saying("First."))
    with pytest.raises(RefusedError):
        await place.studio.send_back(draft.id, place.dan, draft.version, "")
    back = await place.studio.send_back(draft.id, place.dan, draft.version, "Say it in one line.")
    assert (back.state, back.sent_back_why, back.sent_back_by and back.sent_back_by.name) == (
        "draft", "Say it in one line.", "Dan",
    )  # fmt: skip
    with pytest.raises(StaleError):
        await place.studio.approve(draft.id, place.sue, back.version)
    again = await place.studio.submit(draft.id, place.cora, back.version, "One line.")
    assert again.sent_back_why == ""
    assert (await place.studio.approve(draft.id, place.dan, again.version)).state == "live"


async def test_only_the_version_that_was_read_is_approved(place: Place) -> None:
    draft = await place.submitted(answer=saying("What Dan reads."))
    saved = await place.studio.save(
        draft.id, place.cora, draft.version, {**draft.body, "answer": saying("What Dan did not read.")}
    )
    await place.studio.submit(draft.id, place.cora, saved.version, "Quick.")  # type: ignore[union-attr]
    with pytest.raises(StaleError, match="Cora"):
        await place.studio.approve(draft.id, place.dan, draft.version)
    assert await place.releases() == [1]


async def test_a_text_that_changed_under_a_draft_is_looked_at_again(place: Place) -> None:
    draft = await place.submitted(answer=saying("From the draft."))
    await publish_files(place, saying("From the files."))
    seen = await place.studio.draft(draft.id)
    assert seen.changed_under
    with pytest.raises(ChangedUnderError):
        await place.studio.approve(draft.id, place.dan, seen.version)
    assert (await place.answer() or "").startswith("From the files.")

    again = await place.studio.look_again(draft.id, place.cora, seen.version)
    assert (again.state, again.changed_under) == ("draft", False)
    assert again.body["answer"] == saying("From the draft.")
    again = await place.studio.submit(draft.id, place.cora, again.version, "I have seen it.")
    assert (await place.studio.approve(draft.id, place.dan, again.version)).state == "live"
    assert (await place.answer() or "").startswith("From the draft.")


async def test_a_draft_of_a_changed_text_is_not_submitted(place: Place) -> None:
    draft = await place.written(answer=saying("From the draft."))
    await publish_files(place, saying("From the files."))
    with pytest.raises(ChangedUnderError):
        await place.studio.submit(draft.id, place.cora, draft.version, "I did not look.")
    # Another text changed: that is no reason.
    other = await place.written("faq", "lost-property", by=place.dan, owner="Somebody")
    assert not other.changed_under


async def publish_files(place: Place, answer: str) -> None:
    files = read_content(ROOT / "force" / "northumbria", ROOT / "data")
    items = [
        (kind, key, {**body, "answer": answer} if (kind, key) == ("faq", SLUG) else body)
        for kind, key, body in files.items()
    ]
    await publish(place.world.store, content_from_items(items), Actor("Files"))


async def test_two_who_publish_at_once_both_end_well(place: Place) -> None:
    """The second builds upon the first: neither edit is lost."""
    one = await place.submitted(answer=saying("Cora's."))
    two = await place.submitted("faq", "lost-property", by=place.dan, owner="Dan's council")
    three = await place.submitted("line", "still_waiting", text="Your message is still in the queue.")
    views = await asyncio.gather(
        place.studio.approve(one.id, place.dan, one.version),
        place.studio.approve(two.id, place.cora, two.version),
        place.studio.approve(three.id, place.dan, three.version),
    )
    assert [view.state for view in views] == ["live"] * 3
    assert await place.releases() == [1, 2, 3, 4]
    assert (await place.answer() or "").startswith("Cora's.")
    assert (await place.studio.live_body("faq", "lost-property") or {})["owner"] == "Dan's council"
    assert [release.previous_id for release in await place.studio.releases()] == [3, 2, 1, None]


async def test_two_who_approve_the_same_draft_make_one_release(place: Place) -> None:
    draft = await place.submitted(answer=saying("Once."))
    results = await asyncio.gather(
        place.studio.approve(draft.id, place.dan, draft.version),
        place.studio.approve(draft.id, place.sue, draft.version),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in results) == ["DraftView", "StaleError"]
    assert await place.releases() == [1, 2]


@pytest.mark.parametrize("step", ["make_release", "_teams", "add_audit", "trace", "view_of"])
async def test_a_crash_between_the_steps_leaves_the_old_release(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """One transaction: draft, release, changes and audit rows are all there or none is."""
    draft = await place.submitted(answer=saying("New."))
    before = [row.id for row in await place.world.audit()]

    async def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the process died")

    room = releases if step in ("_teams", "add_audit") else review
    with monkeypatch.context() as broken:
        broken.setattr(room, step, crash)
        with pytest.raises(RuntimeError):
            await place.studio.approve(draft.id, place.dan, draft.version)
    assert await place.releases() == [1]
    assert await place.world.rows(ReleaseChange) == []
    assert [row.id for row in await place.world.audit()] == before
    assert (await place.studio.draft(draft.id)).state == "in_review"
    # And it can be done again.
    assert (await place.studio.approve(draft.id, place.dan, draft.version)).state == "live"
