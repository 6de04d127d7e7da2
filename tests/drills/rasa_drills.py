"""The drills of the assistant: killed, hung, talking rubbish, and forgetting a form half-way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.drills.drills import Drill, back_to_normal, crowd
from tests.drills.processes import Process
from tests.drills.stack import Stack, expect


async def rasa_killed(stack: Stack) -> None:
    """Rasa killed and back: every message is answered, or passed to a person who is promised."""
    assert stack.stand_in is not None

    async def one() -> None:
        person = stack.person("rasa_killed")
        expect(
            await stack.converse(person, stack.questions.some(stack.chance, 6), pause=0.6),
            f"{person}: nothing",
        )

    async def killer() -> None:
        assert stack.stand_in is not None
        for _ in range(3):
            await asyncio.sleep(1.0)
            stack.note(what="kill", target="rasa", at=time.time())
            stack.stand_in.kill()
            await asyncio.sleep(1.5)
            stack.stand_in.start()
            await stack.stand_in.ready()

    async with asyncio.TaskGroup() as group:
        group.create_task(crowd(stack, one, 24))
        group.create_task(killer())
    await back_to_normal(stack, "rasa_killed")


async def rasa_odd(stack: Stack, drill: str, **mode: Any) -> None:
    """Talk while Rasa misbehaves in one way, then after."""

    async def one() -> None:
        person = stack.person(drill)
        expect(await stack.converse(person, stack.questions.some(stack.chance, 3)), f"{person}: nothing")
        chat = await stack.chat(person)
        expect(chat and chat["state"] == "waiting", f"{person} should be in the queue, but is {chat}")

    await stack.rasa_mode(**mode)
    try:
        await crowd(stack, one, 10)
    finally:
        await stack.rasa_mode()
    await back_to_normal(stack, drill)


async def rasa_hung(stack: Stack) -> None:
    """Rasa takes questions and never answers."""
    await rasa_odd(stack, "rasa_hung", hang=True)


async def rasa_rubbish(stack: Stack) -> None:
    """Rasa answers what is not JSON, what is not ours, and 500."""
    for rubbish in ("<html>", '{"messages": 7}', '{"intent": "x", "confidence": "high"}'):
        await rasa_odd(stack, "rasa_rubbish", rubbish=rubbish)
    await rasa_odd(stack, "rasa_rubbish", fail=True)


async def begin_form(stack: Stack, person: str) -> None:
    """Let a person begin the form, and be asked its first question."""
    # The stand-in knows its own words; the real Rasa knows what people say.
    start = "report a crime form" if stack.stand_in is not None else "i want to report something"
    await stack.say(person, start)
    first = stack.questions.line("triage_ask_now")
    expect(await stack.hear(person, seconds=30, text=first), "the form should begin")
    chat = await stack.chat(person)
    expect(chat and chat["form"], "the form should be on record")


async def begin_again(stack: Stack, person: str, *, may_go_on: bool = False) -> None:
    """After its memory went, the form begins again and says so; `may_go_on`: or it was not lost."""
    again = stack.questions.line("form_restarted")
    first, second = stack.questions.line("triage_ask_now"), stack.questions.line("triage_ask_hurt")
    before = len(stack.heard(person))
    await stack.say(person, "no")
    told = await stack.hear(person, before, 30)
    if not (may_go_on and any(second in t["text"] for t in told)):
        expect(
            await stack.hear(person, before, 10, text=again), "the person should hear that it begins again"
        )
        expect(await stack.hear(person, before, 10, text=first), "the first question should be asked again")
        before = len(stack.heard(person))
        await stack.say(person, "no")
        expect(await stack.hear(person, before, 30, text=second), "the second question should follow")
    before = len(stack.heard(person))
    await stack.say(person, "no")
    expect(await stack.hear(person, before, 30), "the form should end")


async def form_redis_wiped(stack: Stack) -> None:
    """Redis is wiped in the middle of a form."""
    assert stack.redis is not None
    for _ in range(3):
        person = stack.person("form_redis_wiped")
        await begin_form(stack, person)
        stack.redis.wipe()
        await begin_again(stack, person)


async def real_form_redis_wiped(stack: Stack) -> None:
    """The same with the real Rasa."""
    assert stack.redis is not None
    person = stack.person("real_form_redis_wiped")
    await begin_form(stack, person)
    stack.redis.wipe()
    await begin_again(stack, person)


def real_form_model_swapped(rasa: Process, other: Process) -> Drill:
    """The drill that puts another model in the place of the one that runs."""

    async def run(stack: Stack) -> None:
        """Another model takes over in the middle of a form: it goes on, or begins again and says so."""
        person = stack.person("real_form_model_swapped")
        await begin_form(stack, person)
        await asyncio.to_thread(rasa.stop)
        other.start()
        await other.ready(180)
        await begin_again(stack, person, may_go_on=True)
        await back_to_normal(stack, "real_form_model_swapped", real=True)

    return run


def real_rasa_killed(rasa: Process) -> Drill:
    """The drill that kills the real Rasa."""

    async def run(stack: Stack) -> None:
        """The real Rasa killed and back: everybody is answered or passed on, and it comes back."""

        async def one() -> None:
            person = stack.person("real_rasa_killed")
            for slug in stack.questions.some(stack.chance, 4):
                before = len(stack.heard(person))
                await stack.say(person, stack.questions.text(slug))
                expect(await stack.hear(person, before), f"{person}: nothing")
                await asyncio.sleep(0.5 * stack.chance.random())

        async def killer() -> None:
            await asyncio.sleep(0.5)
            stack.note(what="kill", target="rasa", at=time.time())
            rasa.kill()
            await asyncio.sleep(2)
            rasa.start()
            await rasa.ready(180)

        async with asyncio.TaskGroup() as group:
            group.create_task(crowd(stack, one, 16, 6))
            group.create_task(killer())
        await back_to_normal(stack, "real_rasa_killed", real=True)

    return run


async def form_rasa_away(stack: Stack) -> None:
    """Rasa is away in the middle of a form: the person is passed on, and told."""
    assert stack.stand_in is not None
    person = stack.person("form_rasa_away")
    await begin_form(stack, person)
    stack.note(what="kill", target="rasa", at=time.time())
    stack.stand_in.kill()
    before = len(stack.heard(person))
    await stack.say(person, "no")
    down = stack.questions.line("assistant_down")
    told = await stack.hear(person, before, 20, text=down)
    stack.stand_in.start()
    await stack.stand_in.ready()
    expect(told, "the person should be told that the assistant cannot answer")
    await back_to_normal(stack, "form_rasa_away")
