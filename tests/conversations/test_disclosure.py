"""An assistant says what it is: at the start, and again after a long silence of its own."""

from __future__ import annotations

import pytest

from bot.conversations.words import SAFE_NO, SAFE_YES
from bot.messages import Control, Incoming
from bot.store.tables import Message
from tests.support.channel import RecordingChannel
from tests.support.world import ODD, P1, P2_HIDDEN, P3, PLAIN, World

pytestmark = pytest.mark.integration


class Bare(RecordingChannel):
    """A platform that shows no page of ours, and short buttons only."""

    discloses = True

    def numbers(self, titles: list[str]) -> bool:
        """Buttons with long titles are a list."""
        return any(len(title) > 20 for title in titles)


class Listed(Bare):
    """A platform without any buttons."""

    def numbers(self, titles: list[str]) -> bool:
        """Always a list."""
        return bool(titles)


@pytest.fixture
def bare(world: World) -> World:
    """The world, on such a platform."""
    return on(world, Bare())


def on(world: World, channel: RecordingChannel) -> World:
    """The world, on a platform that does so."""
    world.channel = channel
    for part in (world.core.outbox, world.core.door, world.core.limits):
        part._channels = {"test": channel}  # type: ignore[attr-defined]
    return world


async def test_once_in_a_chat_and_again_after_a_lapse(bare: World) -> None:
    """As the person reads it, so it is on record."""
    opening = bare.line("opening_automated")
    await bare.say(PLAIN)
    await bare.say(ODD)
    assert [text.startswith(opening) for text in bare.channel.texts()] == [True, False]
    assert [row.text for row in await bare.outbox()] == bare.channel.texts()

    bare.move(hours=13)
    await bare.say(ODD)
    later = [text for text in bare.channel.texts()[2:] if text.startswith(opening)]
    assert len(later) == 1


async def test_words_of_danger_come_before_it(bare: World) -> None:
    """They begin with 999 and nothing else."""
    await bare.say(P1)
    texts = bare.channel.texts()

    assert texts[0] == bare.words("R09", "P1")
    assert texts[1].startswith(bare.line("opening_automated"))


async def test_what_says_it_already_is_left_as_it_is(bare: World) -> None:
    """The start button's own words."""
    await bare.say("Get started", kind="button", button="start")

    assert bare.channel.texts() == [bare.line("opening_message")]


async def test_where_the_page_says_it_nothing_is_added(world: World) -> None:
    """Web chat."""
    await world.say(PLAIN)

    assert world.channel.texts() == [world.answer("contact-101-wait")]


async def test_a_typed_number_is_the_last_list_and_nothing_else(bare: World) -> None:
    """Not of an older list, not of short buttons, not beyond its end."""
    faqs = bare.core.content.current.faqs
    slugs = [slug for slug, faq in faqs.items() if len(faq.title) > 20 and faq.mode == "A"][:2]
    bare.rasa.teach("bike", {"intent": "x", "confidence": 0.3, "certain": False, "ranking": [], "risks": []},
                    [{"offer": slugs}])  # fmt: skip
    for person in ("ann", "bob", "cat"):
        await bare.say("bike", person)
    bare.move(seconds=1)
    await bare.say("9", choice=9)
    await bare.say(PLAIN, "bob")
    await bare.say("1", "bob", choice=1)
    await bare.say("2", "cat", choice=2)
    assert [m.button for m in await bare.messages("ann")] == [None, None]
    assert [m.button for m in await bare.messages("bob")] == [None, None, None]
    chosen = (await bare.messages("cat"))[-1]
    assert (chosen.button, chosen.text) == (f"fc:faq:{slugs[1]}", faqs[slugs[1]].title)
    assert bare.channel.texts("cat")[-1] == bare.answer(slugs[1])

    await bare.say(P2_HIDDEN, "dan")
    await bare.take(bare.incoming("1", "dan", choice=1))
    assert [m.button for m in await bare.messages("dan")] == [None, None]


@pytest.fixture
def listed(world: World) -> World:
    """The world, on a platform that shows every button as a line with a number."""
    return on(world, Listed())


async def offer(listed: World, person: str) -> None:
    """Whether it is safe to chat is asked, and a sentence without a list stands behind it."""
    await listed.say(P2_HIDDEN, person)
    question, sentence = (await listed.outbox(person))[-2:]
    assert [button["payload"] for button in question.buttons] == [SAFE_YES, SAFE_NO]
    assert (sentence.kind, sentence.buttons) == ("assistant", [])
    listed.move(seconds=1)


async def test_a_sentence_behind_the_list_does_not_hide_it(listed: World) -> None:
    """The question whether it is safe to chat is answered by a number; once they wrote on, it is a number."""
    await offer(listed, "ann")
    await listed.say("1", choice=1)
    chosen = (await listed.messages())[-1]
    assert (chosen.kind, chosen.text, chosen.button) == ("button", listed.line("safe_yes_title"), SAFE_YES)

    await offer(listed, "bob")
    await listed.say(ODD, "bob")
    await listed.take(listed.incoming("1", "bob", choice=1))
    assert [m.button for m in await listed.messages("bob")] == [None] * 3, "the question is of before"


@pytest.mark.parametrize("typed", ["{title}", " {title}! ", "{upper}", "{n}. {title}", "{n} {title}"])
async def test_the_words_of_a_line_choose_it_too(listed: World, typed: str) -> None:
    """As they stand there, with the number or without, whatever the case."""
    await offer(listed, "ann")
    title = listed.line("safe_no_title")
    await listed.say(typed.format(title=title, upper=title.upper(), n=2))
    chosen = (await listed.messages())[-1]
    assert (chosen.kind, chosen.text, chosen.button) == ("button", title, SAFE_NO)


async def test_words_choose_nothing_where_they_are_not_a_line_of_the_last_list(listed: World) -> None:
    """A part of them, another word, or the same once the person has written on."""
    title = listed.line("safe_no_title")
    for person, said in (
        ("ann", f"{title} idea"),
        ("bob", "2. " + listed.line("safe_yes_title")),
        ("cat", "2 people"),
    ):
        await offer(listed, person)
        await listed.take(listed.incoming(said, person))
        assert [m.button for m in await listed.messages(person)] == [None] * 2
    await offer(listed, "dan")
    await listed.say(ODD, "dan")
    await listed.take(listed.incoming(title, "dan"))
    assert [m.button for m in await listed.messages("dan")] == [None] * 3


async def test_where_buttons_are_shown_words_are_words(bare: World) -> None:
    """They are read as any others: the buttons are there to be pressed."""
    await bare.say(P2_HIDDEN)
    await bare.take(bare.incoming(bare.line("safe_no_title")))
    assert [m.button for m in await bare.messages()] == [None, None]


async def test_a_number_after_words_of_staff_is_for_them(listed: World) -> None:
    """They may have asked how many: neither what they wrote nor that they joined leaves the list standing."""
    mo = await listed.hire("mo", teams=("digital_desk", "control_room", "safeguarding"))
    await offer(listed, "ann")
    row = await listed.conversation()
    await listed.core.desk.claim(row.id, mo, row.epoch)
    await listed.settle()
    await listed.take(listed.incoming("2", choice=2))
    await offer(listed, "bob")
    row = await listed.conversation("bob")
    await listed.core.desk.claim(row.id, mo, row.epoch)
    await listed.core.desk.reply(row.id, mo, "How many of you are there?")
    await listed.settle()
    await listed.take(listed.incoming("2", "bob", choice=2))

    for person in ("ann", "bob"):
        last = (await listed.messages(person))[-1]
        assert (last.kind, last.text, last.button) == ("text", "2", None)


async def test_on_standby_nothing_is_said_and_danger_is(bare: World) -> None:
    """Somebody outside answers there."""
    await bare.say(PLAIN, standby=True)
    row = await bare.conversation()
    assert (row.state, row.owner_outside) == ("human", True)
    assert bare.channel.texts() == []
    await bare.say(P1, standby=True)
    assert bare.channel.texts() == [bare.words("R09", "P1")]
    assert (await bare.conversation()).grade == "P1"


async def test_given_back_a_p3_is_the_assistants_and_a_p1_is_not(bare: World) -> None:
    """And what our own staff own stays theirs."""
    await bare.say(P3, standby=True)
    await bare.say(P1, person="bob", standby=True)
    await bare.say(P3, person="cat")
    mo = await bare.hire("mo")
    cat = await bare.conversation("cat")
    await bare.core.desk.claim(cat.id, mo, cat.epoch)
    for person in ("ann", "bob", "cat", "nobody"):
        await bare.core.door.accept([Control("test", person, True)])
    await bare.settle()

    assert (await bare.conversation("ann")).state == "bot"
    assert bare.channel.texts("ann")[-1] == bare.line("released")
    bob = await bare.conversation("bob")
    assert (bob.state, bob.grade) == ("human", "P1")
    assert (await bare.conversation("cat")).owner_id == mo.staff_id


async def test_an_unsent_message_is_shown_and_not_answered(bare: World) -> None:
    """What was stored stays; a picture's too."""
    await bare.say(PLAIN, message_id="m1")
    said = len(bare.channel.texts())
    await bare.say(kind="deleted", message_id="m1.d", edit_of="m1")
    await bare.say(kind="image", person="bob", message_id="m2")
    await bare.say(kind="deleted", person="bob", message_id="m2.d", edit_of="m2")
    kinds = [(m.kind, m.text, m.edit_of) for m in await bare.rows(Message)]

    assert kinds == [
        ("text", PLAIN, None), ("deleted", "", "m1"), ("image", "", None), ("deleted", "", "m2"),
    ]  # fmt: skip
    assert len(bare.channel.texts("ann")) == said


def test_an_incoming_of_before_needs_none_of_it() -> None:
    """The nouns grew by default values only."""
    assert Incoming("test", "ann", "1") == Incoming("test", "ann", "1", standby=False, choice=None)
