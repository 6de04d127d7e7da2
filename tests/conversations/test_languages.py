"""A message that is not in English goes to a person in that turn, with the risk that was found in it."""

from __future__ import annotations

import pytest

from bot.store.tables import Due, Message
from tests.support.world import P3, World

pytestmark = pytest.mark.integration

POLISH = "Zgubiłem dokumenty w autobusie, gdzie mam je zgłosić"
POLISH_AGAIN = "czekam już bardzo długo, czy ktoś to czyta"
POLISH_KNIFE = "Sąsiad ma nóż i stoi pod drzwiami"
ESTONIAN = "kaotasin oma passi bussis ära"
KURDISH_HITS = "مێردەکەم لێم دەدا"


def said(world: World, code: str, *keys: str) -> str:
    """What the force says in a language."""
    words = world.core.content.current.in_language(code, *keys)
    assert words
    return words


async def test_it_is_handed_over_at_once_in_both_languages(world: World) -> None:
    moderator = await world.hire("mo")
    await world.sit(moderator)

    row = await world.say(POLISH)

    assert (row.state, row.grade, row.category, row.language) == ("waiting", "P4", "R20", "pl")
    assert row.withdrawable
    assert world.heard() == [
        "\n".join(
            [
                said(world, "pl", "queue", "danger", "no_person"),
                "",
                world.line("not_english"),
                world.core.words.screen.words("R20").handover,
                world.line("withdraw_offer"),
            ]
        )
    ]
    assert "999" in world.line("not_english")
    assert "101" in world.line("not_english")
    # Rasa was asked for risk only: nothing of it is in the memory of its conversation.
    assert not world.rasa.turns
    assert world.rasa.understood == [POLISH]
    reason = row.reasons[-1]
    assert (reason["net"], reason["words"]) == ("language", ["probably Polish"])
    decided = (await world.messages())[-1].decision
    assert decided["nets"] == ["language"]
    assert (decided["answered"], decided["offered"]) == (None, [])


async def test_a_language_without_words_of_ours_gets_the_english_ones(world: World) -> None:
    row = await world.say(ESTONIAN)

    assert (row.state, row.grade, row.language) == ("waiting", "P4", "et")
    [told] = world.heard()
    assert told.startswith(world.line("not_english"))
    # Nobody is at the desk, and they are told so.
    assert world.line("queued_off_shift") in told


@pytest.mark.parametrize("no", ["no", "nie", "Nie."])
async def test_no_takes_it_back_in_either_language(world: World, no: str) -> None:
    await world.say(POLISH)
    world.heard()

    row = await world.say(no)

    assert (row.state, row.grade, row.language) == ("bot", None, "pl")
    assert world.heard() == [world.line("withdrawn")]


async def test_the_button_takes_it_back_and_the_next_one_is_handed_over_again(world: World) -> None:
    await world.say(POLISH)

    row = await world.press(world.line("withdraw_title"))
    assert row.state == "bot"

    world.heard()
    row = await world.say(POLISH_AGAIN)
    assert (row.state, row.grade) == ("waiting", "P4")
    assert world.line("not_english") in world.heard()[0]


async def test_a_no_of_another_language_takes_nothing_back(world: World) -> None:
    """Short words mean different things: only those of the person's own language are read."""
    await world.say(ESTONIAN)

    row = await world.say("nie")

    assert row.state == "waiting"


async def test_a_second_message_while_waiting_is_only_told_that_it_waits(world: World) -> None:
    before = await world.say(POLISH)
    world.heard()
    # A model that takes foreign words for a question must not be believed.
    world.rasa.faq("czekam", "contact-101-wait")

    row = await world.say(POLISH_AGAIN)

    assert (row.state, row.epoch, row.waiting_since) == ("waiting", before.epoch, before.waiting_since)
    assert world.heard() == [world.line("still_waiting")]


async def test_whoever_waits_for_something_else_is_told_once(world: World) -> None:
    await world.say(P3)
    world.heard()
    world.move(seconds=30)

    row = await world.say(POLISH)

    assert (row.state, row.grade, row.category, row.language) == ("waiting", "P3", "R13", "pl")
    [told] = world.heard()
    assert said(world, "pl", "queue") in told
    assert world.line("not_english") in told
    world.move(seconds=30)
    await world.say(POLISH_AGAIN)
    assert world.heard() == [world.line("still_waiting")]


async def test_while_a_person_owns_it_is_only_put_on_record(world: World) -> None:
    moderator = await world.hire("mo")
    await world.sit(moderator)
    before = await world.owned(moderator)
    world.heard()

    row = await world.say(POLISH)

    assert (row.state, row.epoch, row.grade, row.language) == ("human", before.epoch, before.grade, "pl")
    assert world.heard() == []
    assert world.rasa.understood[-1] == POLISH


async def test_the_risk_that_the_model_finds_is_kept(world: World) -> None:
    world.rasa.risk("dokumenty", R07=0.99)

    row = await world.say(POLISH)

    assert (row.state, row.grade, row.category, row.language) == ("waiting", "P2", "R07", "pl")
    assert not row.withdrawable
    words, truth = world.heard()
    # The danger line names no subject, and stands before the words that wait for a yes.
    assert words.startswith(said(world, "pl", "danger"))
    assert said(world, "pl", "queue") in truth
    assert (await world.messages())[-1].decision["nets"] == ["language", "understanding"]


async def test_a_model_that_wants_a_person_says_nothing_twice(world: World) -> None:
    world.rasa.risk("dokumenty", R20=0.99)

    row = await world.say(POLISH)

    assert row.grade == "P4"
    assert len(world.heard()) == 1
    assert [reason["net"] for reason in row.reasons] == ["language"]


async def test_emergency_words_are_answered_at_the_door_in_the_language_too(world: World) -> None:
    await world.take(world.incoming(POLISH_KNIFE))
    row = await world.conversation()

    assert (row.state, row.grade, row.category, row.language) == ("waiting", "P1", "R01", "pl")
    await world.settle()
    words, truth = world.heard()
    # The 999 block comes first, as in every P1.
    assert words.startswith(world.line("block_999"))
    assert said(world, "pl", "danger") in words
    assert said(world, "pl", "queue") in truth
    assert said(world, "pl", "danger") not in truth
    assert world.line("not_english") not in truth
    [reason] = [reason for reason in row.reasons if reason["category"] == "R01"]
    assert reason["words"][-1] == "(Polish: he has a knife / a gun)"


async def test_the_yes_of_the_safe_check_is_read_in_the_language(world: World) -> None:
    await world.say(KURDISH_HITS)
    world.heard()

    row = await world.say("بەڵێ")

    assert (row.safe_check, row.language) == ("yes", "ckb")


async def test_no_takes_back_no_p1(world: World) -> None:
    await world.say(POLISH_KNIFE)

    row = await world.say("nie")

    assert (row.state, row.grade) == ("waiting", "P1")


async def test_while_rasa_is_down_it_waits_at_p3_and_is_read_later(world: World) -> None:
    world.rasa.down = True

    row = await world.say(POLISH)

    assert (row.state, row.grade, row.language) == ("waiting", "P3", "pl")
    [told] = world.heard()
    assert told.startswith(said(world, "pl", "queue", "danger", "no_person"))
    assert world.line("not_english") in told
    # Read when Rasa is back; and the clock of the reply that is owed runs.
    assert [due.kind for due in await world.rows(Due)] == ["understand", "reply"]

    world.rasa.down = False
    world.rested()
    world.rasa.risk("dokumenty", R20=0.99, R10=0.99)
    await world.tick(seconds=16)
    row = await world.conversation()
    assert (row.grade, row.category) == ("P2", "R10")
    told = "\n".join(world.heard())
    assert world.core.words.screen.words("R20").safety[0] not in told


async def test_the_store_down_sends_the_danger_words_in_the_language(world: World) -> None:
    words = await world.core.door.tell_directly([world.incoming(POLISH_KNIFE)])

    [text] = words.values()
    assert text.startswith(world.line("block_999"))
    assert said(world, "pl", "danger") in text
    assert world.texts() == [text]


async def test_a_question_about_languages_in_english_is_answered(world: World) -> None:
    world.rasa.faq("speak polish", "contact-language")

    row = await world.say("do you have anybody who can speak polish")

    assert (row.state, row.language) == ("bot", None)
    assert world.heard()[0] == world.answer("contact-language")


async def test_a_blocked_person_is_heard_and_not_answered(world: World) -> None:
    from sqlalchemy import update

    from bot.store.tables import Person

    await world.say("hello")
    async with world.store.write() as connection:
        await connection.execute(update(Person).values(blocked=True))
    world.heard()

    row = await world.say(POLISH)

    assert (row.state, row.language) == ("bot", "pl")
    assert world.heard() == []


async def test_pieces_that_were_written_in_a_row_count_together(world: World) -> None:
    await world.take(world.incoming("ktoś ukradł"), world.incoming("mi rower"), world.incoming("wczoraj"))
    await world.settle()
    row = await world.conversation()

    assert (row.state, row.grade, row.language) == ("waiting", "P4", "pl")
    assert len(world.heard()) == 1
    assert all(message.handled for message in await world.rows(Message))
