"""What belongs to one chat beside its words: incident number, snooze, call back, summary, earlier chats."""

from __future__ import annotations

from datetime import datetime

from sanic import HTTPResponse
from sanic.response import empty

from bot.console.conversation import act, must_read
from bot.console.visit import ANSWERING, SUPERVISOR, Routes, Visit
from bot.conversations.calls import Call, is_hidden
from bot.conversations.packet import Names, read_packet, summary
from bot.errors import RefusedError


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    routes.get(f"{chat}/summary", summary_page, ANSWERING)
    routes.post(f"{chat}/copied", copied, ANSWERING)
    routes.post(f"{chat}/incident", incident, ANSWERING)
    routes.post(f"{chat}/no-incident", no_incident, SUPERVISOR)
    routes.post(f"{chat}/reopen", reopen, ANSWERING)
    routes.post(f"{chat}/snooze", snooze, ANSWERING)
    routes.post(f"{chat}/wake", wake, ANSWERING)
    routes.post(f"{chat}/call-back", call_back, ANSWERING)
    routes.post(f"{chat}/called", called, ANSWERING)


def names_for(visit: Visit) -> Names:
    """What keys are called, for the summary."""
    pages, content = visit.console.pages, visit.core.content.current
    base = visit.core.settings.desk_url.rstrip("/")
    return Names(
        category=pages.category_name,
        team=pages.team_name,
        channel=pages.channel_name,
        language=pages.language_name,
        answer=lambda slug: content.faqs[slug].title if slug in content.faqs else slug,
        link=lambda chat: f"{base}/desk/c/{chat}",
        zone=visit.core.limits.limits.hours.zone,
    )


async def summary_page(visit: Visit, conversation_id: int) -> HTTPResponse:
    """The handover packet as plain text, to copy. That it was opened is on record like any reading."""
    await visit.core.desk.opened(conversation_id, visit.actor)
    async with visit.core.store.read() as connection:
        row = await must_read(visit, connection, conversation_id)
        packet = await read_packet(connection, row, visit.actor)
    hidden = is_hidden(visit.core.words, row.category)
    text = summary(packet, names_for(visit), hidden=hidden)
    return visit.page("summary.html", tab="", row=row, text=text)


async def copied(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Record that the summary was copied."""
    await visit.core.desk.copied(conversation_id, visit.actor)
    if visit.is_part:
        return empty()
    return visit.go(f"/desk/c/{conversation_id}/summary")


async def incident(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Keep the force's incident number."""
    number, desk = visit.field("incident", 200), visit.core.desk
    return await act(
        visit, conversation_id, lambda: desk.keep_incident(conversation_id, visit.actor, number), "incident"
    )


async def no_incident(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Let a chat close without an incident number, for a supervisor's reason."""
    reason, desk = visit.field("reason"), visit.core.desk
    return await act(
        visit,
        conversation_id,
        lambda: desk.waive_incident(conversation_id, visit.actor, reason),
        "no-incident",
    )


async def reopen(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Open a closed chat again."""
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.reopen(conversation_id, visit.actor), "reopen")


async def snooze(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a chat off the caller's list for a while."""
    length, desk = visit.field("length", 16), visit.core.desk
    return await act(
        visit, conversation_id, lambda: desk.snooze(conversation_id, visit.actor, length), "snooze"
    )


async def wake(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Put it back."""
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.end_snooze(conversation_id, visit.actor), "wake")


async def call_back(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Keep a wish to be called."""
    desk = visit.core.desk

    async def ask() -> int:
        call = Call(
            visit.field("number", 64),
            _time(visit, "safe_from"),
            _time(visit, "safe_until"),
            visit.field("note"),
        )
        return await desk.ask_call(conversation_id, visit.actor, call)

    return await act(visit, conversation_id, ask, "call-back")


async def called(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Mark a call as done, or as not done after all."""
    call_id, done, desk = visit.whole("call"), visit.field("done") == "yes", visit.core.desk
    return await act(
        visit,
        conversation_id,
        lambda: desk.settle_call(conversation_id, visit.actor, call_id, done=done),
        "called" if done else "not-called",
    )


def _time(visit: Visit, name: str) -> datetime | None:
    """A day and time of the force's own clock, as a browser sends it; None: not given.

    Raises:
        RefusedError: it cannot be read.
    """
    written = visit.field(name, 40).strip()
    if not written:
        return None
    try:
        at = datetime.fromisoformat(written)
    except ValueError as error:
        raise RefusedError("Write day and time as 2026-11-24 17:30.") from error
    zone = visit.core.limits.limits.hours.zone
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    if not 2020 <= at.year <= 2100:
        raise RefusedError("Check the year of the safe time.")
    return at
