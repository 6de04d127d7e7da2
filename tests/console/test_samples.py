"""The daily sample and safety reviews: drawn once, read with names covered up, decided by a second person."""

from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import yaml
from sqlalchemy import insert, select, update

from bot.accounts import create_staff
from bot.assurance.masking import HIDDEN, mask
from bot.assurance.reviews import as_yaml
from bot.conversations.samples import Samples, draw, lot, setting
from bot.errors import ContentError
from bot.safety.proposals import Proposal
from bot.settings import ROOT
from bot.store.record import now
from bot.store.tables import Audit, Conversation, Due, Message, Note, Person, SafetyReview, Sample, Staff
from tests.console.serving import PASSWORD, Browser, Desk
from tests.console.test_overview import browser_of
from tests.support.world import P3, PLAIN, World

pytestmark = pytest.mark.integration

LONDON = ZoneInfo("Europe/London")
YESTERDAY = date(2026, 11, 23)
"""The day before the noon of the tests' world."""


# ---- the lot --------------------------------------------------------------------------------------


async def chats(world: World, count: int, at: datetime) -> list[int]:
    """So many conversations of the assistant's, the newest message of each at that time."""
    made = []
    async with world.store.write() as connection:
        for number in range(count):
            person = await connection.execute(
                insert(Person)
                .values(
                    channel="test", platform_id=f"p{at.isoformat()}{number}", blocked=False, created_at=at
                )
                .returning(Person.id)
            )
            person_id = person.scalar_one()
            chat = await connection.execute(
                insert(Conversation)
                .values(
                    reference=f"FC-{at:%d%H}{number:04}", person_id=person_id, channel="test", state="bot",
                    epoch=0, opened_at=at, last_inbound_at=at,
                )
                .returning(Conversation.id)
            )  # fmt: skip
            made.append(chat.scalar_one())
            await connection.execute(
                insert(Message).values(
                    conversation_id=made[-1], person_id=person_id, channel="test", platform_id=f"m{made[-1]}",
                    kind="text", text="hello", platform_time=at, received_at=at, handled=True,
                )
            )  # fmt: skip
    return made


async def drawn(world: World) -> list[Any]:
    return await world.rows(Sample)


def samples_of(world: World) -> Samples:
    return world.core.clocks._samples


async def test_a_day_is_drawn_once_by_its_clock(world: World) -> None:
    pool = await chats(world, 30, datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    await samples_of(world).sweep()
    await samples_of(world).sweep()
    (due,) = await world.rows(Due, kind="sample")
    assert due.due_at == datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    await world.core.clocks.look()
    first = [row.conversation_id for row in await drawn(world)]
    assert len(set(first)) == 20
    assert set(first) < set(pool)
    assert {row.day for row in await drawn(world)} == {YESTERDAY.isoformat()}
    (audit,) = await world.audit("sample.draw")
    assert audit.detail == {"day": "2026-11-23", "drawn": 20, "of": 30}
    # Neither another gateway nor more chats nor the same clock again can change it.
    await chats(world, 5, datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    other = Samples(world.store, world.core.content)
    await other.sweep()
    await world.core.clocks.look()
    async with world.store.write() as connection:
        assert await draw(connection, due.id, YESTERDAY, 500, LONDON) == 0
    assert [row.conversation_id for row in await drawn(world)] == first
    assert len(await world.audit("sample.draw")) == 1


async def test_the_lot_comes_out_the_same_however_often_it_is_drawn(world: World) -> None:
    pool = await chats(world, 30, datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    await samples_of(world).sweep()
    await world.core.clocks.look()
    async with world.store.read() as connection:
        named = dict(
            (row.id, row.reference)
            for row in await connection.execute(
                select(Conversation.id, Conversation.reference).where(Conversation.id.in_(pool))
            )
        )
    expected = sorted(pool, key=lambda one: lot(YESTERDAY.isoformat(), named[one]))[:20]
    assert {row.conversation_id for row in await drawn(world)} == set(expected)
    other_day = sorted(pool, key=lambda one: lot("2026-11-22", named[one]))[:20]
    assert set(other_day) != set(expected)


async def test_only_what_the_assistant_had_alone_and_on_that_day_is_drawn(world: World) -> None:
    world.clock.move_to(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    alone = await world.say(PLAIN, "ann")
    await world.say(P3, "bob")  # handed over
    actor = await world.hire("mo")
    back = await world.owned(actor, PLAIN, "cas")
    await world.core.desk.release(back.id, actor)  # with the assistant again, and a person had it
    silent = await world.say(PLAIN, "dan")
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation)
            .where(Conversation.id == silent.id)
            .values(state="closed", closed_at=now(), outcome="silent")
        )
    midnight = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
    late = await chats(world, 1, midnight - timedelta(seconds=1))
    early = await chats(world, 1, midnight)
    world.clock.move_to(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
    await samples_of(world).sweep()
    await world.core.clocks.look()
    found = {row.conversation_id for row in await drawn(world)}
    assert found == {alone.id, silent.id, *late}
    assert not found & set(early)


def test_the_setting_is_checked() -> None:
    assert setting({})[0] == 20
    assert setting({"daily_sample": {"number": 3, "at": "07:30"}})[1].hour == 7
    for wrong in ({"number": -1}, {"number": "many"}, {"number": True}, {"at": "late"}, [5]):
        with pytest.raises(ContentError, match="daily_sample"):
            setting({"daily_sample": wrong})


# ---- what is covered up ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "personal",
    [
        "07700 900123", "+44 7700 900123", "0191 496 0000", "(0191) 4960000", "07700-900-123",
        "ann.smith+x@mail.example", "NE1 4ST", "ne14st", "SW1A 1AA", "AB12 CDE", "@ann_smith",
        "https://example.org/ann", "4929 1234 5678 9012",
    ],
)  # fmt: skip
def test_personal_data_is_covered(personal: str) -> None:
    covered = mask(f"it is {personal}, please")
    assert personal not in covered
    assert HIDDEN in covered
    assert covered.startswith("it is ")
    assert covered.endswith("please")


def test_the_shown_name_is_covered_and_plain_words_are_not() -> None:
    assert mask("I am Ann, ann o'brien", ["Ann O'Brien"]).count(HIDDEN) == 3
    plain = "call 101 or 999 at 10:30 on 24 November, it costs 250 pounds, planner"
    assert mask(plain, ["Ann"]) == plain


# ---- reading ----------------------------------------------------------------------------------------


def sampled(desk: Desk, text: str = PLAIN, **values: Any) -> int:
    """A conversation of the assistant's in the sample; the sample's id."""
    row = desk.say(text, **values)
    desk.change(insert(Sample).values(day="2026-11-22", conversation_id=row.id))
    return int(desk.rows(Sample)[-1].id)


def second_supervisor(desk: Desk) -> Browser:
    store = desk.gateway.core.store
    desk.run(create_staff(store, "sam", "Sam Tester", "supervisor", ["digital_desk"], PASSWORD))
    browser = browser_of(desk, "sam")
    browser.client.timeout = httpx.Timeout(180)
    return browser


def test_a_sample_is_read_covered_up_and_the_reading_is_on_record(any_desk: Desk) -> None:
    text = "how long is the wait for 101, call Ann on 07700 900123 or ann@mail.example at NE1 4ST"
    number = sampled(any_desk, text, name="Ann Example")
    row = any_desk.chat()
    sue = any_desk.browser("sue")
    assert f"/desk/samples/{number}" in sue.get("/desk/samples").text
    page = sue.get(f"/desk/samples/{number}").text
    for personal in ("07700", "ann@mail", "NE1", "Ann", row.reference):
        assert personal not in page
    assert "how long is the wait for 101" in page
    assert [audit.conversation_id for audit in any_desk.audit("open")] == [row.id]


def test_a_verdict_is_given_once_and_a_wrong_one_needs_a_note(any_desk: Desk) -> None:
    number = sampled(any_desk)
    sue = any_desk.browser("sue")
    sue.get("/desk/samples")
    for fields in (
        {},
        {"verdict": "perfect"},
        {"verdict": "wrong"},
        {"verdict": "should_reach", "note": " "},
    ):
        assert sue.post(f"/desk/samples/{number}", **fields).status_code == 422
    assert any_desk.rows(Sample)[0].verdict is None
    answer = sue.post(f"/desk/samples/{number}", verdict="right")
    assert "Your verdict was kept." in answer.text
    assert any_desk.rows(Sample)[0].read_at is not None
    assert sue.post(f"/desk/samples/{number}", verdict="wrong", note="No, wrong.").status_code == 409
    assert any_desk.rows(Sample)[0].verdict == "right"
    assert [row.detail["verdict"] for row in any_desk.audit("sample.read")] == ["right"]
    assert any_desk.rows(SafetyReview) == []


def test_should_have_reached_a_person_opens_a_review_of_the_chosen_message(any_desk: Desk) -> None:
    number = sampled(any_desk)
    any_desk.say("and another thing")
    sue = any_desk.browser("sue")
    first = any_desk.rows(Message)[0]
    page = sue.get(f"/desk/samples/{number}").text
    assert f'<option value="{first.id}"' in page
    answer = sue.post(
        f"/desk/samples/{number}", verdict="should_reach", note="He sounds afraid.", message=first.id
    )
    (review,) = any_desk.rows(SafetyReview)
    assert answer.url.path == f"/desk/reviews/{review.id}"
    assert (review.message_id, review.state) == (first.id, "open")
    assert [note.text for note in any_desk.rows(Note)] == ["He sounds afraid."]
    assert html.escape(PLAIN) in answer.text
    assert "Put it into the queue now" in answer.text
    other = sampled(any_desk, PLAIN, person="bob")
    wrong = sue.post(f"/desk/samples/{other}", verdict="should_reach", note="Wrong chat.", message=first.id)
    assert wrong.status_code == 422
    assert any_desk.rows(Sample, Sample.id == other)[0].read_at is None


def test_nobody_but_a_supervisor_who_may_see_it_reads_a_sample(any_desk: Desk) -> None:
    number = sampled(any_desk)
    any_desk.change(update(Conversation).values(team="professional_standards", sealed=True))
    sam, sue, mo = second_supervisor(any_desk), any_desk.browser("sue"), any_desk.browser("mo")
    assert f"/desk/samples/{number}" not in sam.get("/desk/samples").text
    assert sam.get(f"/desk/samples/{number}").status_code == 422
    assert sam.post(f"/desk/samples/{number}", verdict="right").status_code == 422
    assert mo.get("/desk/samples").status_code == 403
    assert sue.get(f"/desk/samples/{number}").status_code == 200


# ---- reviews ----------------------------------------------------------------------------------------


def reviewed(desk: Desk, sue: Browser, text: str = PLAIN) -> int:
    sue.client.timeout = httpx.Timeout(180)  # the first phrase compiles all of data/risk
    row = desk.say(text)
    answer = sue.post(f"/desk/c/{row.id}/should-reach", note="It was missed.")
    found = re.fullmatch(r"/desk/reviews/(\d+)", answer.url.path)
    assert found is not None, answer.text
    return int(found[1])


def test_any_chat_of_the_assistants_can_be_reviewed(desk: Desk) -> None:
    sue = desk.browser("sue")
    row = desk.say(PLAIN)
    page = sue.get(f"/desk/c/{row.id}").text
    assert "This should have reached a person" in page
    assert sue.post(f"/desk/c/{row.id}/should-reach", note=" ").status_code == 422
    first, again = reviewed(desk, sue), sue.post(f"/desk/c/{row.id}/should-reach", note="Once more.")
    assert again.url.path == f"/desk/reviews/{first}" or len(desk.rows(SafetyReview)) == 2
    assert "This should have reached" not in desk.browser("mo").get(f"/desk/c/{row.id}").text


def test_a_phrase_is_tried_before_it_is_kept(any_desk: Desk) -> None:
    sue = any_desk.browser("sue")
    review = reviewed(any_desk, sue, "he keeps a zebrafish in the wardrobe")
    path = f"/desk/reviews/{review}/phrase"
    for fields in (
        {"category": "R07", "grade": "P2", "phrase": "(zebrafish"},
        {"category": "R07", "grade": "P2", "phrase": "<no such family> zebrafish"},
        {"category": "R99", "grade": "P2", "phrase": "zebrafish"},
        {"category": "R07", "grade": "P9", "phrase": "zebrafish"},
        {"category": "R07", "grade": "P2", "phrase": " "},
    ):
        assert sue.post(path, **fields).status_code == 422, fields
    assert any_desk.rows(SafetyReview)[0].phrase is None
    page = sue.post(path, category="R07", grade="P2", phrase="(zebrafish|goldfish) ..4 wardrobe").text
    assert any_desk.rows(SafetyReview)[0].phrase == "(zebrafish|goldfish) ..4 wardrobe"
    assert "It finds this message" in page
    assert '<mark class="desk-word">zebrafish</mark>' in page
    assert "False alarms: 0 of" in page
    wide = sue.post(path, category="R07", grade="P2", phrase="dead").text
    assert "It does not find this message." in wide
    found = re.search(r"False alarms: (\d+) of (\d+) harmless", wide)
    assert found is not None
    assert 0 < int(found[1]) < int(found[2])
    # Nothing of it is live.
    assert not any_desk.gateway.core.screen.check("he keeps a zebrafish in the wardrobe").hits


def test_a_second_person_decides_and_the_phrase_can_be_copied(any_desk: Desk) -> None:
    sue, sam = any_desk.browser("sue"), second_supervisor(any_desk)
    review = reviewed(any_desk, sue)
    path = f"/desk/reviews/{review}"
    sam.get(path)
    none = sam.post(f"{path}/decide", decision="accept", reason="Good.", seen="")
    assert none.status_code == 422
    phrase = "say help (now|soon)"
    sue.post(f"{path}/phrase", category="R07", grade="P2", phrase=phrase)
    own = sue.post(f"{path}/decide", decision="accept", reason="Good.", seen=phrase)
    assert own.status_code == 403
    for fields in ({"decision": "perhaps"}, {"decision": "accept", "reason": ""}):
        assert sam.post(f"{path}/decide", seen=phrase, **{"reason": "Good.", **fields}).status_code == 422
    stale = sam.post(f"{path}/decide", decision="accept", reason="Good.", seen="another")
    assert stale.status_code == 409
    assert any_desk.rows(SafetyReview)[0].state == "open"
    page = sam.post(f"{path}/decide", decision="accept", reason="Good.", seen=phrase)
    assert page.status_code == 200
    (row,) = any_desk.rows(SafetyReview)
    assert (row.state, row.decided_by) == ("accepted", any_desk.rows(Staff, Staff.username == "sam")[0].id)
    assert sam.post(f"{path}/decide", decision="decline", reason="No.", seen=phrase).status_code == 409
    assert sue.post(f"{path}/phrase", category="R07", grade="P2", phrase="x y").status_code == 409
    shown = html.unescape(sue.get("/desk/reviews/phrases").text)
    assert '- "say help (now|soon)"' in shown
    assert PLAIN not in shown
    assert {one.action for one in any_desk.rows(Audit, Audit.action.like("review.%"))} == {
        "review.open", "review.propose", "review.accepted",
    }  # fmt: skip


def test_whoever_proposes_anew_can_not_decide_and_the_first_one_can(desk: Desk) -> None:
    sue, sam = desk.browser("sue"), second_supervisor(desk)
    review = reviewed(desk, sue)
    path = f"/desk/reviews/{review}"
    sam.get(path)
    sam.post(f"{path}/phrase", category="R07", grade="P2", phrase="wait for a person")
    own = sam.post(f"{path}/decide", decision="decline", reason="No.", seen="wait for a person")
    assert own.status_code == 403
    page = sue.post(f"{path}/decide", decision="decline", reason="Too wide.", seen="wait for a person")
    assert "Declined" in page.text
    assert "Too wide." in page.text


def test_reviews_of_what_one_may_not_see_are_not_there(desk: Desk) -> None:
    sue, sam = desk.browser("sue"), second_supervisor(desk)
    review = reviewed(desk, sue)
    desk.change(update(Conversation).values(team="professional_standards", sealed=True))
    reference = desk.chat().reference
    assert reference not in sam.get("/desk/reviews").text
    assert sam.get(f"/desk/reviews/{review}").status_code in (403, 404)
    assert (
        sam.post(f"/desk/reviews/{review}/phrase", category="R07", grade="P2", phrase="a b").status_code
        >= 400
    )
    assert desk.rows(SafetyReview)[0].phrase is None
    assert reference in sue.get("/desk/reviews").text


class _Accepted:
    def __init__(self, category: str, grade: str, phrase: str, state: str = "accepted") -> None:
        self.category, self.grade, self.phrase, self.state = category, grade, phrase, state


def test_the_copied_text_is_yaml_whatever_a_phrase_holds() -> None:
    odd = 'a: "b" # c \\ {d} é'
    rows: list[Any] = [
        _Accepted("R07", "P2", odd), _Accepted("R07", "P1", "x y"), _Accepted("R07", "P2", odd),
        _Accepted("R08", "P1", "not yet", "open"),
    ]  # fmt: skip
    loaded = yaml.safe_load(as_yaml(rows))
    assert loaded == {"phrases": [{"priority": "P1", "match": ["x y"]}, {"priority": "P2", "match": [odd]}]}


def test_a_proposal_reads_as_the_screen_does() -> None:
    proposal = Proposal(ROOT / "data" / "risk", "R07", "P2", "(following|tracking) me ..3 phone")
    assert proposal.hits("he is TRACKIN me on my ph0ne") == ("trackin", "me", "ph0ne")
    assert proposal.hits("there is a fire in the flat") == ()  # no other rule of the screen takes part
