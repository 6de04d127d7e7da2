"""One conversation: what was said, why it is here, and everything that staff can do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlencode

from sanic import HTTPResponse
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console import replies, unsent
from bot.console.comments import read_public
from bot.console.facts import read_facts
from bot.console.lists import why_here
from bot.console.reading import read_conversation, shape_of, what_can
from bot.console.visit import ANSWERING, SUPERVISOR, Routes, Visit, status_of
from bot.conversations.calls import is_hidden
from bot.conversations.desk import LONGEST_REPLY
from bot.conversations.outbound import LONGEST_REASON
from bot.conversations.transcript import read_transcript
from bot.errors import GuardedError, NoSuchChatError, ReasonNeededError, RefusedError
from bot.handover import labels, seals
from bot.handover.queue import may_open
from bot.handover.sensitive import Reader, Sensitive, must_have_reason, opened_by
from bot.messages import GRADES, Grade

PLACES = "place-"
"""How the fields begin that fill the places of an approved text."""
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
    "seal": "The chat is sealed.",
    "unseal": "The seal is open. The chat stays with this team until somebody passes it on.",
    "block": "This person is blocked: the assistant stays silent, danger is still seen.",
    "unblock": "This person is no longer blocked.",
    "note": "The note was added.",
    "again": "The reply is being sent again.",
    "label": "The labels were changed.",
    "reply": "The reply is on its way.",
    "draft": "The text is in your reply. Read it before you send it.",
    "approved-text": "The text is on its way.",
    "ask": "Your reply waits for a second person.",
    "approve": "The reply is on its way.",
    "approval-return": "The reply went back to its writer.",
    "approval-take-back": "You have your reply back. It was not sent.",
    "incident": "The incident number was kept.",
    "no-incident": "This chat may close without an incident number. Your reason is on record.",
    "reopen": "The chat is open again, and you have it. The person was told nothing.",
    "snooze": "The chat is snoozed. A new message brings it back at once.",
    "wake": "The chat is among yours again.",
    "call-back": "The call back was noted.",
    "called": "The call back is done.",
    "not-called": "The call back is open again.",
}
"""What a page says after an action; the address names the key only."""


def add(routes: Routes) -> None:
    """Add the routes."""
    chat = "/desk/c/<conversation_id:int>"
    routes.get(chat, page, ANSWERING)
    routes.get(f"{chat}/live", live, ANSWERING, acts=False)
    routes.post(f"{chat}/claim", claim, ANSWERING)
    routes.post(f"{chat}/accept", accept, ANSWERING)
    routes.post(f"{chat}/take-over", take_over, SUPERVISOR)
    routes.post(f"{chat}/reply", reply, ANSWERING)
    routes.post(f"{chat}/again/<outbox_id:int>", again, ANSWERING)
    routes.post(f"{chat}/approved-text", approved_text, ANSWERING)
    routes.post(f"{chat}/note", note, ANSWERING)
    routes.post(f"{chat}/transfer", transfer, ANSWERING)
    routes.post(f"{chat}/release", release, ANSWERING)
    routes.post(f"{chat}/return", give_back, ANSWERING)
    routes.post(f"{chat}/close", close, ANSWERING)
    routes.post(f"{chat}/grade", grade, ANSWERING)
    routes.post(f"{chat}/escalate", escalate, ANSWERING)
    routes.post(f"{chat}/block", block, SUPERVISOR)


async def must_read(visit: Visit, connection: AsyncConnection, conversation_id: int) -> Row[Any]:
    """One conversation that the caller may read now, with its person and its owner's name.

    Raises:
        NoSuchChatError: there is no such conversation for this member of staff.
        ReasonNeededError: they have to say first why they read it.
    """
    row = await read_conversation(connection, conversation_id)
    if row is None or not await may_open(connection, row, visit.actor):
        raise NoSuchChatError
    rule = Sensitive.of(visit.core.content.current.teams)
    await must_have_reason(connection, row, visit.actor, rule)
    return row


async def _read(visit: Visit, conversation_id: int) -> dict[str, Any]:
    """Everything that the page shows.

    Raises:
        NoSuchChatError: there is no such conversation for this member of staff.
        ReasonNeededError: they have to say first why they read it.
    """
    content, actor = visit.core.content.current, visit.actor
    async with visit.core.store.read() as connection:
        row = await must_read(visit, connection, conversation_id)
        targets = await seals.sealed_targets(connection, row)
        sealing = [team.key for team in await seals.sealed_teams(connection)]
        lines = await read_transcript(connection, conversation_id)
        written = await unsent.read(connection, row, actor)
        facts = await read_facts(visit, connection, row, lines)
        public = await read_public(visit, connection, row)
        worn = await labels.labels_of(connection, [row.id])
    hidden = is_hidden(visit.core.words, row.category)
    return {
        "row": row,
        "lines": lines,
        "can": what_can(row, actor),
        "seen": max((line.id for line in lines if line.side == "person"), default=0),
        "shape": f"{shape_of(row)}-{facts['stands'].mark}-{written['left_mark']}-{facts['reply_too_late']}"
        f"{_ways_mark(public)}",
        **written,
        **public,
        "card": content.cards.get(row.category) if row.category else None,
        "safe_hint": hidden,
        "teams": [
            (key, team["name"])
            for key, team in content.teams.get("teams", {}).items()
            if targets is None or key in targets
        ],
        "seals": [(key, content.team_name(key)) for key in sealing],
        "may_unseal": row.sealed and row.team in actor.teams,
        "outcomes": [
            (key, outcome)
            for key, outcome in content.outcomes.items()
            if row.grade is None or row.grade in outcome.get("grades", GRADES)
        ],
        "grades": GRADES,
        "longest": LONGEST_REPLY,
        "labels": worn.get(row.id, []),
        "known_labels": labels.listed(content.labels),
        **facts,
        **why_here(row),
    }


def _ways_mark(public: dict[str, Any]) -> str:
    """Changes when a comment takes another kind of reply."""
    ways = public["ways"]
    return f"-{ways['public']:d}{ways['private']:d}" if ways else ""


async def page(visit: Visit, conversation_id: int) -> HTTPResponse:
    """The page. That somebody opened it is recorded before anything is shown."""
    return await show(visit, conversation_id)


async def show(
    visit: Visit, conversation_id: int, status: int = 200, problem: str = "", **more: Any
) -> HTTPResponse:
    """The page, or the question that comes before a sensitive one."""
    try:
        await visit.core.desk.opened(conversation_id, visit.actor)
        found = await _read(visit, conversation_id)
    except ReasonNeededError:
        return await _ask_reason(visit, conversation_id, status, problem)
    return visit.page(
        "conversation.html",
        status,
        tab="",
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
        readers=await _readers(visit, conversation_id),
        **more,
        **found,
    )


async def _ask_reason(visit: Visit, conversation_id: int, status: int, problem: str) -> HTTPResponse:
    """The question before a sensitive conversation: nothing of what was said is on it."""
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
        if row is None or not await may_open(connection, row, visit.actor):
            raise NoSuchChatError
    hours = Sensitive.of(visit.core.content.current.teams).hours
    return visit.page(
        "reason.html", status, tab="", problem=problem, row=row, can=what_can(row, visit.actor), hours=hours
    )


async def _readers(visit: Visit, conversation_id: int) -> list[Reader]:
    """Who has opened it, for a supervisor."""
    if visit.session.role not in SUPERVISOR:
        return []
    async with visit.core.store.read() as connection:
        return await opened_by(connection, conversation_id)


async def live(visit: Visit, conversation_id: int) -> HTTPResponse:
    """What changes on an open page: the transcript always, the actions and what is typed only when they differ."""
    found = await _read(visit, conversation_id)
    is_newer = unsent.is_newer(found["drafts_at"], visit.query("drafts"))
    whole = is_newer or visit.query("shape") != found["shape"]
    return visit.page("parts/live.html", whole=whole, **found)


async def _may_open(visit: Visit, conversation_id: int) -> None:
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
        if row is None or not await may_open(connection, row, visit.actor):
            raise NoSuchChatError


async def act(
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
        return await show(visit, conversation_id, status_of(error), str(error))
    if to_queue:
        return visit.go("/desk/queue")
    return visit.go(f"/desk/c/{conversation_id}?{urlencode({'done': done})}")


async def claim(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a waiting conversation; the loser of a race is told who has it."""
    epoch = visit.whole("epoch")
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.claim(conversation_id, visit.actor, epoch), "claim")


async def accept(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Accept a warm transfer."""
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.accept(conversation_id, visit.actor), "accept")


async def take_over(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Take a conversation from its owner."""
    desk = visit.core.desk
    return await act(
        visit, conversation_id, lambda: desk.take_over(conversation_id, visit.actor), "take-over"
    )


async def reply(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Send a reply. When it is refused the text stays where it is, and is kept as a draft too."""
    text = visit.field("text", LONGEST_REPLY + 1000)
    try:
        sent = await visit.core.desk.reply(
            conversation_id, visit.actor, text, visit.maybe_whole("epoch"),
            override=visit.field("override", LONGEST_REASON), seen=visit.maybe_whole("seen"),
            way=visit.field("way", 8),
        )  # fmt: skip
    except GuardedError as error:
        await unsent.keep(visit, conversation_id, text)
        if visit.is_part:
            return replies.refusal(visit, conversation_id, error, text)
        writing = replies.refused(visit, error, text)
        return await show(visit, conversation_id, status_of(error), writing=writing)
    except RefusedError as error:
        await unsent.keep(visit, conversation_id, text)
        if visit.is_part:
            raise
        return await show(visit, conversation_id, status_of(error), str(error))
    if not visit.is_part:
        return visit.go(f"/desk/c/{conversation_id}?done={'ask' if sent is None else 'reply'}")
    response = visit.page("parts/composer.html", sent=True, **await _read(visit, conversation_id))
    response.headers["HX-Trigger"] = "desk:refresh"
    return response


async def again(visit: Visit, conversation_id: int, outbox_id: int) -> HTTPResponse:
    """Send a reply of unknown or failed fate once more."""
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.send_again(outbox_id, visit.actor), "again")


async def approved_text(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Send a text that the platform has approved. What is typed as a reply stays where it is."""
    key, names = visit.field("key", 64), list(visit.request.form or {})
    given = {name.removeprefix(PLACES): visit.field(name, 500) for name in names if name.startswith(PLACES)}
    epoch, seen = visit.maybe_whole("epoch"), visit.maybe_whole("seen")
    texts = visit.core.approved
    return await act(
        visit,
        conversation_id,
        lambda: texts.send(conversation_id, visit.actor, key, given, seen=seen, epoch=epoch),
        "approved-text",
    )


async def note(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Add a private note."""
    text = visit.field("note")
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.note(conversation_id, visit.actor, text), "note")


async def transfer(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Pass a conversation to another team, warm where it is urgent."""
    team, text = visit.field("team", 64), visit.field("note")
    desk = visit.core.desk
    async with visit.core.store.read() as connection:
        row = await read_conversation(connection, conversation_id)
    warm = row is not None and what_can(row, visit.actor).urgent
    return await act(
        visit,
        conversation_id,
        lambda: desk.transfer(conversation_id, visit.actor, team, text),
        "offer" if warm else "transfer",
        to_queue=not warm,
    )


async def release(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Hand a P3 or P4 back to the assistant."""
    desk = visit.core.desk
    return await act(visit, conversation_id, lambda: desk.release(conversation_id, visit.actor), "release")


async def give_back(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Return a waiting P3 or P4 to the assistant."""
    reason = visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await act(
        visit,
        conversation_id,
        lambda: desk.return_to_assistant(conversation_id, visit.actor, reason),
        "return",
    )


async def close(visit: Visit, conversation_id: int) -> HTTPResponse:
    """End a conversation."""
    outcome, text = visit.field("outcome", 64), visit.field("what_was_done")
    agency, linked = visit.field("agency", 64), visit.field("linked", 64)
    incident, waiver = visit.field("incident", 200), visit.field("waiver", 500)
    seen = visit.maybe_whole("seen")
    desk = visit.core.desk

    async def end() -> None:
        await desk.close(
            conversation_id, visit.actor, outcome, text,
            seen=seen, incident=incident, agency=agency, linked=linked, waiver=waiver,
        )  # fmt: skip

    return await act(visit, conversation_id, end, "close")


async def grade(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Change the grade."""
    wanted, reason = cast(Grade, visit.field("grade", 2)), visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await act(
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
    return await act(
        visit, conversation_id, lambda: desk.escalate(conversation_id, visit.actor, reason), "escalate"
    )


async def block(visit: Visit, conversation_id: int) -> HTTPResponse:
    """Block a person, or lift it."""
    blocked, reason = visit.field("blocked") == "yes", visit.field("reason")
    desk = visit.core.desk
    await _may_open(visit, conversation_id)
    return await act(
        visit,
        conversation_id,
        lambda: desk.block(conversation_id, visit.actor, blocked, reason),
        "block" if blocked else "unblock",
    )
