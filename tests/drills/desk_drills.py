"""The drills of the desk: claims that race, echoes, who may know of an accusation, and private notes."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.drills.drills import CLAIMERS, crowd, into_hands
from tests.drills.gateway import OUTSIDE
from tests.drills.stack import PATIENCE_SECONDS, Stack, expect


async def echoes(stack: Stack) -> None:
    """Our own messages echoed, with and without their id: never taken for somebody outside."""
    for with_id in (True, False):
        await stack.platform_mode(
            echoes=True, echo_with_id=with_id, receipts=True, slow_share=0.3, slow_seconds=0.4
        )
        people: list[str] = []

        async def one(people: list[str] = people) -> None:
            person = stack.person("echoes")
            people.append(person)
            done = await stack.converse(person, stack.questions.some(stack.chance, 4), pause=0.3)
            expect(done, f"{person}: no answer")

        await crowd(stack, one, 15)
        await asyncio.sleep(2)
        for person in people:
            chat = await stack.chat(person)
            expect(
                chat and chat["state"] != "human" and not chat["outside"],
                f"{person}: our own echo was taken for another's: {chat}",
            )
    await stack.platform_mode()
    person = stack.person("echoes")
    await stack.ask(person, stack.questions.slugs[0])
    await stack.outside(person, "Hello, this is PC Smith, outside the desk.")
    chat = await stack.wait_for_state(person, "human")
    expect(chat["outside"], "an answer from outside should silence the assistant")
    told = len(stack.heard(person))
    await stack.say(person, stack.questions.text(stack.questions.slugs[1]), expects=None)
    await asyncio.sleep(2)
    expect(len(stack.heard(person)) == told, "nothing automatic may follow an answer from outside")
    expect(await stack.claim(person, 1, chat), "a chat answered outside should be claimable")
    expect(await stack.reply(person, 1, chat["id"]), "and answered")
    await stack.let_go(person, 1, chat["id"], "close")


async def fifty_claims(stack: Stack) -> None:
    """Fifty members of staff claim one chat through both gateways at once: one gets it."""
    for _ in range(6):
        person = stack.person("fifty_claims")
        await stack.deliver(stack.event(person, "talk to a person", kind="button", button="person"))
        chat = await stack.wait_for_state(person, "waiting")
        won = await asyncio.gather(
            *(stack.claim(person, staff, chat, gateway=staff) for staff in range(1, CLAIMERS + 1))
        )
        expect(won.count(True) == 1, f"{won.count(True)} of fifty claims were won")
        expect(won.count(None) == 0, f"{won.count(None)} of fifty claims were not answered")
        owner = won.index(True) + 1
        row = await stack.wait_for_state(person, "human")
        expect(row["owner"] == owner, "the winner should own the chat")
        for number in range(5):
            expect(
                await stack.reply(person, owner, row["id"], gateway=number),
                "the owner should be able to reply",
            )
        expect(
            not await stack.reply(person, owner % CLAIMERS + 1, row["id"]), "nobody else should be able to"
        )
        await stack.let_go(person, owner, row["id"], "release" if stack.chance.random() < 0.5 else "close")
        expect(await stack.hear(person, text=f"#{5}"), "all replies should arrive")


async def claim_in_flight(stack: Stack) -> None:
    """A claim while a turn, or a send, is under way: from its answer on nothing automatic is said."""

    async def one(turn_seconds: float, wait: float) -> None:
        person = stack.person("claim_in_flight")
        await stack.deliver(stack.event(person, "talk to a person", kind="button", button="person"))
        chat = await stack.wait_for_state(person, "waiting")
        await stack.hear(person)
        asked = stack.questions.some(stack.chance, 2)
        for slug in asked:
            await stack.say(person, stack.questions.text(slug), expects=None, alone=False, first=0)
        await asyncio.sleep(wait * stack.chance.random())
        staff = stack.chance.randint(1, CLAIMERS)
        expect(await stack.claim(person, staff, chat, gateway=1), "the claim should be won")
        await asyncio.sleep(turn_seconds)
        for number in range(3):
            expect(await stack.reply(person, staff, chat["id"], gateway=number), "a reply should be taken")
        await asyncio.sleep(turn_seconds)
        expect(await stack.hear(person, text="#3", seconds=20), "the replies should arrive")
        await stack.let_go(person, staff, chat["id"], "release")
        # Another one: an answer that was given while they waited would count as a second one of this.
        slug = next(slug for slug in stack.questions.slugs if slug not in asked)
        before = len(stack.heard(person))
        await stack.say(person, stack.questions.text(slug), expects=slug, alone=False)
        expect(await stack.hear(person, before), "after release the assistant should answer again")

    try:
        await stack.rasa_mode(delay=1.2)
        await crowd(stack, lambda: one(1.5, 1.4), 16, 8)
        await stack.rasa_mode(delay=0.05)
        await stack.platform_mode(slow_share=0.6, slow_seconds=1.2)
        await crowd(stack, lambda: one(1.5, 0.8), 16, 8)
    finally:
        await stack.rasa_mode()
        await stack.platform_mode()


# ---- what stays inside -------------------------------------------------------------------------

ACCUSED = "the officer punched me"
INSIDE = 1
"""Of every team, the closed one among them."""
HOW = ("list", "count", "search", "events", "address")
TYPING_SECONDS = 2.5
ALWAYS = ("search", "events", "address")
"""The ways by which its own team finds a chat, whoever has it and when it is closed too."""


async def officer_accused(stack: Stack) -> None:
    """An officer accused: who is outside its team finds it in no list, count or search, and can do nothing."""
    for word, danger in (("quartzite", False), ("feldspar", True)):
        person = stack.person("officer_accused")
        await stack.say(person, ACCUSED)
        expect(await stack.hear(person), "an accusation should be answered")
        # Whoever was answered a second ago is told nothing more; nobody types faster.
        await asyncio.sleep(TYPING_SECONDS)
        before = len(stack.heard(person))
        await stack.say(person, f"it was by the {word} works yesterday evening")
        expect(await stack.hear(person, before), "and so should what follows")
        if danger:
            before = len(stack.heard(person))
            await stack.say(person, stack.questions.danger)
            expect(await stack.hear(person, before), "danger should be answered")
        chat = await stack.wait_for_state(person, "waiting")
        expect(chat["grade"] == ("P1" if danger else "P2"), f"an accusation should be urgent, not {chat}")
        await _stays_inside(stack, chat, word)
        expect(await stack.claim(person, INSIDE, chat), "its own team should be able to take it")
        await _stays_inside(stack, chat, word)
        expect(await stack.reply(person, INSIDE, chat["id"]), "and to answer")
        done = {"outcome": "complaint_recorded", "done": "Recorded.", "incident": "NP-20261124-0001"}
        expect(await stack.let_go(person, INSIDE, chat["id"], "close", **done), "and to close it")
        await _stays_inside(stack, chat, word)


async def _stays_inside(stack: Stack, chat: dict[str, Any], word: str) -> None:
    """Look as somebody of the team, then as everybody outside it, by every way there is."""
    what = {"id": str(chat["id"]), "words": word}
    seen = dict.fromkeys(HOW, False)
    until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not all(seen[how] for how in ALWAYS) and asyncio.get_running_loop().time() < until:
        seen = (await stack.door("GET", "/drill/sees", staff=str(INSIDE), **what)).json()
        await asyncio.sleep(0.1)
    expect(all(seen[how] for how in ALWAYS), f"its own team should see it: {seen}")
    for staff in OUTSIDE:
        seen = (await stack.door("GET", "/drill/sees", staff=str(staff), **what)).json()
        found = [how for how in HOW if seen[how]]
        expect(not found, f"somebody outside learns of an accusation by {', '.join(found)}")
        for verb, more in (
            ("claim", {"epoch": chat["epoch"]}), ("reply", {"text": "Hello"}), ("note", {"text": "Seen"}),
            ("transfer", {"team": "control_room", "text": "for you"}), ("close", {"done": "Closed."}),
        ):  # fmt: skip
            answer = await stack.door("POST", f"/drill/{verb}", {"id": chat["id"], "staff": staff, **more})
            expect(400 <= answer.status_code < 500, f"somebody outside could {verb}: {answer.status_code}")


async def private_notes(stack: Stack) -> None:
    """Notes of every kind, through a whole chat: none of their words reaches the person (the checker counts)."""

    async def one() -> None:
        person = stack.person("private_notes")
        staff = await into_hands(stack, person)
        chat = await stack.wait_for_state(person, "human")
        await _note(stack, person, staff, chat, "note")
        expect(await stack.reply(person, staff, chat["id"]), "a reply should be taken")
        await _note(stack, person, staff, chat, "transfer", team="control_room")
        chat = await stack.wait_for_state(person, "waiting")
        other = staff % CLAIMERS + 1
        expect(await stack.claim(person, other, chat), "who it was passed to should be able to take it")
        await _note(stack, person, other, chat, "note")
        expect(await stack.reply(person, other, chat["id"]), "a reply should be taken")
        expect(await stack.hear(person, text="#2"), "the replies should arrive")
        done = _secret(stack, person)
        await stack.let_go(person, other, chat["id"], "close", done=done)

    await crowd(stack, one, 8, 4)
    # What was put in line by mistake would be on its way by now.
    await asyncio.sleep(3)


def _secret(stack: Stack, person: str) -> str:
    """Words for staff alone, written down for the checker."""
    text = f"PRIVATE {stack.chance.randrange(10**9)}: his brother told us"
    stack.note(what="private", person=person, text=text)
    return text


async def _note(stack: Stack, person: str, staff: int, chat: dict[str, Any], verb: str, **more: str) -> None:
    body = {"id": chat["id"], "staff": staff, "text": _secret(stack, person), **more}
    answer = await stack.door("POST", f"/drill/{verb}", body)
    expect(answer.status_code == 200, f"a {verb} should be taken, not answered {answer.status_code}")
