"""Labels on a conversation: put one on, take one off."""

from __future__ import annotations

from sanic import HTTPResponse

from bot.console.conversation import act
from bot.console.visit import ANSWERING, Routes, Visit
from bot.handover import labels
from bot.handover.sensitive import Sensitive


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    routes.post(f"{chat}/label", put_on, ANSWERING)
    routes.post(f"{chat}/unlabel", take_off, ANSWERING)


async def put_on(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Put a label on: the one that was typed, or else the one that was chosen."""
    content = visit.core.content.current
    known, rule = labels.listed(content.labels), Sensitive.of(content.teams)
    written = visit.field("other", 200).strip() or visit.field("label", 200)

    async def work() -> None:
        async with visit.core.store.write() as connection:
            await labels.put_on(connection, conversation_id, visit.actor, written, known=known, rule=rule)
        visit.core.bell.ring("event")

    return await act(visit, conversation_id, work, "label")


async def take_off(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a label off."""
    rule = Sensitive.of(visit.core.content.current.teams)
    name = visit.field("label", 200)

    async def work() -> None:
        async with visit.core.store.write() as connection:
            await labels.take_off(connection, conversation_id, visit.actor, name, rule=rule)
        visit.core.bell.ring("event")

    return await act(visit, conversation_id, work, "label")
