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
from urllib.parse import urlsplit

from bot.assistant.client import BREAK_SECONDS
from tests.drills.processes import SECRET, Postgres
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


async def back_to_normal(stack: Stack, drill: str, seconds: float = 25.0, *, real: bool = False) -> None:
    """After a while a new person is answered by the assistant again, whichever gateway takes the turn."""
    # Each gateway leaves a Rasa that failed alone for itself: one may rest while the other answers.
    await asyncio.sleep(BREAK_SECONDS)
    deadline = time.monotonic() + seconds
    slug = "noise" if real else stack.questions.slugs[0]
    while time.monotonic() < deadline:
        person = stack.person(drill)
        told = await stack.ask(person, slug)
        if any(stack.questions.answers[slug] in t["text"] for t in told):
            return
        await asyncio.sleep(1)
    raise DrillFailedError("the assistant did not come back")


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
