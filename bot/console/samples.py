"""The daily sample: chats that only the assistant had, read by a supervisor with names covered up."""

from __future__ import annotations

from sanic import HTTPResponse

from bot.assurance.masking import mask
from bot.assurance.samples import VERDICTS, count_verdicts, get_sample, give_verdict, list_samples
from bot.console.reading import read_conversation
from bot.console.visit import SUPERVISOR, Routes, Visit, status_of
from bot.conversations.transcript import Line, read_transcript
from bot.errors import NotAllowedError, RefusedError


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/samples", page, SUPERVISOR)
    routes.get("/desk/samples/<sample_id:int>", one, SUPERVISOR)
    routes.post("/desk/samples/<sample_id:int>", verdict, SUPERVISOR)


async def page(visit: Visit) -> HTTPResponse:
    """What is to be read, and what was read last."""
    async with visit.core.store.read() as connection:
        unread = await list_samples(connection, visit.actor, read=False)
        done = await list_samples(connection, visit.actor, read=True, limit=50)
        counts = await count_verdicts(connection, visit.actor)
    return visit.page(
        "samples.html", tab="overview", room="samples", unread=unread, done=done, counts=counts,
        verdicts=VERDICTS, reviewed=visit.query("done") == "read",
    )  # fmt: skip


async def one(visit: Visit, sample_id: int) -> HTTPResponse:
    """One chat, covered up. That somebody read it is recorded before anything is shown."""
    return await _one(visit, sample_id)


async def _one(visit: Visit, sample_id: int, status: int = 200, problem: str = "") -> HTTPResponse:
    async with visit.core.store.read() as connection:
        row = await get_sample(connection, sample_id, visit.actor)
    await visit.core.desk.opened(row.conversation_id, visit.actor)
    async with visit.core.store.read() as connection:
        chat = await read_conversation(connection, row.conversation_id)
        lines = await read_transcript(connection, row.conversation_id, notes=False)
    names = [chat.person_name] if chat is not None and chat.person_name else []
    return visit.page(
        "sample.html",
        status,
        tab="overview",
        room="samples",
        sample=row,
        lines=[(line, _covered(line, names)) for line in lines],
        verdicts=VERDICTS,
        problem=problem,
        given={"verdict": visit.field("verdict", 16), "note": visit.field("note")},
    )


def _covered(line: Line, names: list[str]) -> str:
    # Our own words hold the numbers that the public is to call; only what a person wrote is covered.
    return mask(line.text, names) if line.side in ("person", "staff") else line.text


async def verdict(visit: Visit, sample_id: int) -> HTTPResponse:
    """Keep what the reader says of it."""
    chosen = visit.field("message", 18)
    message_id = int(chosen) if chosen.isascii() and chosen.isdigit() else None
    try:
        async with visit.core.store.write() as connection:
            review = await give_verdict(
                connection,
                sample_id,
                visit.actor,
                visit.field("verdict", 16),
                visit.field("note"),
                message_id,
            )
    except NotAllowedError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _one(visit, sample_id, status_of(error), str(error))
    visit.core.bell.ring("event")
    return visit.go(f"/desk/reviews/{review}" if review is not None else "/desk/samples?done=read")
