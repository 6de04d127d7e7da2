"""Drafts: one for each text, nothing that was written is lost, nobody overwrites anybody."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import NotAllowedError, RefusedError, StaleError
from bot.knowledge.parts import KINDS, Name
from bot.knowledge.releases import rows_of
from bot.knowledge.studio import Conflict, Saved
from bot.knowledge.texts import differences, names_in, text_in, with_text
from bot.settings import ROOT
from bot.store.tables import TextDraft
from tests.knowledge.conftest import SLUG, Place, saying
from tests.support.world import read_content

pytestmark = pytest.mark.integration


async def test_two_who_open_a_text_at_once_have_the_same_draft(place: Place) -> None:
    studio = place.studio
    first, second = await asyncio.gather(
        studio.open_draft("faq", SLUG, place.cora), studio.open_draft("faq", SLUG, place.dan)
    )
    assert first.id == second.id
    assert len(await place.world.rows(TextDraft)) == 1
    assert first.body == first.live_body == first.base_body
    assert first.body["answer"]
    assert len(first.body["examples"]) >= 20


async def test_a_save_upon_an_older_version_is_refused_and_kept(place: Place) -> None:
    studio = place.studio
    draft = await studio.open_draft("faq", SLUG, place.cora)
    hers, his = {**draft.body, "answer": "Hers."}, {**draft.body, "answer": "His."}
    assert await studio.save(draft.id, place.cora, draft.version, hers) == Saved(2, "draft")

    refused = await studio.save(draft.id, place.dan, draft.version, his)

    assert isinstance(refused, Conflict)
    assert refused.theirs.body["answer"] == "Hers."
    assert refused.yours.body["answer"] == "His."
    now = await studio.draft(draft.id)
    assert (now.body["answer"], now.version) == ("Hers.", 2)
    (kept,) = await studio.copies(draft.id)
    assert (kept.kept, kept.by.name, kept.body["answer"]) == ("refused", "Dan", "His.")
    # His words may be in what she goes on to write.
    assert [one.name for one in now.authors] == ["Cora", "Dan"]


async def test_many_saves_upon_one_version_and_one_counts(place: Place) -> None:
    studio = place.studio
    draft = await studio.open_draft("faq", SLUG, place.cora)
    results = await asyncio.gather(
        *(
            studio.save(draft.id, who, draft.version, {**draft.body, "answer": f"Number {n}."})
            for n, who in enumerate((place.cora, place.dan, place.cora, place.dan))
        )
    )
    assert sorted(type(one).__name__ for one in results) == ["Conflict", "Conflict", "Conflict", "Saved"]
    said = {(await studio.draft(draft.id)).body["answer"]}
    said |= {one.body["answer"] for one in await studio.copies(draft.id) if one.kept == "refused"}
    assert said == {f"Number {n}." for n in range(4)}


async def test_a_save_that_comes_twice_is_one(place: Place) -> None:
    draft = await place.studio.open_draft("faq", SLUG, place.cora)
    body = {**draft.body, "answer": "Once."}
    await place.studio.save(draft.id, place.cora, draft.version, body)
    assert await place.studio.save(draft.id, place.cora, draft.version, body) == Saved(2, "draft")
    assert await place.studio.copies(draft.id) == []


async def test_what_one_wrote_is_kept_when_another_goes_on(place: Place) -> None:
    draft = await place.written(answer="Cora's words.")
    await place.studio.save(draft.id, place.dan, draft.version, {**draft.body, "answer": ""})
    (kept,) = await place.studio.copies(draft.id)
    assert (kept.kept, kept.by.name, kept.body["answer"]) == ("before", "Cora", "Cora's words.")


async def test_nothing_that_no_database_takes_is_kept(place: Place) -> None:
    draft = await place.written(answer="A\x00 b \ud800 👮 ‮ {x} : '\"")
    assert draft.body["answer"] == "A b ? 👮 ‮ {x} : '\""


async def test_who_edits_is_seen_for_thirty_seconds(place: Place) -> None:
    studio = place.studio
    draft = await studio.open_draft("faq", SLUG, place.cora)
    assert await studio.seen(draft.id, place.cora) == []
    (other,) = await studio.seen(draft.id, place.dan)
    assert other.who.name == "Cora"
    place.world.move(seconds=20)
    await studio.seen(draft.id, place.dan)
    place.world.move(seconds=11)
    assert [one.who.name for one in await studio.editors(draft.id)] == ["Dan"]


async def test_a_change_of_what_waits_for_a_review_makes_it_a_draft_again(place: Place) -> None:
    draft = await place.submitted(answer=saying("One."))
    saved = await place.studio.save(
        draft.id, place.cora, draft.version, {**draft.body, "answer": saying("Two.")}
    )
    assert saved == Saved(draft.version + 1, "draft")
    with pytest.raises(StaleError):
        await place.studio.approve(draft.id, place.dan, saved.version)
    assert "Two." not in (await place.answer() or "")


async def test_only_communications_write(place: Place) -> None:
    draft = await place.studio.open_draft("faq", SLUG, place.cora)
    for who in (place.mo, place.sue, place.ada):
        with pytest.raises(NotAllowedError):
            await place.studio.open_draft("faq", "lost-property", who)
        with pytest.raises(NotAllowedError):
            await place.studio.save(draft.id, who, draft.version, {**draft.body, "answer": "x"})
        with pytest.raises(NotAllowedError):
            await place.studio.discard(draft.id, who, draft.version)
    assert (await place.studio.draft(draft.id)).version == draft.version


async def test_a_discarded_draft_stays_on_record_and_another_can_begin(place: Place) -> None:
    draft = await place.written(answer="Never mind.")
    await place.studio.discard(draft.id, place.cora, draft.version)
    (ended,) = await place.studio.ended("faq", SLUG)
    assert (ended.state, ended.body["answer"]) == ("discarded", "Never mind.")
    with pytest.raises(StaleError, match="discarded"):
        await place.studio.save(draft.id, place.cora, ended.version, {**draft.body, "answer": "x"})
    again = await place.studio.open_draft("faq", SLUG, place.dan)
    assert again.id != draft.id
    assert again.body == again.live_body
    assert [row.action for row in await place.world.audit() if row.action.startswith("knowledge.")] == [
        "knowledge.begin", "knowledge.discard", "knowledge.begin",
    ]  # fmt: skip


async def test_a_new_answer_is_written_and_goes_live(place: Place) -> None:
    studio = place.studio
    new = await studio.new_draft("faq", "lost-dog-tag", place.cora)
    assert new.is_new
    assert new.live_body is None
    assert [row.key for row in await studio.texts("faq") if not row.is_live] == ["lost-dog-tag"]
    body = {
        **new.body, "title": "My dog lost its tag", "group": "Lost and found", "owner": "Council",
        "contacts": ["P101"], "answer": "You can buy a new one. You can call [P101].",
        "source": ["F1"], "examples": ["my dog lost its tag", "dog tag gone"],
    }  # fmt: skip
    saved = await studio.save(new.id, place.cora, new.version, body)
    assert isinstance(saved, Saved)
    view = await studio.submit(new.id, place.cora, saved.version, "Often asked.")
    assert view.examples_changed
    # Few phrases warn and do not block.
    warned = await studio.findings(new.id)
    assert [(one.blocks, one.field) for one in warned] == [(False, "examples")]
    await studio.approve(new.id, place.dan, view.version, why="More phrases will come.")
    assert await place.answer("lost-dog-tag") == "You can buy a new one. You can call 101."
    live = await studio.live_body("faq", "lost-dog-tag")
    assert live is not None
    assert live["examples"] == ["my dog lost its tag", "dog tag gone"]


@pytest.mark.parametrize(
    ("kind", "key"),
    [("faq", SLUG), ("faq", "Not A Slug"), ("faq", ""), ("line", "brand_new"), ("contact", "p101"),
     ("reply", "hello"), ("card", "R99"), ("faq", "x" * 65)],
)  # fmt: skip
async def test_what_cannot_be_new_is_refused(place: Place, kind: str, key: str) -> None:
    with pytest.raises(RefusedError):
        await place.studio.new_draft(kind, key, place.cora)
    assert await place.world.rows(TextDraft) == []


async def test_an_answer_is_taken_away_for_good_by_two(place: Place) -> None:
    studio = place.studio
    draft = await studio.draft_deletion("faq", SLUG, place.cora)
    with pytest.raises(RefusedError):
        await studio.save(draft.id, place.cora, draft.version, {**draft.body, "answer": "x"})
    view = await studio.submit(draft.id, place.cora, draft.version, "No longer ours.")
    with pytest.raises(NotAllowedError):
        await studio.approve(draft.id, place.cora, view.version)
    await studio.approve(draft.id, place.dan, view.version)
    assert await place.answer() is None
    assert await studio.live_body("faq", SLUG) is None
    newest, before = (await studio.history("faq", SLUG))[:2]
    assert (newest.body, newest.wrote, newest.approved, newest.why) == (
        None, ("Cora",), "Dan", "No longer ours.",
    )  # fmt: skip
    assert before.body is not None


@pytest.mark.parametrize(
    ("kind", "key"), [("line", "greeting"), ("faq", "missing-person"), ("contact", "EMERG"), ("card", "R01")]
)
async def test_what_the_system_needs_is_never_taken_away(place: Place, kind: str, key: str) -> None:
    with pytest.raises(RefusedError):
        await place.studio.draft_deletion(kind, key, place.cora)


async def test_a_contact_that_is_named_is_not_taken_away(place: Place) -> None:
    draft = await place.studio.draft_deletion("contact", "METRO", place.cora)
    view = await place.studio.submit(draft.id, place.cora, draft.version, "It is gone.")
    with pytest.raises(RefusedError) as refused:
        await place.studio.approve(draft.id, place.dan, view.version)
    assert "No contact METRO" in refused.value.findings[0].words  # type: ignore[attr-defined]
    assert await place.releases() == [1]


async def test_every_kind_of_text_can_be_drafted_and_goes_live(place: Place) -> None:
    """What differs afterwards is that text and nothing else."""
    changes = {
        ("line", "not_understood"): {"text": "I did not get that. You can say it another way, or ask for a person."},
        ("contact", "METRO"): {"notes": "Nobody at weekends."},
        ("card", "R06"): {"call": ["Control room"]},
        ("reply", "hello"): {"title": "Hello there"},
        ("hours", "exceptions"): {"value": [{"date": "2026-12-25", "hours": [], "reason": "Christmas"}]},
        ("labels", "labels"): {"value": {"labels": ["School run"]}},
    }  # fmt: skip
    live = {}
    for (kind, key), fields in changes.items():
        draft = await place.published(kind, key, **fields)
        assert draft.state == "live"
        live[kind, key] = await place.studio.live_body(kind, key)
        assert {field: live[kind, key][field] for field in fields} == fields  # type: ignore[index]
    latest = (await place.studio.releases(len(changes)))[::-1]
    assert [(one.kind, one.key) for release in latest for one in release.changed] == list(changes)
    assert len(await place.releases()) == 1 + len(changes)


def test_a_text_put_back_where_it_stood_changes_nothing() -> None:
    items = rows_of(read_content(ROOT / "force" / "northumbria", ROOT / "data"))
    names = list(names_in(items))
    assert {name.kind for name in names} == set(KINDS)
    for name in names:
        body = text_in(items, name)
        assert body is not None, name
        assert with_text(items, name, body) == items, name
        assert differences(items, with_text(items, name, None)) == [name]
    assert text_in(items, Name("faq", "no-such")) is None
    assert text_in(items, Name("force", "other")) is None


async def test_what_is_not_there_is_refused_in_words(place: Place) -> None:
    studio, cora, dan = place.studio, place.cora, place.dan
    for number in (0, -1, 99, 2**63 - 1, 2**70):
        for refused in (
            studio.draft(number), studio.findings(number), studio.copies(number), studio.editors(number),
            studio.seen(number, cora), studio.save(number, cora, 1, {}), studio.look_again(number, cora, 1),
            studio.discard(number, cora, 1), studio.submit(number, cora, 1, "Because."),
            studio.take_back(number, cora, 1), studio.send_back(number, dan, 1, "Because."),
            studio.approve(number, dan, 1), studio.would_undo(number),
            studio.roll_back(number, dan, "Because.", live=1),
        ):  # fmt: skip
            with pytest.raises(RefusedError):
                await refused
    for kind, key in (("faq", "no-such-token"), ("nothing", "x"), ("faq", "a\x00b"), ("faq", "x" * 200)):
        with pytest.raises(RefusedError):
            await studio.open_draft(kind, key, cora)
        with pytest.raises(RefusedError):
            await studio.draft_deletion(kind, key, cora)
    draft = await studio.open_draft("faq", SLUG, cora)
    for version in (-1, 0, 2, 2**31, 2**70):
        with pytest.raises(StaleError):
            await studio.discard(draft.id, cora, version)
        assert isinstance(await studio.save(draft.id, cora, version, {"answer": "x"}), Conflict)
