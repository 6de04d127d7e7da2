"""Who may read one conversation: the reason for a sensitive one, the seal, and who has opened it."""

from __future__ import annotations

from sanic import HTTPResponse

from bot.console.conversation import act, show
from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.errors import NoSuchChatError, RefusedError
from bot.handover.queue import may_see


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    routes.post(f"{chat}/reason", reason, ANSWERING)
    routes.post(f"{chat}/seal", seal, ANSWERING)
    routes.post(f"{chat}/unseal", unseal, ANSWERING)


async def reason(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Keep why somebody reads a sensitive conversation, then show it."""
    try:
        await visit.core.desk.give_reason(conversation_id, visit.actor, visit.field("reason", 600))
    except NoSuchChatError:
        raise
    except RefusedError as error:
        if visit.is_part:
            raise
        return await show(visit, conversation_id, status_of(error), str(error))
    return visit.go(f"/desk/c/{conversation_id}")


async def seal(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Hide a conversation from everybody but one team. Who is not of it sees it no more."""
    team, why = visit.field("team", 64), visit.field("reason", 600)
    desk = visit.core.desk
    done = await act(
        visit, conversation_id, lambda: desk.seal(conversation_id, visit.actor, team, why), "seal"
    )
    if done.status not in (204, 303):
        return done
    async with visit.core.store.read() as connection:
        still = await may_see(connection, conversation_id, visit.actor)
    return done if still else visit.go("/desk/queue")


async def unseal(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Open a seal; the server lets only its team."""
    why = visit.field("reason", 600)
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.unseal(conversation_id, visit.actor, why), "unseal")
