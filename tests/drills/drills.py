"""The drills: each breaks something on purpose and goes on talking.

A drill is a function of a stack. It raises `DrillFailedError` for what it can see itself; what was lost,
doubled, talked over or reordered is counted afterwards, from the logs (`checker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from tests.drills.processes import SECRET, Postgres, Process
from tests.drills.stack import DrillFailedError, Stack, expect
from tests.platforms.loopback import HEADER, sign

Drill = Callable[[Stack], Awaitable[None]]

BIG_BODY_BYTES = 10_000_000
LONG_TEXT = 20_000
CLAIMERS = 50


# ---- what arrives ------------------------------------------------------------------------------


async def bad_bodies(stack: Stack) -> None:
    """Malformed JSON 400, a forged signature 401, 10 MB 413; the gateway goes on."""
    url = stack.public[0]
    for body in (b"{", b"[1]", b'{"events": 5}', b'{"events": [{"type": "message"}]}', b"\xff\xfe"):
        status = await post(url, body)
        expect(status == 400, f"{body!r} should be answered 400, not {status}")
    good = json.dumps({"events": []}).encode()
    status = await post(url, good, signature="sha256=" + "0" * 64)
    expect(status == 401, f"a forged signature should be answered 401, not {status}")
    status = await post(url, good, signature=None)
    expect(status == 401, f"a missing signature should be answered 401, not {status}")
    status = await post(url, b"x" * BIG_BODY_BYTES)
    expect(status == 413, f"10 MB should be answered 413, not {status}")
    person = stack.person("bad_bodies")
    expect(await stack.ask(person, stack.questions.slugs[0]), "the next question should be answered")


async def post(url: str, body: bytes, signature: str | None = "") -> int:
    """Post a webhook by hand, and read the answer even when it comes before all is sent."""
    return await asyncio.to_thread(_post, url, body, signature)


def _post(url: str, body: bytes, signature: str | None) -> int:
    place = urlsplit(url)
    head = [
        "POST /loopback/webhook HTTP/1.1",
        f"Host: {place.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if signature is not None:
        head.append(f"{HEADER}: {signature or sign(body, SECRET)}")
    with socket.create_connection((place.hostname, place.port), 15) as connection:
        # What came in stays readable after a reset, as long as nobody reads beyond it.
        with contextlib.suppress(ConnectionError):
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            connection.sendall(body)
        try:
            answer = connection.recv(4096)
        except ConnectionError:
            return 0
    return int(answer.split()[1]) if answer else 0


async def long_text(stack: Stack) -> None:
    """20,000 characters are stored whole and answered."""
    person = stack.person("long_text")
    slug = stack.questions.slugs[0]
    text = stack.questions.text(slug) + " " + "la " * LONG_TEXT
    text = text[:LONG_TEXT]
    await stack.say(person, text, expects=slug)
    expect(await stack.hear(person), "a long message should be answered")
    expect(await stored(stack, person) == [text.strip()], "a long message should be stored whole")


async def strange_text(stack: Stack) -> None:
    """Null bytes, right-to-left marks, emoji, HTML and script are kept as the text that they are."""
    texts = (
        "null \x00 byte",
        "\u202eright to left\u202c \u200f mark",
        "\U0001f600\U0001f600\U0001f937\u200d\u2640\ufe0f",
        "<script>alert(1)</script><b>bold</b> &amp; <img src=x onerror=alert(1)>",
        "half a pair \ud83d end",
        "' OR 1=1; DROP TABLE message; --",
        "{{7*7}} ${7*7} %s %n {reference}",
    )
    for text in texts:
        person = stack.person("strange_text")
        await stack.say(person, text)
        expect(await stack.hear(person, seconds=20), f"{text!r} should be answered")
        # What no database can keep is shown as the sign for "something was here".
        shown = text.replace("\x00", "\ufffd").replace("\ud83d", "\ufffd")
        kept = await stored(stack, person)
        expect(kept == [shown], f"{text!r} should be shown as text, not {kept!r}")
        for told in stack.heard(person):
            expect("<script>" not in told["text"], "what a person wrote should not be sent back")
    person = stack.person("strange_text")
    await stack.deliver(stack.event(person, "hello \x00", name="A\x00 \ud83d", kind="hologram"))
    expect(await stack.hear(person, seconds=20), "an unknown kind should be answered")


async def stored(stack: Stack, person: str) -> list[str]:
    """The person's own lines at the desk."""
    answer = await stack.door("GET", "/drill/transcript", person=person)
    return [line["text"] for line in answer.json() if line["side"] == "person"]


async def commands_as_text(stack: Stack) -> None:
    """`/restart`, `/session_start` and slash-JSON are words: no button, and no form is lost by them."""
    for text in ("/restart", "/session_start", '/triage{"happening_now":"yes"}', "/faq/noise", " /back"):
        person = stack.person("commands_as_text")
        await stack.say(person, text)
        expect(await stack.hear(person, seconds=20), f"{text} should be answered")
        kept = await stored(stack, person)
        expect(kept == [text], f"{text} should be stored as text, not {kept}")
    person = stack.person("commands_as_text")
    await stack.deliver(stack.event(person, "press", kind="button", button='/triage{"happening_now":"yes"}'))
    expect(await stack.hear(person, seconds=20), "a made-up button should be answered")
    if stack.stand_in is not None:
        pressed = [seen for seen in await stack.rasa_seen() if seen.get("button")]
        expect(not any("happening_now" in seen["button"] for seen in pressed), "only our buttons may pass")


async def every_event_of_a_batch(stack: Stack) -> None:
    """Text, picture, place, caption and another person in one webhook: each is stored and answered."""
    one, two, three, four = (stack.person("every_event_of_a_batch") for _ in range(4))
    slug = stack.questions.slugs[1]
    await stack.deliver(
        stack.event(one, stack.questions.text(slug), expects=slug),
        stack.event(two, kind="image"),
        stack.event(three, kind="location", latitude=54.97, longitude=-1.61),
        stack.event(four, kind="image", caption=stack.questions.text(slug), expects=None),
        {"type": "receipt", "id": "nobody", "state": "read"},
        {"type": "typing", "person": one},
    )
    for person in (one, two, three, four):
        expect(await stack.hear(person, seconds=20), f"{person} should be answered")
    expect(await stored(stack, four) == [stack.questions.text(slug)], "a caption should be kept")


async def delivered_three_times(stack: Stack) -> None:
    """Every webhook three times, to both gateways, in any order: one set of answers each."""

    async def one() -> None:
        person = stack.person("delivered_three_times")
        slugs = stack.questions.some(stack.chance, 8)
        done = await stack.converse(person, slugs, copies=3, pause=0.2)
        expect(done, f"{person} should be answered")

    await crowd(stack, one, 40)


async def two_at_once(stack: Stack) -> None:
    """Two messages of one person to two gateways, while a slow turn runs: one answer each."""
    await stack.rasa_mode(delay=0.8)

    async def one() -> None:
        person = stack.person("two_at_once")
        slugs = stack.questions.some(stack.chance, 3)
        for number, slug in enumerate(slugs):
            await stack.say(
                person, stack.questions.text(slug), expects=slug, alone=False, first=number, copies=1
            )
            await asyncio.sleep(0.2 + 0.3 * stack.chance.random())
        for slug in slugs:
            answer = stack.questions.answers[slug]
            expect(await stack.hear(person, seconds=30, text=answer), f"{person} should hear of {slug}")

    try:
        await crowd(stack, one, 12)
        await asyncio.sleep(3)
    finally:
        await stack.rasa_mode()


async def split_sentence(stack: Stack) -> None:
    """A threat to life in two halves, to two gateways at the same moment: the 999 words go out."""
    pairs = stack.questions.split_in_order
    expect(pairs, "the screen should know a split sentence")
    block = stack.questions.line("block_999").split("\n")[0]
    for number in range(3 * len(pairs)):
        first, second = pairs[number % len(pairs)]
        person = stack.person("split_sentence")
        one = stack.event(person, first, alone=False, expects=None)
        two = stack.event(person, second, alone=False)
        if number % 3 == 0:
            await stack.deliver(one, first=0)
            await stack.deliver(two, first=1)
        elif number % 3 == 1:
            await asyncio.gather(stack.deliver(one, first=0), stack.deliver(two, first=1))
        else:
            await stack.deliver(two, first=1)
            await asyncio.sleep(0.3)
            await stack.deliver(one, first=0)
        expect(
            await stack.hear(person, seconds=20, text=block),
            f"'{first}' and '{second}' should bring the 999 words (way {number % 3})",
        )


async def crowd(stack: Stack, one: Callable[[], Awaitable[None]], people: int, at_once: int = 12) -> None:
    """Many people, some at a time."""
    places = asyncio.Semaphore(at_once)

    async def next_one() -> None:
        async with places:
            await one()

    async with asyncio.TaskGroup() as group:
        for _ in range(people):
            group.create_task(next_one())


# ---- the platform ------------------------------------------------------------------------------


async def busy_platform(stack: Stack) -> None:
    """429, 503 and slow answers: everything arrives once, in order, or the person is told."""

    async def one() -> None:
        person = stack.person("busy_platform")
        expect(await stack.converse(person, stack.questions.some(stack.chance, 4)), f"{person}: no answer")

    async def desk() -> None:
        person = stack.person("busy_platform")
        staff = await into_hands(stack, person)
        chat = await stack.wait_for_state(person, "human")
        for number in range(8):
            await stack.reply(person, staff, chat["id"], gateway=number)
        await stack.let_go(person, staff, chat["id"], "close")

    await stack.platform_mode(
        busy_share=0.12, down_share=0.1, retry_after=0.6, slow_share=0.1, slow_seconds=0.5
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd(stack, one, 24))
            group.create_task(crowd(stack, desk, 10, 5))
        await stack.platform_mode(slow_share=0.3, slow_seconds=4.0)
        await crowd(stack, one, 12)
        await asyncio.sleep(8)
    finally:
        await stack.platform_mode()
    await asyncio.sleep(6)


async def into_hands(stack: Stack, person: str, staff: int | None = None) -> int:
    """Let a person ask for a person, and a member of staff take them."""
    who = staff or stack.chance.randint(1, CLAIMERS)
    await stack.deliver(stack.event(person, "talk to a person", kind="button", button="person"))
    chat = await stack.wait_for_state(person, "waiting", seconds=40)
    for attempt in range(20):
        won = await stack.claim(person, who, chat, gateway=attempt)
        if won:
            return who
        chat = await stack.wait_for_state(person, "waiting", "human", seconds=40)
        if chat["state"] == "human" and chat["owner"] == who:
            # The claim was kept, but its answer was cut off: a page that asks again is told so.
            continue
        await asyncio.sleep(0.2)
    raise DrillFailedError(f"{person} could not be claimed")


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
            expect(chat and chat["state"] == "bot", f"{person}: our own echo was taken for another's: {chat}")
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


# ---- Rasa --------------------------------------------------------------------------------------


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


async def back_to_normal(stack: Stack, drill: str, seconds: float = 25.0, *, real: bool = False) -> None:
    """After a while a new person is answered by the assistant again."""
    deadline = time.monotonic() + seconds
    slug = "noise" if real else stack.questions.slugs[0]
    while time.monotonic() < deadline:
        person = stack.person(drill)
        told = await stack.ask(person, slug)
        if any(stack.questions.answers[slug] in t["text"] for t in told):
            return
        await asyncio.sleep(1)
    raise DrillFailedError("the assistant did not come back")


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


# ---- Redis and the database --------------------------------------------------------------------


async def redis_wiped_and_stopped(stack: Stack) -> None:
    """Redis wiped, hung, stopped and back, under traffic: slower, and nothing else."""
    redis = stack.redis
    assert redis is not None

    async def one() -> None:
        person = stack.person("redis_wiped_and_stopped")
        expect(
            await stack.converse(person, stack.questions.some(stack.chance, 6), pause=0.5),
            f"{person}: nothing",
        )

    async def breaker() -> None:
        for _ in range(3):
            await asyncio.sleep(0.7)
            redis.wipe()
        stack.note(what="kill", target="redis", at=time.time())
        redis.kill()
        await asyncio.sleep(3)
        redis.start()
        await asyncio.sleep(2)
        redis.hang()
        await asyncio.sleep(3)
        redis.go_on()

    async with asyncio.TaskGroup() as group:
        group.create_task(crowd(stack, one, 36))
        group.create_task(breaker())
    await back_to_normal(stack, "redis_wiped_and_stopped")


def database_stopped(postgres: Postgres) -> Drill:
    """The drill that stops this database."""

    async def drill(stack: Stack) -> None:
        """The database stopped and back: nothing taken is lost, and 999 words leave without it."""

        async def one() -> None:
            person = stack.person("database_stopped")
            expect(
                await stack.converse(person, stack.questions.some(stack.chance, 5), pause=0.5),
                f"{person}: nothing",
            )

        async def breaker() -> None:
            await asyncio.sleep(1.5)
            stack.note(what="kill", target="database", at=time.time())
            await asyncio.to_thread(postgres.stop)
            try:
                await asyncio.sleep(1)
                person = stack.person("database_stopped")
                block = stack.questions.line("block_999").split("\n")[0]
                await stack.say(person, stack.questions.danger)
                told = await stack.hear(person, seconds=15, text=block)
                expect(told, "the 999 words should leave while the database is away")
                await asyncio.sleep(3)
                expect(
                    len(stack.heard(person)) <= len(stack.gateways),
                    "the 999 words should leave once for each gateway, however often the webhook comes",
                )
            finally:
                await asyncio.to_thread(postgres.start)
            await stack.wait_for_state(person, "waiting", seconds=40)

        async with asyncio.TaskGroup() as group:
            group.create_task(crowd(stack, one, 24))
            group.create_task(breaker())
        await back_to_normal(stack, "database_stopped")

    return drill


# ---- staff -------------------------------------------------------------------------------------


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


# ---- gateways ----------------------------------------------------------------------------------


def gateways_killed(drill: str, kills: int, people: int, questions: int) -> Drill:
    """The drill that kills gateways so often, while so many people ask so many questions."""

    async def run(stack: Stack) -> None:
        """Gateways killed with -9 at random points, under traffic: nothing taken is lost or doubled."""
        over = asyncio.Event()

        async def one() -> None:
            person = stack.person(drill)
            slugs = stack.questions.some(stack.chance, questions)
            done = await stack.converse(person, slugs, copies=stack.chance.choice((1, 1, 2)), pause=0.5)
            expect(done, f"{person}: nothing")

        async def desk() -> None:
            person = stack.person(drill)
            staff = await into_hands(stack, person)
            chat = await stack.wait_for_state(person, "human")
            for number in range(4):
                await stack.reply(person, staff, chat["id"], gateway=number)
                await asyncio.sleep(0.4 * stack.chance.random())
            await stack.let_go(person, staff, chat["id"], stack.chance.choice(("release", "close")))

        async def killer() -> None:
            for number in range(kills):
                await asyncio.sleep(0.2 + 1.3 * stack.chance.random())
                victim = number % len(stack.gateways)
                stack.kill_gateway(victim)
                # Nothing of Sanic's or ours may need a clean end: the next one starts at once.
                stack.gateways[victim].start()
                await stack.gateways[victim].ready()
            over.set()

        async def until_over(who: Callable[[], Awaitable[None]], at_once: int) -> None:
            async def one_after_another() -> None:
                while not over.is_set():
                    await who()

            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(one_after_another())

        await stack.platform_mode(
            slow_share=0.3, slow_seconds=0.3, busy_share=0.05, echoes=True, receipts=True, retry_after=0.5
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(killer())
                group.create_task(until_over(one, people))
                group.create_task(until_over(desk, 2))
        finally:
            await stack.platform_mode()
        await asyncio.sleep(14)

    return run


async def plain_traffic(stack: Stack) -> None:
    """Many people, nothing broken: what the other drills are measured against."""

    async def one() -> None:
        person = stack.person("plain_traffic")
        expect(await stack.converse(person, stack.questions.some(stack.chance, 10)), f"{person}: nothing")

    await crowd(stack, one, 40, 16)
