"""What a turn comes to: answers, questions, hand-overs; and what happens while Rasa is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from bot.errors import StaleError
from bot.store.tables import Conversation, Outbox
from tests.support.rasa import understanding
from tests.support.world import INCIDENT, ODD, P1, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration

ANSWER = "contact-101-wait"


async def test_a_plain_question_is_answered(world: World) -> None:
    row = await world.say(PLAIN)
    assert world.heard() == [world.answer(ANSWER)]
    assert row.state == "bot"
    (message,) = await world.messages()
    assert message.handled
    assert message.decision["answered"] == ANSWER
    (sent,) = await world.outbox()
    assert (sent.kind, sent.slug, sent.state) == ("assistant", ANSWER, "sent")


async def test_all_unread_messages_are_one_turn(world: World) -> None:
    await world.take(*(world.incoming(text) for text in ("how long", "is the wait", "for 101")))
    await world.settle()
    assert len(world.rasa.turns) == 1
    assert world.rasa.turns[0]["text"] == "how long\nis the wait\nfor 101"
    assert world.heard() == [world.answer(ANSWER)]
    assert {"how long", "is the wait", "for 101"} <= set(world.rasa.understood), "each is read by itself"


async def test_a_long_text_is_read_whole_in_pieces(world: World) -> None:
    world.rasa.risk("secretword", R11=0.9)
    for place in (0, 950, 1795, 4000, 59_000):
        person = f"p{place}"
        await world.say("x " * (place // 2) + "secretword" + " y" * ((60_000 - place) // 2), person)
        assert (await world.conversation(person)).grade == "P2", place
    assert all(len(text) <= 1000 for text in world.rasa.understood)
    assert all(len(turn["text"]) <= 1000 for turn in world.rasa.turns)


async def test_a_slash_of_a_person_is_text(world: World) -> None:
    await world.say('/restart{"x": 1}')
    (turn,) = world.rasa.turns
    assert (turn["text"], turn["button"]) == ('/restart{"x": 1}', None)


@pytest.mark.parametrize("token", ["1.0", "fc:safe_yes", "/restart", "9" * 40, "1.99", "²", "1.²"])
async def test_only_buttons_of_ours_count(world: World, token: str) -> None:
    await world.say("hello", kind="button", button=token)
    (message,) = await world.messages()
    assert message.button is None


async def test_a_button_of_another_conversation_is_text(world: World) -> None:
    await world.say(P2_HIDDEN, "ann")
    token = next(b.token for o in world.channel.outgoing("ann") for b in o.buttons)
    await world.say("Yes", "bob", kind="button", button=token)
    assert (await world.messages("bob"))[0].button is None


async def test_a_button_that_rasa_offered(world: World) -> None:
    world.rasa.teach(
        "report",
        understanding("triage", certain=True),
        [
            {
                "line": "triage_ask_now",
                "buttons": [{"title_key": "triage_yes", "payload": '/triage_now{"a":1}'}],
            }
        ],
    )
    world.rasa.form = "triage_form"
    await world.say("help me report")
    assert (await world.conversation()).form == "triage_form"
    await world.press("Yes")
    assert world.rasa.turns[-1]["button"] == '/triage_now{"a":1}'
    assert world.rasa.turns[-1]["text"] == ""


async def test_a_form_that_rasa_forgot_starts_again_and_says_so(world: World) -> None:
    world.rasa.teach("report", understanding("triage", certain=True), [{"line": "triage_start"}])
    world.rasa.teach("/triage", understanding("triage", certain=True), [{"line": "triage_ask_now"}])
    world.rasa.form = "triage_form"
    await world.say("help me report")
    world.heard()
    world.rasa.trackers.clear()
    await world.say("tomorrow morning")
    assert world.heard() == [world.line("form_restarted"), world.line("triage_ask_now")]


# ---- not understood ----------------------------------------------------------------------------


async def test_two_turns_not_understood_hand_over_in_that_turn(world: World) -> None:
    await world.say(ODD)
    assert world.heard() == [world.line("not_understood")]
    row = await world.say(ODD + " again")
    assert (row.state, row.grade) == ("waiting", "P4")
    (told,) = world.heard()
    assert told.startswith(world.line("not_understood_again"))
    assert world.line("withdraw_offer") in told
    row = await world.say("no")
    assert (row.state, row.grade, row.misses) == ("bot", None, 0)
    assert world.heard() == [world.line("withdrawn")]


async def test_an_answer_between_starts_the_count_again(world: World) -> None:
    for text in (ODD, PLAIN, ODD):
        row = await world.say(text)
    assert row.state == "bot"


async def test_the_withdraw_button(world: World) -> None:
    await world.say(ODD)
    await world.say(ODD)
    row = await world.press(world.line("withdraw_title"))
    assert row.state == "bot"


async def test_asking_for_a_person(world: World) -> None:
    await world.say(ODD)
    row = await world.press(world.line("talk_to_person"))
    assert (row.state, row.grade, row.category) == ("waiting", "P4", "R20")


async def test_what_is_no_matter_of_ours_is_said_so_and_counts_as_a_miss(world: World) -> None:
    outside = understanding("out_of_scope", certain=True)
    world.rasa.teach("wabe", outside, [{"not_understood": True}])
    row = await world.say("mungo plith the wabe")
    assert world.heard() == [world.line("out_of_scope")]
    assert (row.state, row.misses) == ("bot", 1)
    row = await world.say("slithy wabe")
    assert (row.state, row.grade, row.category) == ("waiting", "P4", "R20")
    (told,) = world.heard()
    assert told.startswith(world.line("not_understood_again"))
    row = await world.say("no")
    assert (row.state, row.grade, row.misses) == ("bot", None, 0)


@pytest.mark.parametrize("first", ["gibber", "wabe"])
async def test_out_of_scope_and_not_understood_are_misses_alike(world: World, first: str) -> None:
    world.rasa.teach("wabe", understanding("out_of_scope", certain=True), [{"not_understood": True}])
    world.rasa.teach("gibber", understanding("nlu_fallback"), [{"not_understood": True}])
    second = {"gibber": "wabe", "wabe": "gibber"}[first]
    await world.say(first)
    row = await world.say(second)
    assert (row.state, row.grade) == ("waiting", "P4")


async def test_a_risk_below_its_threshold_is_not_met_with_silence(world: World) -> None:
    faint = understanding("risk_R13", certain=True, risks={"R13": 0.05})
    world.rasa.teach("murmur", faint, [])
    row = await world.say("murmur murmur")
    assert world.heard() == [world.line("not_understood")]
    assert (row.state, row.misses) == ("bot", 1)


async def test_a_guess_after_a_turn_that_was_not_understood_calls_a_person(world: World) -> None:
    world.rasa.teach("zandle", understanding("faq/x"), [{"offer": [ANSWER, "lost-property"]}])
    world.rasa.teach("flibber", understanding("nlu_fallback"), [{"not_understood": True}])
    await world.say("flibber the wob")
    await world.say("grommit zandle quoff")
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P4")
    assert world.line("did_you_mean") not in "\n".join(world.texts())


async def test_two_questions_are_answered_and_offered(world: World) -> None:
    world.rasa.teach(
        "both", understanding("faq/x"), [{"answer": ANSWER}, {"also": ["lost-property", "gone"]}]
    )
    await world.say("both of these")
    told = world.texts()
    assert world.line("also_asked") in told[-1]
    assert len(told) >= 2


async def test_an_offer_and_its_buttons(world: World) -> None:
    world.rasa.teach("dog", understanding("faq/x"), [{"offer": [ANSWER, "lost-property", "no-such-answer"]}])
    await world.say("my dog")
    assert world.heard() == [world.line("did_you_mean")]
    world.rasa.teach("dog", understanding("faq/x"), [{"offer": [ANSWER, "lost-property"]}])
    await world.say("my dog again")
    title = world.core.content.current.faqs["lost-property"].title
    await world.press(title)
    assert world.answer("lost-property") in world.heard()


async def test_an_answer_that_the_release_withdrew_is_not_understood(world: World) -> None:
    world.rasa.faq("gone", "an-answer-that-is-gone")
    await world.say("it is gone")
    assert world.heard() == [world.line("not_understood")]


# ---- grades and answers ------------------------------------------------------------------------


async def test_p1_gets_safety_words_only(world: World) -> None:
    row = await world.say(f"{P1}, {PLAIN}")
    assert row.grade == "P1"
    assert world.answer(ANSWER) not in world.heard()


async def test_p1_of_the_model_gets_safety_words_only(world: World) -> None:
    world.rasa.faq("blorp", ANSWER, R09=0.9)
    row = await world.say("it is all blorp")
    assert (row.state, row.grade) == ("waiting", "P1")
    assert world.heard() == [world.words("R09", "P1"), world.line("queued_off_shift")]


async def test_p2_gets_its_words_then_the_answer_in_the_same_turn(world: World) -> None:
    world.rasa.faq("zorp", ANSWER, R11=0.9)
    row = await world.say("it went zorp", "bob")
    assert (row.state, row.grade) == ("waiting", "P2")
    heard = world.heard("bob")
    assert heard[0] == world.words("R11", "P2")
    assert heard[-1] == world.answer(ANSWER)
    assert len([text for text in heard if text == world.answer(ANSWER)]) == 1


async def test_p3_gets_the_answer_and_is_queued(world: World) -> None:
    row = await world.say(f"{P3} and {PLAIN}")
    assert (row.state, row.grade) == ("waiting", "P3")
    heard = world.heard()
    assert heard[-1] == world.answer(ANSWER)
    assert any("queue" in text for text in heard)


@pytest.mark.parametrize("category", ["R03", "R04", "R05", "R07"])
async def test_a_hidden_subject_waits_for_the_yes(world: World, category: str) -> None:
    world.rasa.faq("hush", ANSWER, **{category: 0.95})
    row = await world.say("hush hush")
    grade = row.grade
    heard = world.heard()
    after = world.core.screen.words(category).after_safe_check
    assert heard[0] == world.words(category, grade)
    assert world.answer(ANSWER) not in heard
    assert not any(line in text for line in after for text in heard)
    assert row.safe_check == "asked"
    row = await world.say("yes")
    heard = world.heard()
    assert row.safe_check == "yes"
    assert "\n".join(after) == heard[0]
    if grade == "P1":
        assert world.answer(ANSWER) not in heard
    else:
        assert heard[-1] == world.answer(ANSWER)
    assert row.state == "waiting"


@pytest.mark.parametrize("by", ["word", "button"])
async def test_not_safe_to_chat(world: World, by: str) -> None:
    await world.say(P2_HIDDEN)
    world.heard()
    row = await (world.say("nah") if by == "word" else _press_after(world, world.line("safe_no_title")))
    assert (row.safe_check, row.state, row.grade) == ("no", "waiting", "P2")
    assert world.heard() == [world.line("safe_no_reply")]


async def _press_after(world: World, title: str, person: str = "ann") -> Any:
    rows = [row for row in await world.outbox(person) if any(b["title"] == title for b in row.buttons)]
    index = next(i for i, b in enumerate(rows[-1].buttons) if b["title"] == title)
    return await world.say(title, person, kind="button", button=f"{rows[-1].id}.{index}")


async def test_never_mind_changes_nothing_at_p1(world: World) -> None:
    before = await world.say(P1)
    world.heard()
    row = await world.say("never mind")
    assert (row.state, row.grade, row.epoch) == ("waiting", "P1", before.epoch)
    assert world.heard() == [world.line("cannot_withdraw")]


async def test_the_holding_line_is_true_of_the_shift(world: World) -> None:
    await world.say(P1)
    world.heard()
    world.move(seconds=5)
    await world.say("hello")
    assert world.heard() == [world.line("holding_line_off_shift")]
    world.move(seconds=5)
    await world.sit(await world.hire("mo"))
    await world.say("hello")
    assert world.heard() == [world.line("holding_line")]


async def test_one_who_waits_gets_plain_questions_answered_and_marked(world: World) -> None:
    await world.say(P3)
    world.heard()
    row = await world.say(PLAIN)
    assert world.heard() == [f"{world.line('automated_mark')}\n\n{world.answer(ANSWER)}"]
    assert row.state == "waiting"
    world.move(seconds=5)
    await world.say(ODD)
    assert world.heard() == [world.line("still_waiting")]


async def test_nothing_automatic_while_a_person_owns(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod)
    world.heard()
    for text in (PLAIN, ODD, P3, "yes", "no"):
        await world.say(text)
    await world.say(PLAIN, kind="image")
    assert world.heard() == []
    assert {m.handled for m in await world.messages()} == {True}
    assert not [t for t in world.rasa.turns if t["conversation"] == f"c{row.id}-{row.reference}"][1:], (
        "its memory is untouched"
    )


async def test_the_model_reads_in_every_state(world: World) -> None:
    mod = await world.hire("mo")
    world.rasa.risk("blorp", R09=0.9)
    await world.owned(mod)
    world.heard()
    row = await world.say("it is all blorp")
    assert (row.state, row.grade, row.owner_id) == ("human", "P1", mod.staff_id)
    assert world.heard() == [world.words("R09", "P1")]


async def test_a_p1_read_just_as_the_chat_was_closed_is_not_lost(world: World) -> None:
    mod = await world.hire("mo")
    world.rasa.risk("blorp", R09=0.9)
    row = await world.owned(mod)
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming("it is all blorp"))
    await asyncio.sleep(0.05)
    with pytest.raises(StaleError):
        await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    world.rasa.delay.set()
    world.rasa.delay = None
    await world.settle()
    row = await world.conversation()
    assert (row.state, row.grade) == ("human", "P1")
    assert world.words("R09", "P1") in world.heard()


# ---- one question ------------------------------------------------------------------------------


async def test_the_one_question_and_silence(world: World) -> None:
    await world.say(".")
    assert world.heard() == [world.line("ask_safe")]
    await world.tick(seconds=59)
    assert (await world.conversation()).state == "bot"
    await world.tick(seconds=2)
    row = await world.conversation()
    assert row.state == "waiting"
    assert row.grade in ("P1", "P2")
    assert row.ask is None


async def test_the_question_answered_well(world: World) -> None:
    await world.say(".")
    row = await world.say("yes")
    assert (row.state, row.ask) == ("bot", None)
    await world.tick(minutes=5)
    assert (await world.conversation()).state == "bot"


async def test_the_question_answered_badly(world: World) -> None:
    await world.say(".")
    row = await world.say("n")
    assert row.state == "waiting"
    assert row.grade in ("P1", "P2")
    before = [event for event in await world.events("alert") if "grade" in event.data]
    await world.tick(minutes=5)
    assert [event for event in await world.events("alert") if "grade" in event.data] == before


async def test_what_was_written_before_the_question_is_no_answer_to_it(world: World) -> None:
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming("."))
    await asyncio.sleep(0.05)
    await world.take(world.incoming("quick"))
    world.move(seconds=1)
    world.rasa.delay.set()
    world.rasa.delay = None
    await world.settle()
    await world.tick(seconds=61)
    assert (await world.conversation()).state == "waiting"


# ---- Rasa is away ------------------------------------------------------------------------------


async def test_rasa_down_puts_everything_before_a_person(world: World) -> None:
    world.rasa.down = True
    row = await world.say(PLAIN)
    assert (row.state, row.grade) == ("waiting", "P3")
    (told,) = world.heard()
    assert told.startswith(world.line("assistant_down"))
    assert {m.handled for m in await world.messages()} == {True}


@pytest.mark.parametrize("garbage", [[], {}, {"results": [], "messages": 3}, "x", None])
async def test_rubbish_is_as_good_as_down(world: World, garbage: object) -> None:
    world.rasa.garbage = garbage if garbage is not None else {"intent": 1, "confidence": "high"}
    row = await world.say(PLAIN)
    assert (row.state, row.grade) == ("waiting", "P3")


async def test_words_that_need_no_rasa_work_without_it(world: World) -> None:
    world.rasa.down = True
    await world.say(PLAIN)
    world.heard()
    row = await world.say("no")
    assert row.state == "bot"
    assert world.heard() == [world.line("withdrawn")]
    await world.say(P2_HIDDEN, "bob")
    world.heard("bob")
    row = await world.say("yes", "bob")
    assert row.safe_check == "yes"
    assert len(world.heard("bob")) == 1
    await world.say(".", "cat")


async def test_a_pressed_button_of_ours_works_without_rasa(world: World) -> None:
    await world.say(ODD)
    world.rasa.down = True
    row = await world.press(world.line("talk_to_person"))
    assert (row.state, row.grade) == ("waiting", "P4")


async def test_a_danger_found_after_the_close_opens_the_conversation_again(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod, P3)
    world.rasa.risk("blorp", R09=0.9)
    world.rasa.down = True
    await world.say("it is all blorp")
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    world.heard()
    world.rasa.down = False
    await world.tick(seconds=20)
    row = await world.conversation()
    assert (row.state, row.grade, row.owner_id, row.closed_at) == ("waiting", "P1", None, None)
    assert world.words("R09", "P1") in world.heard()


async def test_a_danger_found_after_the_close_goes_to_the_open_conversation(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.owned(mod, P3)
    world.rasa.risk("blorp", R09=0.9)
    world.rasa.down = True
    await world.say("it is all blorp")
    await world.core.desk.close(row.id, mod, "answered", incident=INCIDENT)
    world.rasa.down = False
    await world.say("thanks")
    await world.tick(seconds=20)
    rows = await world.rows(Conversation)
    assert sorted((r.state, r.grade) for r in rows) == [("closed", "P3"), ("waiting", "P1")]


async def test_the_model_reads_later_what_it_missed(world: World) -> None:
    world.rasa.risk("blorp", R09=0.9)
    world.rasa.down = True
    await world.say("it is all blorp")
    assert (await world.conversation()).grade == "P3"
    await world.tick(seconds=20)
    world.rasa.down = False
    await world.tick(seconds=20)
    row = await world.conversation()
    assert (row.state, row.grade) == ("waiting", "P1")
    assert world.words("R09", "P1") in world.heard()


async def test_the_model_reads_later_even_after_an_hour(world: World) -> None:
    world.rasa.risk("blorp", R09=0.9)
    world.rasa.down = True
    await world.say("it is all blorp")
    for _ in range(50):
        world.move(seconds=72)
        await world.core.clocks.look()
    world.rasa.down = False
    world.rested()
    await world.tick(seconds=72)
    assert (await world.conversation()).grade == "P1"


async def test_safety_words_do_not_wait_for_rasa(world: World) -> None:
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming(P1))
    await world.send()
    assert world.texts()[0] == world.words("R09", "P1")
    world.rasa.delay.set()
    await world.settle()


# ---- turns and crashes -------------------------------------------------------------------------


async def test_a_turn_cut_off_is_picked_up_and_rasa_is_not_asked_twice(world: World) -> None:
    await world.take(world.incoming(PLAIN))
    await world.core.turns.drain(30)
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming(PLAIN, "bob"))
    await asyncio.sleep(0.05)
    row = await world.conversation("bob")
    world.core.turns._running[row.id].cancel()
    await asyncio.sleep(0)
    world.rasa.delay.set()
    await world.settle()
    assert world.texts("bob") == []
    await world.tick(seconds=29)
    assert world.texts("bob") == [], "its lease is still held"
    await world.tick(seconds=2)
    assert world.heard("bob") == [world.answer(ANSWER)]
    assert len([t for t in world.rasa.turns if t["conversation"] == f"c{row.id}-{row.reference}"]) == 1


async def test_a_turn_whose_lease_was_taken_writes_nothing(world: World) -> None:
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming(PLAIN))
    await asyncio.sleep(0.05)
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation).values(lease_holder="another", lease_counter=Conversation.lease_counter + 1)
        )
    world.rasa.delay.set()
    await world.core.turns.drain(30)
    assert await world.rows(Outbox) == []
    assert [m.handled for m in await world.messages()] == [False]
    await world.tick(seconds=31)
    assert world.heard() == [world.answer(ANSWER)]


async def test_a_turn_overtaken_by_a_claim_says_nothing(world: World) -> None:
    mod = await world.hire("mo")
    row = await world.say(P3)
    world.heard()
    world.rasa.delay = asyncio.Event()
    await world.take(world.incoming(PLAIN))
    await asyncio.sleep(0.05)
    await world.core.desk.claim(row.id, mod, row.epoch)
    world.rasa.delay.set()
    await world.settle()
    assert world.heard() == [world.line("joined")]
    assert {m.handled for m in await world.messages()} == {True}
