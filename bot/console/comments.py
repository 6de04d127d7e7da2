"""Comments on the force's posts: what was hidden and is looked at again, and what each post is."""

from __future__ import annotations

from typing import Any

from sanic import HTTPResponse
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.visit import ANSWERING, COMMENTING, MARKING, Routes, Visit, status_of
from bot.conversations import comment_words, comments, hiding
from bot.conversations.comment_rule import KINDS, CommentRule
from bot.errors import NoSuchChatError, RefusedError
from bot.handover import public
from bot.handover.queue import visible

KIND_NAMES = {"ordinary": "Ordinary", "appeal": "Appeal", "memorial": "Memorial"}
RULE_NAMES = {
    "victim": "Names a victim or a witness",
    "address": "Says where somebody lives",
    "birth": "Has a date of birth",
    "phone": "Has a phone number",
    "plate": "Has a number plate",
    "email": "Has an email address",
}
DECISIONS = {
    "hidden": "Stays hidden",
    "shown": "Is shown",
    "outside": "Decided on the platform",
    "removed": "Its writer took it back",
}
DONE = {
    "hidden": "The comment is hidden. Your reason is on record.",
    "shown": "The comment is shown. Your reason is on record.",
    "marked": "The post was marked.",
}


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/comments", page, COMMENTING)
    routes.post("/desk/comments/<comment_id:int>", decide, COMMENTING)
    routes.get("/desk/comments/posts", posts, COMMENTING)
    routes.post("/desk/comments/posts/<post_id:int>", mark, MARKING)


async def page(visit: Visit) -> HTTPResponse:
    """Comments that somebody has to look at, the longest waiting first."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, problem: str = "") -> HTTPResponse:
    async with visit.core.store.read() as connection:
        found = await public.list_reviews(connection, visit.actor)
        done = await public.list_reviews(connection, visit.actor, done=True)
    rule = CommentRule.of(visit.core.content.current.force)
    return visit.page(
        "comments.html",
        status,
        tab="comments",
        room="reviews",
        found=found,
        decided=done,
        rules=RULE_NAMES,
        decisions=DECISIONS,
        rule=rule,
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
        longest=hiding.LONGEST_REASON,
        me=visit.session.staff_id,
        answers=visit.session.role in ANSWERING,
    )


async def decide(visit: Visit, comment_id: int) -> HTTPResponse:
    """Hide a comment, show it, or leave it as it is."""
    hidden, chat = visit.field("hidden", 3) == "yes", visit.maybe_whole("chat")
    try:
        await visit.core.hiding.decide(
            comment_id, visit.actor, hidden=hidden, reason=visit.field("reason", hiding.LONGEST_REASON)
        )
    except NoSuchChatError:
        raise
    except RefusedError as error:
        return await _page(visit, status_of(error), str(error))
    if chat is not None and visit.session.role in ANSWERING:
        return visit.go(f"/desk/c/{chat}")
    return visit.go(f"/desk/comments?done={'hidden' if hidden else 'shown'}")


async def posts(visit: Visit) -> HTTPResponse:
    """The posts seen last, and what each of them is."""
    return await _posts(visit)


async def _posts(visit: Visit, status: int = 200, problem: str = "") -> HTTPResponse:
    async with visit.core.store.read() as connection:
        found = await public.list_posts(connection)
    rule = CommentRule.of(visit.core.content.current.force)
    return visit.page(
        "comment-posts.html",
        status,
        tab="comments",
        room="posts",
        posts=[(post, rule.kind_of(post)) for post in found],
        kinds=[(key, KIND_NAMES[key]) for key in KINDS],
        names=KIND_NAMES,
        may_mark=visit.session.role in MARKING,
        problem=problem,
        done=DONE.get(visit.query("done"), ""),
    )


async def mark(visit: Visit, post_id: int) -> HTTPResponse:
    """Say what a post is."""
    try:
        await visit.core.hiding.mark(post_id, visit.actor, visit.field("kind", 12))
    except NoSuchChatError:
        raise
    except RefusedError as error:
        return await _posts(visit, status_of(error), str(error))
    return visit.go("/desk/comments/posts?done=marked")


async def read_public(visit: Visit, connection: AsyncConnection, row: Row[Any]) -> dict[str, Any]:
    """What the page of one chat says of comments; empty where it has none."""
    beside = await comments.beside(connection, row, visible(visit.actor))
    if not comment_words.is_comment(row.channel):
        return {"public": {"beside": beside} if beside else None, "ways": None}
    post = await comments.post_of(connection, row.person_id)
    rule = CommentRule.of(visit.core.content.current.force)
    return {
        "public": {
            "post": post,
            "kind": KIND_NAMES.get((post is not None and rule.kind_of(post)) or "", "Not known yet"),
            "quiet": post is None or rule.is_quiet(post),
            "comments": await public.comments_in(connection, row.id),
            "beside": beside,
            "longest": hiding.LONGEST_REASON,
        },
        "ways": await comment_words.ways_open(connection, row),
    }
