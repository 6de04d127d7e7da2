"""The drills that only Telegram needs: its secret, its order, its absence, and who asks for its news."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from bot.channels.telegram.webhook import HEADER
from tests.drills.drills import Drill, back_to_normal, crowd
from tests.drills.processes import SECRET, Postgres
from tests.drills.stack import Stack, expect
from tests.drills.telegram import TelegramStack


def telegram(stack: Stack) -> TelegramStack:
    """The stack as what it is here."""
    assert isinstance(stack, TelegramStack)
    return stack


async def forged_secret(stack: Stack) -> None:
    """A call without the secret is answered 401, rubbish 400, 10 MB 413; nothing of it is answered."""
    side = telegram(stack)
    person = stack.person("forged_secret")
    update = side.writer(person).says(stack.questions.danger)
    url = f"{stack.public[0]}/telegram/webhook"
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        for secret in ({}, {HEADER: ""}, {HEADER: "wrong"}, {HEADER: SECRET + "x"}, {HEADER: SECRET[:-1]}):
            answer = await http.post(url, json={"update_id": 1, **update}, headers=secret)
            expect(answer.status_code == 401, f"{secret} should be answered 401, not {answer.status_code}")
        for body in (b"{", b"[]", b'{"update_id": "1"}', b"\xff\xfe"):
            answer = await http.post(url, content=body, headers={HEADER: SECRET})
            expect(answer.status_code == 400, f"{body!r} should be answered 400, not {answer.status_code}")
    await asyncio.sleep(1)
    expect(not stack.heard(person), "nobody may be answered for a forged call")
    person = stack.person("forged_secret")
    expect(await stack.ask(person, stack.questions.slugs[0]), "the next question should be answered")


async def shuffled(stack: Stack) -> None:
    """Every update three times, each call at its own moment, in any order, at any gateway."""
    await stack.platform_mode(copies=3, scatter_seconds=1.0)

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
    """Telegram answers 502, not at all, or cuts every line, while people write: all is answered after."""
    block = stack.questions.line("block_999").split("\n")[0]
    for how in ("502", "hang", "cut"):
        person = stack.person("away")
        people = [stack.person("away") for _ in range(6)]
        slug = stack.questions.slugs[0]
        expect(await stack.ask(stack.person("away"), slug), "before it all is well")
        stack.note(what="kill", target=f"telegram {how}", at=time.time())
        await stack.platform_mode(away=how)
        await stack.say(person, stack.questions.danger)
        for other in people:
            await stack.say(other, stack.questions.text(slug), expects=slug)
        await asyncio.sleep(3)
        await stack.platform_mode()
        expect(await stack.hear(person, seconds=40, text=block), f"999 words should follow ({how})")
        for other in people:
            expect(await stack.hear(other, seconds=40), f"{other} should hear something ({how})")
        await stack.settle()
    await back_to_normal(stack, "away")


def poller_killed(kills: int) -> Drill:
    """The drill that kills whichever gateway asks for the news, so often."""

    async def run(stack: Stack) -> None:
        """The gateway that polls is killed with -9: another takes over, nothing is lost or doubled."""
        side = telegram(stack)
        over = asyncio.Event()

        async def one() -> None:
            while not over.is_set():
                person = stack.person("poller_killed")
                slugs = stack.questions.some(stack.chance, 5)
                expect(await stack.converse(person, slugs, pause=0.5), f"{person}: nothing")

        async def killer() -> None:
            for number in range(kills):
                await asyncio.sleep(1.0 + 2.0 * stack.chance.random())
                # Which of them polls is not told; over the kills it is each of them.
                victim = number % len(stack.gateways)
                stack.kill_gateway(victim)
                before = len(await polls(side))
                for _ in range(200):
                    if len(await polls(side)) > before + 1:
                        break
                    await asyncio.sleep(0.1)
                expect(len(await polls(side)) > before, "another gateway should go on asking")
                stack.gateways[victim].start()
                await stack.gateways[victim].ready()
            over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(killer())
            for _ in range(6):
                group.create_task(one())
        await asyncio.sleep(10)

    return run


async def polls(side: TelegramStack) -> list[dict[str, Any]]:
    """The questions for news so far, of those that are remembered."""
    return [call for call in (await side.seen())["calls"] if call["method"] == "getUpdates"]


def store_away(postgres: Postgres) -> Drill:
    """The drill that stops the database while one gateway polls."""

    async def run(stack: Stack) -> None:
        """The last holder reads on for words of danger, slowly, and confirms nothing."""
        side = telegram(stack)
        quiet = [stack.person("store_away") for _ in range(3)]
        expect(await stack.ask(quiet[0], stack.questions.slugs[0]), "before it all is well")
        stack.note(what="kill", target="database", at=time.time())
        await asyncio.to_thread(postgres.stop)
        try:
            person = stack.person("store_away")
            block = stack.questions.line("block_999").split("\n")[0]
            slug = stack.questions.slugs[1]
            for other in quiet[1:]:
                await stack.say(other, stack.questions.text(slug), expects=slug)
            await stack.say(person, stack.questions.danger)
            expect(await stack.hear(person, seconds=20, text=block), "the 999 words should leave without it")
            before = len(await polls(side))
            await asyncio.sleep(6)
            asked = len(await polls(side)) - before
            expect(1 <= asked <= 12, f"it should go on asking, in no hurry, not {asked} times in six seconds")
            expect((await side.seen())["pending"] == 3, "nothing may be confirmed that is not stored")
            told = len(stack.heard(person))
            expect(told <= len(stack.gateways), f"the words once for each gateway, not {told} times")
        finally:
            await asyncio.to_thread(postgres.start)
        for other in quiet[1:]:
            expect(await stack.hear(other, seconds=40), f"{other} should be answered when it is back")
        await stack.wait_for_state(person, "waiting", seconds=40)
        await stack.settle()
        await back_to_normal(stack, "store_away")

    return run
