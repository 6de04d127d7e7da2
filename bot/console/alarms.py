"""P1 alarms: what rings on every page of the desk, and the sign that somebody has seen it."""

from __future__ import annotations

import hashlib

from sanic import HTTPResponse
from sanic.response import empty

from bot.console.reading import list_alarms
from bot.console.visit import ANSWERING, Routes, Visit
from bot.errors import NotAllowedError
from bot.handover import ownership
from bot.handover.queue import may_open
from bot.store.record import add_audit, add_event


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/alarms", alarms, ANSWERING, acts=False)
    routes.post("/desk/c/<conversation_id:int>/acknowledge", acknowledge, ANSWERING)


async def alarms(visit: Visit) -> HTTPResponse:
    """The banner. 204 when the page shows just that already, so that it is not read out again."""
    async with visit.core.store.read() as connection:
        found = await list_alarms(connection, visit.actor)
    parts = [f"{alarm.conversation_id}/{alarm.rings}/{alarm.alert}/{alarm.state}" for alarm in found]
    mark = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
    if visit.query("have") == mark:
        return empty()
    ringing = [alarm for alarm in found if alarm.rings]
    return visit.page(
        "parts/alarms.html", ringing=ringing, seen=[alarm for alarm in found if not alarm.rings], mark=mark
    )


async def acknowledge(visit: Visit, conversation_id: int) -> HTTPResponse:
    """A named member of staff has seen the alarm. Recorded; the bell stops.

    Raises:
        NotAllowedError: the caller may not see that conversation.
    """
    async with visit.core.store.write() as connection:
        row = await ownership.get(connection, conversation_id)
        if not await may_open(connection, row, visit.actor):
            raise NotAllowedError("You may not open this chat.")
        await add_audit(connection, visit.actor, "acknowledge", row.id, row.epoch, grade=row.grade)
        await add_event(connection, row.id, "alert.seen", {"by": visit.session.staff_id})
    visit.core.bell.ring("event")
    if visit.is_part:
        return await alarms(visit)
    return visit.go("/desk/queue")
