"""Find anything: what is found, what nobody may find, and what is on record of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console import search
from bot.handover.labels import listed
from bot.settings import ROOT
from bot.store.record import now
from bot.store.tables import Conversation, Label, Message, Person
from tests.console.serving import Browser, Desk, serving
from tests.support.databases import PostgresTemplates
from tests.support.world import P2_HIDDEN, P3, read_content

pytestmark = pytest.mark.integration


def find(browser: Browser, **wanted: str) -> httpx.Response:
    browser.get("/desk/find")
    return browser.post("/desk/find", **wanted)


def references(answer: httpx.Response) -> list[str]:
    return re.findall(r"FC-[A-Z0-9]+", re.sub(r"<input[^>]*>", "", answer.text))


def old_chats(desk: Desk, count: int, words: str = "a green umbrella") -> list[int]:
    """Closed chats of long ago, one message each, the oldest first."""

    async def write() -> list[int]:
        ids = []
        async with desk.gateway.core.store.write() as connection:
            for number in range(count):
                at = now() - timedelta(days=100) + timedelta(minutes=number)
                person = await connection.execute(
                    insert(Person)
                    .values(channel="test", platform_id=f"old-{number}", blocked=False, created_at=at)
                    .returning(Person.id)
                )
                person_id = person.scalar_one()
                chat = await connection.execute(
                    insert(Conversation)
                    .values(
                        reference=f"FC-OLD{number:05}", person_id=person_id, channel="test", state="closed",
                        opened_at=at, last_inbound_at=at,
                    )
                    .returning(Conversation.id)
                )  # fmt: skip
                ids.append(chat.scalar_one())
                await connection.execute(
                    insert(Message).values(
                        conversation_id=ids[-1], person_id=person_id, channel="test",
                        platform_id=f"old-{number}", kind="text", text=f"{words} {number}", platform_time=at,
                        received_at=at, handled=True,
                    )
                )  # fmt: skip
        return ids

    return desk.run(write())


# ---- what is found -------------------------------------------------------------------------------


def test_words_are_found_in_messages_replies_and_notes_and_marked(any_desk: Desk) -> None:
    row = any_desk.say("Two <b>men</b> were walking round the allotments & shouting", "ann")
    any_desk.say("a question about allotments", "bob")
    mo = any_desk.browser("mo")
    mo.post(f"/desk/c/{row.id}/escalate", part=True, reason="to see it")
    mo.do(any_desk.chat("ann"), "claim", epoch=any_desk.chat("ann").epoch)
    assert mo.do(row, "reply", text="Which allotment gate is it?").status_code < 300
    assert mo.do(row, "note", note="Allotments were damaged last week too.").status_code == 204

    page = find(mo, words="Allotments walked")
    assert page.url.path == "/desk/find"
    assert references(page) == [any_desk.chat("ann").reference]
    assert '<mark class="desk-word">walking</mark>' in page.text
    assert "Two &lt;b&gt;men&lt;/b&gt;" in page.text
    both = find(mo, words="allotment")
    assert sorted(references(both)) == sorted(any_desk.chat(person).reference for person in ("ann", "bob"))
    for who in ("The person", "Staff", "Private note"):
        assert who in both.text
    assert "No chat was found" in find(mo, words="allotment zeppelin").text


def test_every_way_to_find_and_all_of_them_together(any_desk: Desk) -> None:
    any_desk.say("my umbrella", "zoe", name="Zoë O'Neill")
    other = any_desk.say("my umbrella too", "bob")
    row = any_desk.chat("zoe")
    any_desk.change(
        update(Conversation)
        .where(Conversation.id == row.id)
        .values(
            state="closed", outcome="answered", team="digital_desk", grade="P4", incident="NP-20261122-0042",
            opened_at=now() - timedelta(days=40), last_inbound_at=now() - timedelta(days=40),
        )
    )  # fmt: skip
    any_desk.change(
        update(Message)
        .where(Message.conversation_id == row.id)
        .values(received_at=now() - timedelta(days=40))
    )
    # The index keeps the time at which a text was written to it: as it is when time passes.
    any_desk.change(search.FOUND.update().where(search.FOUND.c.conversation_id == row.id).values(
        at=now() - timedelta(days=40)
    ))  # fmt: skip
    mo = any_desk.browser("mo")
    assert mo.do(row, "label", label="Media interest").status_code == 204
    day = (now() - timedelta(days=40)).date()
    ways = {
        "words": "umbrella", "name": "zoe nei", "label": "media INTEREST", "outcome": "answered",
        "team": "digital_desk", "channel": "test", "grade": "P4", "state": "closed",
        "since": (day - timedelta(days=1)).isoformat(), "until": (day + timedelta(days=1)).isoformat(),
    }  # fmt: skip
    for number in (row.reference.lower(), " np-20261122-0042"):
        assert references(find(mo, number=number)) == [row.reference]
        assert references(find(mo, number=number, **ways)) == [row.reference]
    for way, value in ways.items():
        assert row.reference in references(find(mo, **{way: value})), way
    wrong = {
        "words": "parasol", "name": "bob", "label": "public event", "outcome": "spam", "team": "control_room",
        "channel": "webchat", "grade": "P1", "state": "waiting",
        "since": day.replace(year=day.year + 1).isoformat(), "until": day.replace(year=day.year - 1).isoformat(),
        "number": other.reference,
    }  # fmt: skip
    for way, value in wrong.items():
        assert references(find(mo, **{**ways, way: value})) == [], way
    # Both days are counted in.
    edges = {"since": day.isoformat(), "until": day.isoformat()}
    assert references(find(mo, words="umbrella", **edges)) == [row.reference]
    assert references(find(mo, state="closed", **edges)) == [row.reference]


@pytest.mark.parametrize("order", ["newest", "best"])
def test_pages_hold_every_chat_once_whatever_arrives_meanwhile(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(search, "PAGE", 3)
    old_chats(any_desk, 10)
    mo = any_desk.browser("mo")
    page = find(mo, words="umbrella", order=order)
    seen = references(page)
    for _ in range(10):
        following = re.search(r'href="(/desk/find\?of=[^"]+)"', page.text)
        if following is None:
            break
        any_desk.say("another umbrella", f"new-{len(seen)}")
        page = mo.get(following[1].replace("&amp;", "&"))
        seen += references(page)
    assert len(seen) == 10
    assert set(seen) == {f"FC-OLD{number:05}" for number in range(10)}
    if order == "newest":
        assert seen == sorted(seen, reverse=True)


def test_pages_of_chats_found_without_words(any_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PAGE", 4)
    old_chats(any_desk, 9)
    mo = any_desk.browser("mo")
    page = find(mo, state="closed")
    seen = references(page)
    while following := re.search(r'href="(/desk/find\?of=[^"]+)"', page.text):
        page = mo.get(following[1].replace("&amp;", "&"))
        seen += references(page)
    assert seen == [f"FC-OLD{number:05}" for number in reversed(range(9))]


def test_words_that_are_everywhere_are_looked_for_further_and_further_back(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WINDOWS", {"newest": 4, "best": 4})
    old_chats(any_desk, 10)
    mo = any_desk.browser("mo")
    page, seen = find(mo, words="umbrella"), []
    while following := re.search(r'href="(/desk/find\?of=[^"]+)"', page.text):
        assert "Look further back" in page.text
        seen += references(page)
        page = mo.get(following[1].replace("&amp;", "&"))
    assert seen + references(page) == [f"FC-OLD{number:05}" for number in reversed(range(10))]


def test_the_best_match_comes_first_where_that_is_asked_for(any_desk: Desk) -> None:
    old_chats(any_desk, 1, "umbrella umbrella umbrella")
    any_desk.say("a long story of a day in the rain when at last I lost my umbrella on the bus", "bob")
    mo = any_desk.browser("mo")
    newest = references(find(mo, words="umbrella"))
    assert newest == [any_desk.chat("bob").reference, "FC-OLD00000"]
    assert references(find(mo, words="umbrella", order="best")) == newest[::-1]


# ---- what nobody may find ------------------------------------------------------------------------


def test_a_restricted_or_sealed_chat_is_found_by_its_team_alone(any_desk: Desk) -> None:
    hidden = any_desk.say("my umbrella and my complaint", "ann")
    any_desk.say("my umbrella", "bob")
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    for sealed in (False, True):
        any_desk.change(
            update(Conversation)
            .where(Conversation.id == hidden.id)
            .values(team="professional_standards", sealed=sealed, grade="P3", incident="NP-1")
        )
        any_desk.change(Label.__table__.delete())  # type: ignore[attr-defined]
        any_desk.change(insert(Label).values(conversation_id=hidden.id, name="media", at=now(), by=1))
        for wanted in (
            {"words": "umbrella"}, {"words": "umbrella", "order": "best"}, {"words": "complaint"},
            {"number": hidden.reference}, {"number": "NP-1"}, {"label": "media"}, {"grade": "P3"},
            {"team": "professional_standards"}, {"state": hidden.state}, {"channel": "test"},
        ):  # fmt: skip
            answer = find(mo, **wanted)
            assert hidden.reference not in answer.text.replace(wanted.get("number", "-"), ""), (
                sealed,
                wanted,
            )
            assert "my complaint" not in answer.text, (sealed, wanted)
            assert hidden.reference in find(sue, **wanted).text, (sealed, wanted)
        assert f">{any_desk.chat('bob').reference}<" in find(mo, words="umbrella").text


def test_the_words_of_a_sensitive_chat_are_found_only_once_a_reason_was_given(any_desk: Desk) -> None:
    row = any_desk.say(P2_HIDDEN, "ann")
    assert row.category == "R07"
    mo, jo = any_desk.browser("mo"), any_desk.browser("jo")
    assert references(find(mo, words="stalking")) == []
    listed = find(mo, number=row.reference)
    assert row.reference in references(listed)
    assert "You need a reason to read this chat." in listed.text
    assert "stalking" not in listed.text
    assert references(find(jo, words="stalking")) == [row.reference]
    assert mo.do(row, "label", label="Media interest").status_code >= 400
    mo.post(f"/desk/c/{row.id}/reason", reason="I answer the phone for them")
    assert references(find(mo, words="stalking")) == [row.reference]


def test_results_are_shown_to_nobody_but_who_asked(any_desk: Desk) -> None:
    any_desk.say("my umbrella")
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    address = str(find(mo, words="umbrella").url)
    assert "umbrella" not in address
    assert len(references(mo.get(address))) == 1
    for of in (
        address,
        "/desk/find?of=1",
        "/desk/find?of=" + "9" * 30,
        "/desk/find?of=-1",
        "/desk/find?of=x",
    ):
        answer = sue.get(of)
        assert answer.status_code == 200
        assert references(answer) == []
        assert "umbrella" not in answer.text


# ---- on record -----------------------------------------------------------------------------------


def test_who_looked_for_what_is_on_record_and_nowhere_else(
    any_desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    row = any_desk.say("my umbrella")
    mo = any_desk.browser("mo")
    assert mo.get("/desk/find").status_code == 200
    page = find(mo, words="umbrella", state="bot", name="")
    mo.get(str(page.url))
    (kept,) = any_desk.audit("find")
    assert kept.actor == "Mo Tester"
    assert kept.detail == {"words": "umbrella", "state": "bot", "order": "newest"}
    assert not any_desk.audit("open")
    mo.get(f"/desk/c/{row.id}")
    assert len(any_desk.audit("open")) == 1
    said = capfd.readouterr()
    assert "umbrella" not in said.out + said.err


# ---- whatever is typed ---------------------------------------------------------------------------


NASTY = (
    '"', "'; DROP TABLE message; --", "* OR a", "NEAR(a b, 2)", "a & !b | (c", ":*", "\\", "🔪 knife", "\x00",
    "x" * 6000, "a b " * 1500, "हिन्दी ไทย 中文", "<script>alert(1)</script>", "the", "{{ 7 * 7 }}", "\x02knife\x03",
    "text:knife", "NOT", "²½", "ﷺ",
)  # fmt: skip


def test_nothing_that_is_typed_breaks_it(any_desk: Desk) -> None:
    any_desk.say("the knife is in a drawer i think")
    mo = any_desk.browser("mo")
    for number, words in enumerate(NASTY):
        order = list(search.ORDERS)[number % 2]
        for way in ("words", "name", "number", "label"):
            answer = find(mo, **{way: words, "order": order})
            assert answer.status_code in (200, 422), (way, words, answer.text)
            assert "<script>alert" not in answer.text
            assert ">49<" not in answer.text


def test_what_cannot_be_looked_for_is_said_and_stays_in_the_form(desk: Desk) -> None:
    mo = desk.browser("mo")
    nothing: list[dict[str, str]] = [{}, {"order": "best"}]
    wrong = {"words": "🔪", "name": "---", "label": "x" * 60, "since": "yesterday", "until": "2026-02-30"}
    for wanted in [*nothing, *({way: value} for way, value in wrong.items()), {"since": "0001-01-01"}]:
        answer = find(mo, **wanted)
        assert answer.status_code == 422, wanted
        assert "There is a problem" in answer.text
        for value in wanted.values():
            assert value in answer.text
    assert not desk.audit("find")


def test_a_place_that_is_none_is_harmless(any_desk: Desk) -> None:
    any_desk.say("my umbrella")
    mo = any_desk.browser("mo")
    far = "9" * 17
    for wanted in ({"words": "umbrella"}, {"words": "umbrella", "order": "best"}, {"state": "bot"}):
        address = find(mo, **wanted).url
        for after in (
            "",
            "x",
            "1_2_3",
            "1_2_3_4",
            "0_0_0_5",
            f"{far}_1_{far}_1",
            "-1_0_0_0",
            "1" * 300,
            "²_1_1_1",
        ):
            assert mo.get(f"{address}&after={after}").status_code == 200, after


def test_a_search_that_takes_too_long_is_given_up(
    postgres_templates: PostgresTemplates, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = search.search.match

    def slow(connection: AsyncConnection, words: Sequence[str], **options: bool) -> Any:
        found = match(connection, words, **options)
        return search.search.Match(found.source, func.pg_sleep(20).is_(None), found.score)

    monkeypatch.setattr(search.search, "match", slow)
    monkeypatch.setattr(search.search, "PATIENCE_MILLISECONDS", 50)
    url = postgres_templates.fresh()
    with serving(url) as desk:
        desk.hire("mo")
        desk.say("my umbrella")
        mo = desk.browser("mo")
        answer = find(mo, words="umbrella")
        assert answer.status_code == 422
        assert "This search takes too long. Add a word or dates." in answer.text
        assert 'value="umbrella"' in answer.text
        assert mo.get("/desk/queue").status_code == 200
    postgres_templates.drop(url)


def test_a_label_is_put_on_and_taken_off_and_both_are_on_record(any_desk: Desk) -> None:
    row = any_desk.say(P3)
    mo = any_desk.browser("mo")
    for written in ("media INTEREST", "  Elm  Street ", "elm street"):
        assert mo.do(row, "label", other=written).status_code == 204
    assert [(label.name, label.by) for label in _labels(any_desk)] == [
        ("Media interest", 1),
        ("elm street", 1),
    ]
    page = mo.get(f"/desk/c/{row.id}").text
    assert "Take off the label elm street" in page
    assert "elm street" in find(mo, label="ELM street").text
    assert mo.do(row, "unlabel", label="elm street").status_code == 204
    assert mo.do(row, "unlabel", label="never there").status_code == 204
    assert [label.name for label in _labels(any_desk)] == ["Media interest"]
    assert [one.detail["label"] for one in any_desk.audit("label.on")] == ["Media interest", "elm street"]
    assert [one.detail["label"] for one in any_desk.audit("label.off")] == ["elm street"]


def _labels(desk: Desk) -> list[Any]:
    async def read() -> list[Any]:
        async with desk.gateway.core.store.read() as connection:
            query = Label.__table__.select().order_by(Label.name)  # type: ignore[attr-defined]
            return list((await connection.execute(query)).all())

    return desk.run(read())


def test_a_label_is_a_short_word(desk: Desk) -> None:
    row = desk.say(P3)
    mo = desk.browser("mo")
    for written in ("", " ", "🔪", "x" * 33, "a\u202eb"):
        assert mo.do(row, "label", other=written).status_code == 422, written
    assert not _labels(desk)


def test_a_chat_has_only_so_many_labels_and_only_of_those_who_see_it(desk: Desk) -> None:
    row = desk.say(P3)
    mo = desk.browser("mo")
    answers = [mo.do(row, "label", other=f"label {number}").status_code for number in range(13)]
    assert answers == [204] * 12 + [422]
    desk.change(update(Conversation).values(team="professional_standards", sealed=True))
    assert mo.do(row, "label", label="Media interest").status_code in (403, 404)
    assert mo.do(row, "unlabel", label="label 1").status_code in (403, 404)
    assert len(_labels(desk)) == 12


def test_a_list_of_labels_that_is_none_is_not_published() -> None:
    content = read_content(ROOT / "force" / "northumbria", ROOT / "data")
    assert listed(content.labels)
    assert content.faults() == []
    for wrong in ("Media", ["x" * 65], [1], [""]):
        assert any("labels.yml" in fault for fault in replace(content, labels={"labels": wrong}).faults())
    for empty in ({}, {"labels": None}, {"labels": []}):
        assert replace(content, labels=empty).faults() == []
