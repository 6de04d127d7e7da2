"""One conversation: what was said, why it is here, and everything that staff can do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlencode

from sanic import HTTPResponse
from sanic.response import empty

from bot.console.queue import why_here
from bot.console.reading import read_conversation, read_draft, shape_of, what_can
from bot.console.visit import ANSWERING, SUPERVISOR, Routes, Visit, status_of
from bot.conversations.desk import LONGEST_REPLY
from bot.conversations.transcript import read_transcript
from bot.errors import NotAllowedError, RefusedError
from bot.handover.queue import may_open
from bot.messages import GRADES, Grade

DONE = {
    "claim": "You have this chat now. The assistant is quiet.",
    "accept": "You have this chat now.",
    "take-over": "You have this chat now. Its owner was told.",
    "release": "The assistant has this chat again.",
    "return": "The assistant has this chat again.",
    "transfer": "The chat was passed on.",
    "offer": "The chat was offered to the other team. You keep it until one of them accepts.",
    "close": "The chat is closed.",
    "grade": "The grade was changed.",
    "escalate": "The chat is in the queue.",
    "block": "This person is blocked: the assistant stays silent, danger is still seen.",
    "unblock": "This person is no longer blocked.",
    "note": "The note was added.",
    "again": "The reply is being sent again.",
    "reply": "The reply is on its way.",
}
"""What a page says after an action; the address names the key only."""

FAQ_SHOWN = 4


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    routes.get(chat, page, ANSWERING)
    routes.get(f"{chat}/live", live, ANSWERING, acts=False)
    routes.get(f"{chat}/answers", answers, ANSWERING)
    routes.post(f"{chat}/claim", claim, ANSWERING)
    routes.post(f"{chat}/accept", accept, ANSWERING)
    routes.post(f"{chat}/take-over", take_over, SUPERVISOR)
    routes.post(f"{chat}/reply", reply, ANSWERING)
    routes.post(f"{chat}/draft", draft, ANSWERING)
    routes.post(f"{chat}/again/<outbox_id:int>", again, ANSWERING)
    routes.post(f"{chat}/note", note, ANSWERING)
    routes.post(f"{chat}/transfer", transfer, ANSWERING)
    routes.post(f"{chat}/release", release, ANSWERING)
    routes.post(f"{chat}/return", give_back, ANSWERING)
    routes.post(f"{chat}/close", close, ANSWERING)
    routes.post(f"{chat}/grade", grade, ANSWERING)
    routes.post(f"{chat}/escalate", escalate, ANSWERING)
    routes.post(f"{chat}/block", block, SUPERVISOR)


async def _read(visit: Visit, conversation_id: int) -> dict[str, Any]:
    """Everything that the page shows.

    Raises:
        NotAllowedError: there is no such conversation for this member of staff.
    """
    content, actor = visit.core.content.current, visit.actor
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
        if row is None or not await may_open(connection, row, actor):
            raise NotAllowedError("There is no such chat, or your teams may not open it.")
        lines = await read_transcript(connection, conversation_id)
        kept = await read_draft(connection, conversation_id, actor)
    hidden = row.category is not None and _is_hidden(visit, row.category)
    return {
        "row": row,
        "lines": lines,
        "can": what_can(row, actor),
        "draft": kept,
        "shape": shape_of(row),
        "card": content.cards.get(row.category) if row.category else None,
        "safe_hint": hidden,
        "teams": [(key, team["name"]) for key, team in content.teams.get("teams", {}).items()],
        "outcomes": [
            (key, outcome)
            for key, outcome in content.outcomes.items()
            if row.grade is None or row.grade in outcome.get("grades", GRADES)
        ],
        "grades": GRADES,
        "longest": LONGEST_REPLY,
        **why_here(row),
    }


def _is_hidden(visit: Visit, category: str) -> bool:
    try:
        return visit.core.screen.words(category).subject_hidden
    except KeyError:
        return False


async def page(visit: Visit, conversation_id: int) -> HTTPResponse:
    """The page. That somebody opened it is recorded before anything is shown."""
    return await _page(visit, conversation_id)


async def _page(visit: Visit, conversation_id: int, status: int = 200, problem: str = "") -> HTTPResponse:
    await visit.core.desk.opened(conversation_id, visit.actor)
    return visit.page(
        "conversation.html",
        status,
        tab="",
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
        **await _read(visit, conversation_id),
    )


async def live(visit: Visit, conversation_id: int) -> HTTPResponse:
    """What changes on an open page: the transcript always, the actions only when they differ."""
    found = await _read(visit, conversation_id)
    return visit.page("parts/live.html", whole=visit.query("shape") != found["shape"], **found)


async def _may_open(visit: Visit, conversation_id: int) -> None:
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
        if row is None or not await may_open(connection, row, visit.actor):
            raise NotAllowedError("There is no such chat, or your teams may not open it.")


async def answers(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Approved answers that hold all the words searched for, to put into the reply."""
    await _may_open(visit, conversation_id)
    content = visit.core.content.current
    words = visit.query("q").casefold().split()
    found = []
    for faq in content.faqs.values() if words else ():
        title, text = faq.title.casefold(), faq.answer.casefold()
        if all(word in title or word in text for word in words):
            found.append((sum(word in title for word in words), faq))
    found.sort(key=lambda pair: (-pair[0], pair[1].title))
    shown = [(faq.title, content.render(faq.answer)) for _, faq in found[:FAQ_SHOWN]]
    return visit.page("parts/answers.html", answers=shown, asked=bool(words), more=len(found) > FAQ_SHOWN)


async def _act(
    visit: Visit,
    conversation_id: int,
    action: Callable[[], Awaitable[Any]],
    done: str,
    *,
    to_queue: bool = False,
) -> HTTPResponse:
    """Do something, then show the page anew. A refusal leaves the page, and its text, in place."""
    try:
        await action()
    except RefusedError as error:
        if visit.is_part:
            raise
        return await _page(visit, conversation_id, status_of(error), str(error))
    if to_queue:
        return visit.go("/desk/queue")
    return visit.go(f"/desk/c/{conversation_id}?{urlencode({'done': done})}")


async def claim(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a waiting conversation; the loser of a race is told who has it."""
    epoch = visit.whole("epoch")
    desk = visit.core.desk
    return await _act(
        visit, conversation_id, lambda: desk.claim(conversation_id, visit.actor, epoch), "claim"
    )


async def accept(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Accept a warm transfer."""
    desk = visit.core.desk
    return await _act(visit, conversation_id, lambda: desk.accept(conversation_id, visit.actor), "accept")


async def take_over(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a conversation from its owner."""
    desk = visit.core.desk
    return await _act(
        visit, conversation_id, lambda: desk.take_over(conversation_id, visit.actor), "take-over"
    )


async def reply(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Send a reply. When it is refused the text stays where it is, and is kept as a draft too."""
    text = visit.field("text", LONGEST_REPLY + 1000)
    try:
        await visit.core.desk.reply(conversation_id, visit.actor, text)
    except RefusedError as error:
        await _keep(visit, conversation_id, text)
        if visit.is_part:
            raise
        return await _page(visit, conversation_id, status_of(error), str(error))
    if not visit.is_part:
        return visit.go(f"/desk/c/{conversation_id}?done=reply")
    response = visit.page("parts/composer.html", sent=True, **await _read(visit, conversation_id))
    response.headers["HX-Trigger"] = "desk:refresh"
    return response


async def _keep(visit: Visit, conversation_id: int, text: str) -> None:
    await _may_open(visit, conversation_id)
    await visit.core.desk.draft(conversation_id, visit.actor, text)


async def draft(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Keep what is typed."""
    await _keep(visit, conversation_id, visit.field("text", LONGEST_REPLY))
    return empty()


async def again(visit: Visit, conversation_id: int, outbox_id: int) -> HTTPResponse:
    """Send a reply of unknown or failed fate once more."""
    desk = visit.core.desk
    return await _act(visit, conversation_id, lambda: desk.send_again(outbox_id, visit.actor), "again")


async def note(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Add a private note."""
    text = visit.field("note")
    desk = visit.core.desk
    return await _act(visit, conversation_id, lambda: desk.note(conversation_id, visit.actor, text), "note")


async def transfer(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Pass a conversation to another team, warm where it is urgent."""
    team, text = visit.field("team", 64), visit.field("note")
    desk = visit.core.desk
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
    warm = row is not None and what_can(row, visit.actor).urgent
    return await _act(
        visit,
        conversation_id,
        lambda: desk.transfer(conversation_id, visit.actor, team, text),
        "offer" if warm else "transfer",
        to_queue=not warm,
    )


async def release(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Hand a P3 or P4 back to the assistant."""
    desk = visit.core.desk
    return await _act(visit, conversation_id, lambda: desk.release(conversation_id, visit.actor), "release")


async def give_back(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Return a waiting P3 or P4 to the assistant."""
    reason = visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await _act(
        visit,
        conversation_id,
        lambda: desk.return_to_assistant(conversation_id, visit.actor, reason),
        "return",
    )


async def close(visit: Visit, conversation_id: int) -> HTTPResponse:
    """End a conversation."""
    outcome, text = visit.field("outcome", 64), visit.field("what_was_done")
    desk = visit.core.desk
    return await _act(
        visit, conversation_id, lambda: desk.close(conversation_id, visit.actor, outcome, text), "close"
    )


async def grade(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Change the grade."""
    wanted, reason = cast(Grade, visit.field("grade", 2)), visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await _act(
        visit,
        conversation_id,
        lambda: desk.set_grade(conversation_id, visit.actor, wanted, reason),
        "grade",
    )


async def escalate(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a conversation from the assistant into the queue."""
    reason = visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await _act(
        visit, conversation_id, lambda: desk.escalate(conversation_id, visit.actor, reason), "escalate"
    )


async def block(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Block a person, or lift it."""
    blocked, reason = visit.field("blocked") == "yes", visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await _act(
        visit,
        conversation_id,
        lambda: desk.block(conversation_id, visit.actor, blocked, reason),
        "block" if blocked else "unblock",
    )
