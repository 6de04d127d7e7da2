"""What pages show of comments on posts: what has to be looked at, the posts, the comments of one chat."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.handover.queue import visible
from bot.messages import Actor
from bot.store.tables import Commenter, Conversation, HiddenReview, Post, PublicComment, Staff

SHOWN = 200


async def list_reviews(connection: AsyncConnection, actor: Actor, *, done: bool = False) -> list[Row[Any]]:
    """Reviews that `actor` may see: open ones, those that have risen first; or those decided last.

    Columns: those of the review, of its comment (`channel`, `link`, `hidden`, `wanted_hidden`, `removed`,
    `problem`), `conversation_id`, `reference`, `opener`, `decider`.
    """
    opener, decider = Staff.__table__.alias("opener"), Staff.__table__.alias("decider")
    query = (
        select(
            HiddenReview.__table__, PublicComment.channel, PublicComment.link, PublicComment.hidden,
            PublicComment.wanted_hidden, PublicComment.removed, PublicComment.problem,
            PublicComment.conversation_id, Conversation.reference,
            opener.c.name.label("opener"), decider.c.name.label("decider"),
        )
        .join(PublicComment, PublicComment.id == HiddenReview.comment_id)
        .join(Conversation, Conversation.id == PublicComment.conversation_id)
        .outerjoin(opener, opener.c.id == HiddenReview.opened_by)
        .outerjoin(decider, decider.c.id == HiddenReview.decided_by)
        .where(visible(actor))
    )  # fmt: skip
    if done:
        query = query.where(HiddenReview.decided_at.is_not(None)).order_by(HiddenReview.decided_at.desc())
    else:
        query = query.where(HiddenReview.decided_at.is_(None)).order_by(
            HiddenReview.raised_at.is_(None), HiddenReview.due_at, HiddenReview.id
        )
    return list((await connection.execute(query.limit(20 if done else SHOWN))).all())


async def count_reviews(connection: AsyncConnection, actor: Actor) -> tuple[int, int]:
    """How many comments `actor` may look at, and how many of them have waited too long."""
    query = (
        select(func.count(), func.count(HiddenReview.raised_at))
        .select_from(HiddenReview)
        .join(PublicComment, PublicComment.id == HiddenReview.comment_id)
        .join(Conversation, Conversation.id == PublicComment.conversation_id)
        .where(HiddenReview.decided_at.is_(None), visible(actor))
    )
    row = (await connection.execute(query)).one()
    return int(row[0]), int(row[1])


async def list_posts(connection: AsyncConnection) -> list[Row[Any]]:
    """The posts seen last, with `marker`, who marked each, and `people`, how many wrote under it."""
    people = (
        select(func.count())
        .select_from(Commenter)
        .where(Commenter.post_id == Post.id)
        .correlate(Post)
        .scalar_subquery()
    )
    query = (
        select(Post.__table__, Staff.name.label("marker"), people.label("people"))
        .outerjoin(Staff, Staff.id == Post.marked_by)
        .where(Post.is_ours)
        .order_by(Post.seen_at.desc(), Post.id.desc())
        .limit(50)
    )
    return list((await connection.execute(query)).all())


async def comments_in(connection: AsyncConnection, conversation_id: int) -> list[Row[Any]]:
    """The comments of one conversation, with `review`, the id of one that is open."""
    review = (
        select(func.max(HiddenReview.id))
        .where(HiddenReview.comment_id == PublicComment.id, HiddenReview.decided_at.is_(None))
        .correlate(PublicComment)
        .scalar_subquery()
    )
    query = (
        select(PublicComment.__table__, review.label("review"))
        .where(PublicComment.conversation_id == conversation_id)
        .order_by(PublicComment.id)
    )
    return list((await connection.execute(query)).all())
