"""Holds messages as the public would, and asks for the model's reading of each beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.understanding.figures import Outcome
from benchmarks.understanding.sets import DIALOGUES, Case, HeldOut
from bot.assistant import Assistant, LiveContent, Reading, content_from_files
from bot.assistant.content import Content
from bot.conversations.words import Words
from bot.errors import UnavailableError
from bot.evaluate import evaluate
from bot.safety import Screen
from bot.settings import Settings
from bot.stack import Stack


@asynccontextmanager
async def assistant_for(settings: Settings, url: str | None = None) -> AsyncIterator[Settings]:
    """Settings that name a running assistant: the one at `url`, or one of our own, trained if need be."""
    if url:
        yield settings.model_copy(update={"assistant_urls": (url.rstrip("/"),)})
        return
    async with Stack(settings, settings.models) as stack:
        await stack.start()
        yield settings.model_copy(
            update={"assistant_urls": (stack.assistant_url,), "assistant_secret": stack.secret}
        )


async def hold(
    settings: Settings,
    conversations: Sequence[Sequence[Case]],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> list[list[Outcome]]:
    """Hold each conversation afresh, turn by turn; what came of it, in the same order.

    `settings` names an assistant that is running.

    Raises:
        UnavailableError: it did not answer every message. Such messages go to a person, which would
            look like a good result.
    """
    results = await evaluate(
        settings, [[case.text for case in cases] for cases in conversations], progress=progress
    )
    _refuse_outages(results)
    flat = [case for cases in conversations for case in cases]
    assistant = Assistant(settings.assistant_urls, settings.assistant_secret)
    try:
        readings = iter(await assistant.understand([case.text for case in flat]))
    finally:
        await assistant.close()
    content = content_from_files(settings.force, settings.data)
    screen = Screen.load(settings.data / "risk")
    words = Words(screen, LiveContent(content))
    held = []
    for cases, result in zip(conversations, results, strict=True):
        outcomes = []
        for case, turn in zip(cases, result["turns"], strict=True):
            reading = next(readings)
            escalates = bool(words.model_hits([reading])) or goes_to_a_person(content, reading)
            outcomes.append(Outcome(case, turn, reading, bool(screen.check(case.text).hits), escalates))
        held.append(outcomes)
    return held


def _refuse_outages(results: Sequence[Mapping[str, Any]]) -> None:
    # In a first turn the fallback has one reason; later it may be a second turn not understood.
    unread = sum("fallback" in result["turns"][0]["nets"] for result in results)
    if unread:
        raise UnavailableError(f"The assistant did not answer {unread} messages: nothing was counted.")


def goes_to_a_person(content: Content, reading: Reading) -> bool:
    """Whether the answer that a reading names is always handed over: mode E, or the wish for a person."""
    slug = reading.intent.removeprefix("faq/")
    faq = content.faqs.get(slug)
    if not reading.certain or faq is None:
        return False
    return slug == "ask-for-human" or bool(faq.mode == "E" and faq.category and not faq.condition)


def conversations_of(held_out: HeldOut) -> list[list[Case]]:
    """Everything that is held: each single message afresh, then the dialogues."""
    single = [[case] for cases in held_out.single.values() for case in cases]
    return single + [[Case(turn.text) for turn in dialogue.turns] for dialogue in held_out.dialogues]


def by_file(
    held_out: HeldOut, outcomes: Sequence[list[Outcome]]
) -> tuple[dict[str, list[Outcome]], list[list[Outcome]]]:
    """Part what `hold` gave back for `conversations_of`: by file, and the dialogues."""
    parted, at = {}, 0
    for name, cases in held_out.single.items():
        parted[name] = [one for outcome in outcomes[at : at + len(cases)] for one in outcome]
        at += len(cases)
    dialogues = list(outcomes[at:])
    assert len(dialogues) == held_out.counts[DIALOGUES]
    return parted, dialogues
