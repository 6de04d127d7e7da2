"""Hiding a comment, and the review that every hidden one enters.

Hiding can always be taken back, and a copy is kept before it. What we want a comment to be is a column
(`wanted_hidden`); a clock makes the platform agree, however often it has to try. Words for somebody in
danger go first: Instagram takes no reply to a hidden comment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.conversations.comment_rule import KINDS, CommentRule
from bot.errors import (
    NoSuchChatError,
    NotAllowedError,
    RefusedError,
    RejectedError,
    RetryLaterError,
    SendError,
    StaleError,
    UnsureError,
)
from bot.handover.queue import ANSWERING_ROLES, visible
from bot.messages import CLOCK, DOOR, Actor, Channel, Visibility
from bot.store import Bell, Store
from bot.store.record import add_audit, add_due, add_event, drop_due, now
from bot.store.tables import (
    Commenter,
    Conversation,
    HiddenReview,
    Message,
    Outbox,
    Post,
    PublicComment,
)

log = structlog.get_logger(__name__)

HIDE = "comment.hide"
LOOK = "comment.look"
REVIEW = "comment.review"
EVENT = "comment.changed"
DECIDING_ROLES = ANSWERING_ROLES | {"comms"}
"""Comments stand in public: whoever speaks for the force may look after them."""
MARKING_ROLES = frozenset({"comms", "supervisor"})
SHORTEST_REASON = 3
LONGEST_REASON = 500
WORDS_FIRST = timedelta(seconds=30)
"""How long hiding waits for words in public that are on their way."""
LONGEST_PAUSE = timedelta(minutes=10)
GIVE_UP_AFTER = timedelta(hours=24)
CALL_SECONDS = 4.0
AWAY_SECONDS = 10.0


async def comment_of(connection: AsyncConnection, channel: str, platform_id: str) -> Any:
    """A comment that is kept, by the platform's own id; None: there is none."""
    query = select(PublicComment.__table__).where(
        PublicComment.channel == channel, PublicComment.platform_id == platform_id
    )
    return (await connection.execute(query)).one_or_none()


async def open_review(connection: AsyncConnection, comment_id: int) -> Row[Any] | None:
    """The review of a comment that nobody has decided yet."""
    query = (
        select(HiddenReview.__table__)
        .where(HiddenReview.comment_id == comment_id, HiddenReview.decided_at.is_(None))
        .order_by(HiddenReview.id.desc())
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


async def found(
    connection: AsyncConnection, comment: Row[Any], text: str, rules: tuple[str, ...], rule: CommentRule
) -> None:
    """A comment breaks these rules: hide it at once, or have somebody look, as the force has chosen."""
    open_one = await open_review(connection, comment.id)
    if open_one is not None:
        # A new version of it: the copy says what it says now, the clock runs on.
        await connection.execute(
            update(HiddenReview)
            .where(HiddenReview.id == open_one.id)
            .values(copy=text, rules=sorted({*open_one.rules, *rules}, key=[*rules, *open_one.rules].index))
        )
    else:
        await _open(connection, comment, text, rule, DOOR, rules=rules, hide=rule.hide)
    if rule.hide and not comment.wanted_hidden:
        await _want(connection, comment, DOOR, hidden=True, rules=list(rules))


async def _open(
    connection: AsyncConnection,
    comment: Row[Any],
    text: str,
    rule: CommentRule,
    actor: Actor,
    *,
    rules: tuple[str, ...] = (),
    reason: str = "",
    hide: bool,
) -> None:
    added = await connection.execute(
        insert(HiddenReview)
        .values(
            comment_id=comment.id, was_hidden=hide, rules=list(rules), copy=text, reason=reason or None,
            opened_at=now(), opened_by=actor.staff_id, due_at=now() + rule.review_after,
        )
        .returning(HiddenReview.id)
    )  # fmt: skip
    review = int(added.scalar_one())
    await add_due(
        connection, REVIEW, rule.review_after, key=f"{REVIEW}:{review}",
        conversation_id=comment.conversation_id, data={"review": review},
    )  # fmt: skip


async def _want(
    connection: AsyncConnection, comment: Row[Any], actor: Actor, *, hidden: bool, **about: Any
) -> None:
    await connection.execute(
        update(PublicComment).where(PublicComment.id == comment.id).values(wanted_hidden=hidden, problem=None)
    )
    await _set_clock(connection, comment)
    await add_audit(
        connection, actor, "comment.hide" if hidden else "comment.show", comment.conversation_id,
        comment=comment.id, **about,
    )  # fmt: skip
    await add_event(connection, comment.conversation_id, EVENT, {"comment": comment.id})


async def _set_clock(connection: AsyncConnection, comment: Row[Any]) -> None:
    await add_due(
        connection, HIDE, timedelta(), key=f"{HIDE}:{comment.id}", conversation_id=comment.conversation_id,
        data={"comment": comment.id},
    )  # fmt: skip


async def settle(
    connection: AsyncConnection, comment: Row[Any], actor: Actor, decision: str, why: str = ""
) -> bool:
    """Decide the open review of a comment; of two who try at once, one does. False: there is none."""
    one = await open_review(connection, comment.id)
    if one is None:
        return False
    decided = await connection.execute(
        update(HiddenReview)
        .where(HiddenReview.id == one.id, HiddenReview.decided_at.is_(None))
        .values(decided_at=now(), decided_by=actor.staff_id, decision=decision, why=why or None)
    )
    if decided.rowcount != 1:
        return False
    await drop_due(connection, f"{REVIEW}:{one.id}")
    said: dict[str, Any] = {"reason": why} if why else {}
    await add_audit(
        connection, actor, "comment.review", comment.conversation_id, comment=comment.id, review=one.id,
        decision=decision, **said,
    )  # fmt: skip
    await add_event(connection, comment.conversation_id, EVENT, {"comment": comment.id})
    return True


async def told(connection: AsyncConnection, visibility: Visibility) -> None:
    """The platform says that a comment is hidden, or shown. What we did ourselves, it tells us too."""
    comment = await comment_of(connection, visibility.channel, visibility.comment)
    if comment is None:
        return
    if comment.wanted_hidden == visibility.hidden:
        await connection.execute(
            update(PublicComment).where(PublicComment.id == comment.id).values(hidden=visibility.hidden)
        )
        return
    # Somebody did it there; or it is late word of what we have taken back since. The platform knows.
    await add_due(
        connection, LOOK, timedelta(), key=f"{LOOK}:{comment.id}", conversation_id=comment.conversation_id,
        data={"comment": comment.id},
    )  # fmt: skip


async def _outside(connection: AsyncConnection, comment: Row[Any], *, hidden: bool) -> None:
    """Somebody has hidden a comment on the platform itself, or shown it: so it is from now on."""
    changed = await connection.execute(
        update(PublicComment)
        .where(PublicComment.id == comment.id, PublicComment.wanted_hidden == comment.wanted_hidden)
        .values(hidden=hidden, wanted_hidden=hidden)
    )
    if changed.rowcount != 1:
        return
    await add_audit(
        connection, DOOR, "comment.outside", comment.conversation_id, comment=comment.id, hidden=hidden
    )
    if not await settle(connection, comment, DOOR, "outside"):
        await add_event(connection, comment.conversation_id, EVENT, {"comment": comment.id})


class Hiding:
    """What staff do with comments and posts, and what the clocks do."""

    def __init__(self, store: Store, bell: Bell, channels: Mapping[str, Channel], rule: Any) -> None:
        """`rule` gives the force's rule of now (`Comments.rule`)."""
        self._store = store
        self._bell = bell
        self._channels = channels
        self._rule = rule
        self._away: dict[str, float] = {}
        """Until when a platform that did not answer is left alone."""

    def _ring(self) -> None:
        for name in ("event", "due"):
            self._bell.ring(name)

    # ---- what staff do -----------------------------------------------------------------------

    async def decide(self, comment_id: int, actor: Actor, *, hidden: bool, reason: str) -> None:
        """Hide a comment or show it, or say in its review that it stays as it is.

        What somebody has hidden by hand is reviewed by somebody else; showing it again is anybody's.

        Raises:
            NotAllowedError: the role, or they have hidden it themselves.
            NoSuchChatError: there is no such comment that they may see.
            RefusedError: no reason; it cannot be hidden.
            StaleError: it is so already, and nobody has to look at it.
        """
        reason = reason.strip()[:LONGEST_REASON]
        if actor.role not in DECIDING_ROLES or actor.staff_id is None:
            raise NotAllowedError("Your role does not allow that.")
        if len(reason) < SHORTEST_REASON:
            raise RefusedError("Give a reason.")
        async with self._store.write() as connection:
            comment = await get_comment(connection, comment_id, actor)
            review = await open_review(connection, comment.id)
            if comment.removed:
                raise StaleError("This comment is not there any more.")
            if review is not None and hidden and review.opened_by == actor.staff_id:
                raise NotAllowedError("You have hidden it. Somebody else looks at it again.")
            changes = comment.wanted_hidden != hidden
            if review is None and not changes:
                raise StaleError("It is so already. Look at the page again.")
            if changes and not await self._may_hide(connection, comment):
                raise RefusedError("This stands under a post of somebody else's. We cannot hide it.")
            await settle(connection, comment, actor, "hidden" if hidden else "shown", reason)
            if changes:
                await _want(connection, comment, actor, hidden=hidden, reason=reason)
            if changes and hidden and (review is None or not review.was_hidden):
                # Whoever hides by hand has another look at it again, also where the system only pointed it out.
                words, rules = await words_of(connection, comment), tuple(review.rules) if review else ()
                await _open(
                    connection, comment, words, self._rule(), actor, rules=rules, reason=reason, hide=True
                )
        self._ring()

    async def _may_hide(self, connection: AsyncConnection, comment: Row[Any]) -> bool:
        if comment.place != comment.platform_id or self._hider(comment) is None:
            return False
        if not getattr(self._channels.get(comment.channel), "hides_only_own", False):
            return True
        query = (
            select(Post.is_ours)
            .join(Commenter, Commenter.post_id == Post.id)
            .join(Conversation, Conversation.person_id == Commenter.person_id)
            .where(Conversation.id == comment.conversation_id)
        )
        return bool((await connection.execute(query)).scalar_one_or_none())

    def _hider(self, comment: Row[Any]) -> Any:
        return getattr(self._channels.get(comment.channel), "hide", None)

    async def mark(self, post_id: int, actor: Actor, kind: str) -> None:
        """Say what a post is; an empty `kind` leaves it to its words.

        Raises:
            NotAllowedError: the role.
            NoSuchChatError: there is no such post.
            RefusedError: no such kind.
        """
        if actor.role not in MARKING_ROLES or actor.staff_id is None:
            raise NotAllowedError("Your role does not allow that.")
        if kind and kind not in KINDS:
            raise RefusedError("Choose what the post is.")
        async with self._store.write() as connection:
            before = (
                await connection.execute(select(Post.__table__).where(Post.id == post_id))
            ).one_or_none()
            if before is None:
                raise NoSuchChatError
            await connection.execute(
                update(Post)
                .where(Post.id == post_id)
                .values(kind=kind or None, marked_at=now(), marked_by=actor.staff_id)
            )
            await add_audit(connection, actor, "post.mark", post=post_id, kind=[before.kind, kind or None])

    # ---- what is due -------------------------------------------------------------------------

    async def hide(self, due: Row[Any]) -> bool:
        """Make the platform agree with what we want, whatever the record says that it is: a call may be lost."""
        async with self._store.read() as connection:
            query = select(PublicComment.__table__).where(PublicComment.id == due.data["comment"])
            comment = (await connection.execute(query)).one_or_none()
            if comment is None or comment.removed:
                return True
            words_first = comment.wanted_hidden and await _words_on_their_way(connection, comment)
        if words_first:
            return False
        hide, problem = self._hider(comment), ""
        if hide is None:
            problem = "this channel is switched off"
        else:
            try:
                await self._within_reason(
                    comment.channel, lambda: hide(comment.platform_id, hidden=comment.wanted_hidden)
                )
            except RejectedError as error:
                problem = str(error)
            except SendError as error:
                return await self._later(due, error)
        async with self._store.write() as connection:
            done: dict[str, Any] = {"problem": problem} if problem else {"hidden": comment.wanted_hidden}
            wanted = await connection.execute(
                update(PublicComment)
                .where(PublicComment.id == comment.id)
                .values(**done)
                .returning(PublicComment.wanted_hidden)
            )
            if wanted.scalar_one() != comment.wanted_hidden:
                # Somebody has decided otherwise while we called.
                await _set_clock(connection, comment)
            action = "comment.not_changed" if problem else "comment.changed"
            await add_audit(
                connection, CLOCK, action, comment.conversation_id, comment=comment.id,
                hidden=comment.wanted_hidden,
            )  # fmt: skip
            await add_event(connection, comment.conversation_id, EVENT, {"comment": comment.id})
        return True

    async def look(self, due: Row[Any]) -> bool:
        """Ask the platform what a comment is, where its word and our wish do not agree."""
        async with self._store.read() as connection:
            query = select(PublicComment.__table__).where(PublicComment.id == due.data["comment"])
            comment = (await connection.execute(query)).one_or_none()
        ask = None if comment is None else getattr(self._channels.get(comment.channel), "is_hidden", None)
        if comment is None or ask is None or comment.removed:
            return True
        try:
            hidden = await self._within_reason(comment.channel, lambda: ask(comment.platform_id))
        except SendError as error:
            return await self._later(due, error)
        if hidden is None or hidden == comment.wanted_hidden:
            return True
        async with self._store.write() as connection:
            await _outside(connection, comment, hidden=hidden)
        return True

    async def _within_reason(self, channel: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Call a platform, but not for long: all other clocks wait behind this one.

        Raises:
            RejectedError, RetryLaterError, UnsureError: as the call does; or it did not answer in time, and
                for some seconds nobody asks it again.
        """
        if (left := self._away.get(channel, 0.0) - time.monotonic()) > 0:
            raise RetryLaterError("the platform does not answer", left)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call()
        except (TimeoutError, UnsureError) as error:
            self._away[channel] = time.monotonic() + AWAY_SECONDS
            raise UnsureError("the platform does not answer") from error

    async def _later(self, due: Row[Any], error: SendError) -> bool:
        """Try again, later each time. To hide twice does no harm, so nobody has to know if it was done."""
        tries = int(due.data.get("tries", 0)) + 1
        asked = error.retry_after_seconds if isinstance(error, RetryLaterError) else 1.0
        pause = min(LONGEST_PAUSE, timedelta(seconds=max(asked, 0.5 * 2 ** min(tries, 12))))
        async with self._store.write() as connection:
            if pause * tries > GIVE_UP_AFTER:
                await connection.execute(
                    update(PublicComment)
                    .where(PublicComment.id == due.data["comment"])
                    .values(problem=str(error))
                )
                return True
            await add_due(
                connection, due.kind, pause, key=f"{due.kind}:{due.data['comment']}",
                conversation_id=due.conversation_id, data={**due.data, "tries": tries},
            )  # fmt: skip
        return True

    async def rise(self, due: Row[Any]) -> bool:
        """Nobody has looked at it in time: from now on every supervisor's desk says so."""
        async with self._store.write() as connection:
            risen = await connection.execute(
                update(HiddenReview)
                .where(
                    HiddenReview.id == due.data["review"],
                    HiddenReview.decided_at.is_(None),
                    HiddenReview.raised_at.is_(None),
                )
                .values(raised_at=now())
            )
            if risen.rowcount == 1:
                await add_audit(
                    connection, CLOCK, "comment.rise", due.conversation_id, review=due.data["review"]
                )
                await add_event(connection, due.conversation_id, EVENT, {"review": due.data["review"]})
        return True


async def get_comment(connection: AsyncConnection, comment_id: int, actor: Actor) -> Row[Any]:
    """A comment that `actor` may see.

    Raises:
        NoSuchChatError: there is none, or they may not: nobody can tell which.
    """
    query = (
        select(PublicComment.__table__)
        .join(Conversation, Conversation.id == PublicComment.conversation_id)
        .where(PublicComment.id == comment_id, visible(actor))
    )
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        raise NoSuchChatError
    return found


async def words_of(connection: AsyncConnection, comment: Row[Any]) -> str:
    """The newest words of a comment."""
    query = (
        select(Message.text)
        .where(
            Message.conversation_id == comment.conversation_id,
            Message.channel == comment.channel,
            (Message.platform_id == comment.platform_id) | (Message.edit_of == comment.platform_id),
            Message.kind != "deleted",
        )
        .order_by(Message.id.desc())
        .limit(1)
    )
    return (await connection.execute(query)).scalar_one_or_none() or ""


async def _words_on_their_way(connection: AsyncConnection, comment: Row[Any]) -> bool:
    found = await connection.execute(
        select(Outbox.id)
        .where(
            Outbox.conversation_id == comment.conversation_id,
            Outbox.way == "public",
            Outbox.state.in_(("queued", "sending")),
            Outbox.created_at > now() - WORDS_FIRST,
        )
        .limit(1)
    )
    return found.scalar_one_or_none() is not None
