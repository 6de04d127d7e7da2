"""The room of practice: a supervisor starts made-up people, and everybody reads what came of it.

Its routes exist only where `frontcounter practice` has put the desk together. On the desk of a force
there is no such page, no list of accounts and no banner.
"""

from __future__ import annotations

from functools import partial

from sanic import HTTPResponse

from bot.console.visit import ANSWERING, SUPERVISOR, Routes, Visit, status_of
from bot.errors import NoSuchChatError, NotAllowedError, RefusedError
from bot.practice import Feedback, Practice, read_feedback, who_practised
from bot.practice.player import SPEEDS
from bot.store.record import now

COOKIE = "practice_session"
"""Another name than the desk's: a cookie counts for every port of a machine, and whoever signs in here
must not be signed out there."""
DONE = {
    "start": "They are on their way. Look at the queue.",
    "reset": "Everybody has left. Every chat has ended.",
}


def add(routes: Routes, practice: Practice) -> None:
    """Add the routes, and tell every page that this is practice."""
    routes.console.cookie = COOKIE
    routes.console.pages.practice = practice
    routes.get("/desk/practice", partial(page, practice), SUPERVISOR)
    routes.post("/desk/practice/start", partial(start, practice), SUPERVISOR)
    routes.post("/desk/practice/reset", partial(reset, practice), SUPERVISOR)
    routes.get("/desk/practice/feedback", partial(feedback, practice), ANSWERING)
    routes.get("/desk/practice/feedback/<staff_id:int>", partial(feedback_of, practice), SUPERVISOR)


async def page(practice: Practice, visit: Visit) -> HTTPResponse:
    """What can be practised, and who is on stage."""
    return _page(practice, visit)


def _page(practice: Practice, visit: Visit, status: int = 200, problem: str = "") -> HTTPResponse:
    script = practice.script
    return visit.page(
        "practice.html",
        status,
        tab="practice",
        scenarios=script.scenarios,
        sessions=script.sessions,
        speeds=SPEEDS,
        stage=list(practice.personas.values()),
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
        given={"what": visit.field("what", 80), "speed": visit.field("speed", 4) or "1"},
    )


async def start(practice: Practice, visit: Visit) -> HTTPResponse:
    """Bring somebody on stage: one scenario, or a session of several."""
    kind, _, key = visit.field("what", 80).partition(".")
    speed = visit.field("speed", 4)
    try:
        if kind == "session":
            practice.start_session(key, speed)
        else:
            practice.start(key, speed)
    except RefusedError as error:
        if visit.is_part:
            raise
        return _page(practice, visit, status_of(error), str(error))
    return visit.go("/desk/practice?done=start")


async def reset(practice: Practice, visit: Visit) -> HTTPResponse:
    """Begin anew."""
    await practice.reset()
    visit.core.bell.ring("event")
    return visit.go("/desk/practice?done=reset")


async def feedback(practice: Practice, visit: Visit) -> HTTPResponse:
    """What came of one's own chats; a supervisor sees everybody's names, and the chats that nobody took."""
    return await _feedback(practice, visit, visit.session.staff_id)


async def feedback_of(practice: Practice, visit: Visit, staff_id: int) -> HTTPResponse:
    """What came of a colleague's chats."""
    return await _feedback(practice, visit, staff_id)


async def _feedback(practice: Practice, visit: Visit, staff_id: int) -> HTTPResponse:
    core = visit.core
    async with core.store.read() as connection:
        found = await read_feedback(
            connection, practice, visit.actor, core.content.current, core.limits.limits, now()
        )
        people = await who_practised(connection, found)
    is_own = staff_id == visit.session.staff_id
    names = dict(people)
    if not is_own and staff_id not in names:
        raise NoSuchChatError
    overseeing = visit.session.role == "supervisor"
    if not is_own and not overseeing:
        raise NotAllowedError("Your role does not have this part of the desk.")
    return visit.page(
        "practice-feedback.html",
        tab="feedback",
        who="" if is_own else names[staff_id],
        chats=_grouped([one for one in found if staff_id in one.staff]),
        nobodys=_grouped([one for one in found if not one.staff]) if overseeing and is_own else [],
        people=[one for one in people if one[0] != visit.session.staff_id] if overseeing else [],
    )


def _grouped(found: list[Feedback]) -> list[tuple[Feedback, int]]:
    """Each chat with how many it stands for: of a crowd only the one is shown that came first."""
    shown: dict[object, tuple[Feedback, int]] = {}
    for one in found:
        key: object = one.scenario.title if one.is_crowd else one.conversation_id
        first, count = shown.get(key, (one, 0))
        shown[key] = (first, count + 1)
    return list(shown.values())
