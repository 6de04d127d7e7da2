"""The drills that only Messenger and Instagram need: their signature, their batches, their order, their absence."""

from __future__ import annotations

import asyncio
import json
import time

import httpx

from tests.drills.drills import back_to_normal, crowd
from tests.drills.meta import MetaStack
from tests.drills.stack import Stack, expect
from tests.platforms.graph import sign
from tests.platforms.graph.server import HEADER

BATCH = 5


def meta(stack: Stack) -> MetaStack:
    """The stack as what it is here."""
    assert isinstance(stack, MetaStack)
    return stack


async def forged_signature(stack: Stack) -> None:
    """A call without the right signature is answered 403, rubbish 400; nothing of it is answered."""
    side = meta(stack)
    person = stack.person("forged_signature")
    event = side.writer(person).says(stack.questions.danger)
    entry = {"id": side.app.us, "time": 1, "messaging": [event]}
    kind = "instagram" if side.app.is_instagram else "page"
    body = json.dumps({"object": kind, "entry": [entry]}).encode()
    url = stack.public[0] + side.app.path
    right = sign(body, side.app.app_secret)
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        wrong = (None, "", "sha256=", "sha256=" + "0" * 64, right[:-1], right.removeprefix("sha256="))
        for signature in (*wrong, sign(body + b" ", side.app.app_secret), sign(body, "f" * 32)):
            headers = {} if signature is None else {HEADER: signature}
            answer = await http.post(url, content=body, headers=headers)
            expect(answer.status_code == 403, f"{signature} should be answered 403, not {answer.status_code}")
        for rubbish in (b"{", b"[]", b'{"object": "user", "entry": []}', b"\xff\xfe"):
            signed = {HEADER: sign(rubbish, side.app.app_secret)}
            answer = await http.post(url, content=rubbish, headers=signed)
            expect(answer.status_code == 400, f"{rubbish!r} should be answered 400, not {answer.status_code}")
    await asyncio.sleep(1)
    expect(not stack.heard(person), "nobody may be answered for a forged call")
    person = stack.person("forged_signature")
    expect(await stack.ask(person, stack.questions.slugs[0]), "the next question should be answered")


async def batch_of_five(stack: Stack) -> None:
    """Five people in one webhook, and with them a picture, a place and events of no words: each is answered."""

    async def one() -> None:
        people = [stack.person("batch_of_five") for _ in range(BATCH)]
        slugs = stack.questions.some(stack.chance, BATCH)
        events = [
            stack.event(person, stack.questions.text(slug), expects=slug)
            for person, slug in zip(people, slugs, strict=True)
        ]
        others = [stack.person("batch_of_five") for _ in range(2)]
        events += [stack.event(others[0], kind="image"), stack.event(others[1], kind="location")]
        writer = meta(stack).writer(people[0])
        events += [{"event": writer.reads(int(time.time() * 1000))}, {"event": writer.reacts("m_nobody")}]
        stack.chance.shuffle(events)
        await stack.deliver(*events, copies=2)
        for person in (*people, *others):
            expect(await stack.hear(person, seconds=30), f"{person} should be answered")

    await crowd(stack, one, 8, 4)


async def shuffled(stack: Stack) -> None:
    """Every webhook three times, each call at its own moment, in any order, at any gateway."""
    await stack.platform_mode(copies=3, scatter_seconds=1.0, repeat_seconds=1.0, receipts=True)

    async def one() -> None:
        person = stack.person("shuffled")
        slugs = stack.questions.some(stack.chance, 4)
        for slug in slugs:
            await stack.say(person, stack.questions.text(slug), expects=slug, alone=False)
        for slug in slugs:
            answer = stack.questions.answers[slug]
            expect(await stack.hear(person, seconds=40, text=answer), f"{person} should hear of {slug}")

    try:
        await crowd(stack, one, 20)
        await stack.settle()
    finally:
        await stack.platform_mode()


async def away(stack: Stack) -> None:
    """The Send API answers 503, 500, not at all, or cuts every line, while people write: all hear after."""
    side = meta(stack)
    block = stack.questions.line("block_999").split("\n")[0]
    for how in ("503", "500", "hang", "cut"):
        person = stack.person("away")
        people = [stack.person("away") for _ in range(6)]
        slug = stack.questions.slugs[0]
        expect(await stack.ask(stack.person("away"), slug), "before it all is well")
        stack.note(what="kill", target=f"{side.app.name} {how}", at=time.time())
        paths = ("me/messages", "sender_action")
        await side.faults(*({"path": path, "kind": how, "times": 10**6, "seconds": 5} for path in paths))
        await stack.say(person, stack.questions.danger)
        for other in people:
            await stack.say(other, stack.questions.text(slug), expects=slug)
        await asyncio.sleep(3)
        await side.faults()
        expect(await stack.hear(person, seconds=40, text=block), f"999 words should follow ({how})")
        for other in people:
            # Whose answer may or may not have come is told so, and waits for a person.
            expect(await stack.hear(other, seconds=40), f"{other} should hear something ({how})")
        await stack.settle()
    await back_to_normal(stack, "away")
