"""What the record keeps of comments beside their messages: the post, who wrote, what may have to be hidden.

A person of a channel of comments is one account under one post ("thread and person"): so whatever holds
for a conversation holds for that thread. docs/decisions/0025.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Result, Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import LiveContent
from bot.conversations import hiding
from bot.conversations.comment_rule import CommentRule
from bot.errors import SendError, StoreUnavailableError
from bot.handover import ownership
from bot.messages import (
    COMMENTS,
    DOOR,
    GRADES,
    Arrival,
    Channel,
    Comment,
    Grade,
    Hit,
    Incoming,
    Outgoing,
    Posted,
    Visibility,
)
from bot.safety.guard import LiveGuard
from bot.safety.identifying import identifying
from bot.store import Store
from bot.store.record import add_audit, now, upsert
from bot.store.tables import Commenter, Conversation, Person, Post, PublicComment

if TYPE_CHECKING:
    from bot.conversations.words import Words

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""How long a turn waits to learn what a post says."""


class Comments:
    """Keeps what belongs to comments, in the door's own transaction. One for each gateway."""

    def __init__(
        self, store: Store, content: LiveContent, channels: Mapping[str, Channel], guard: LiveGuard
    ) -> None:
        self._store = store
        self._content = content
        self._channels = channels
        self._guard = guard

    @property
    def rule(self) -> CommentRule:
        """The force's rule in force now."""
        return CommentRule.of(self._content.current.force)

    def look(self, arrival: Arrival) -> tuple[str, ...]:
        """The rules that a comment breaks. Read before the transaction, which is short."""
        if not isinstance(arrival, Incoming) or arrival.comment is None or not arrival.text.strip():
            return ()
        try:
            return identifying(self._guard.current, arrival.text)
        except Exception as error:
            # Whatever it is, it must not keep a comment from being stored and answered.
            log.error("comments.not_looked_at", channel=arrival.channel, error=type(error).__name__)
            return ()

    async def keep(
        self,
        connection: AsyncConnection,
        incoming: Incoming,
        stands: Comment,
        conversation: Row[Any],
        rules: tuple[str, ...],
    ) -> None:
        """Keep a comment that was stored as a message just now, and hide it or have somebody look at it."""
        values = {
            "channel": incoming.channel, "platform_id": stands.id, "conversation_id": conversation.id,
            "place": stands.place or stands.id, "link": stands.link or None,
            "takes_public": stands.takes_public, "takes_private": stands.takes_private,
            "at": incoming.platform_time or now(), "removed": False, "wanted_hidden": False,
            "hidden": False,
        }  # fmt: skip
        await connection.execute(
            upsert(connection, PublicComment)
            .values(**values)
            # A new version of an old comment: it is answered where its person is now.
            .on_conflict_do_update(
                index_elements=["channel", "platform_id"], set_={"conversation_id": conversation.id}
            )
        )
        comment = await hiding.comment_of(connection, incoming.channel, stands.id)
        if incoming.kind == "deleted":
            await connection.execute(
                update(PublicComment).where(PublicComment.id == comment.id).values(removed=True)
            )
            await hiding.settle(connection, comment, DOOR, "removed")
        elif rules and await _is_ours(connection, stands, conversation):
            # Under somebody else's post we hide nothing: it is not ours to hide.
            await hiding.found(connection, comment, incoming.text, rules, self.rule)

    async def posted(self, connection: AsyncConnection, posted: Posted) -> None:
        """Keep a post of the force's in its newest words. How staff have marked it stays."""
        await _keep_post(connection, posted.channel, posted.post, text=posted.text, link=posted.link)

    async def seen(self, connection: AsyncConnection, told: Visibility) -> None:
        """Keep the platform's word that a comment was hidden or shown: ours, or somebody's there."""
        await hiding.told(connection, told)

    # ---- the post ------------------------------------------------------------------------------

    async def is_quiet(self, conversation: Row[Any]) -> bool:
        """Whether we are quiet under the post of a conversation; looks the post up if nobody knows it yet."""
        async with self._store.read() as connection:
            post = await post_of(connection, conversation.person_id)
        if post is None:
            return True
        asked = post.is_ours or (post.author is not None and post.author == post.account)
        if not post.kind and (self._is_nobodys(post) or (post.text is None and asked)):
            post = await self._look_up(post, conversation)
        return self.rule.is_quiet(post)

    def _is_nobodys(self, post: Row[Any]) -> bool:
        """Whether nobody knows yet who wrote a post, and its platform may say."""
        channel = self._channels.get(post.channel)
        return post.author is None and bool(getattr(channel, "tells_authors", False))

    async def _look_up(self, post: Row[Any], conversation: Row[Any]) -> Any:
        look = getattr(self._channels.get(post.channel), "look_up", None)
        if look is None:
            return post
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await look(post.platform_id)
        except (SendError, TimeoutError) as error:
            # Nobody can say now. Until somebody can, only danger is answered there.
            log.warning("comments.post_not_read", channel=post.channel, error=type(error).__name__)
            return post
        if found is None:
            return post
        try:
            async with self._store.write() as connection:
                # What a third person wrote under whom somebody names us is none of our business.
                is_asked = found.is_ours or found.author == post.account
                await _keep_post(
                    connection, post.channel, post.platform_id, link=found.link, is_ours=found.is_ours,
                    text=found.text if is_asked else None, author=found.author,
                )  # fmt: skip
                if found.is_ours and not post.is_ours:
                    await self._look_late(connection, post.id)
                return await post_of(connection, conversation.person_id) or post
        except StoreUnavailableError:
            return post

    async def _look_late(self, connection: AsyncConnection, post_id: int) -> None:
        """Only now a post is known to be ours: what stands under it may have to be hidden."""
        found = await connection.execute(
            select(PublicComment.__table__)
            .join(Conversation, Conversation.id == PublicComment.conversation_id)
            .join(Commenter, Commenter.person_id == Conversation.person_id)
            .where(Commenter.post_id == post_id, PublicComment.removed.is_(False))
        )
        for comment in found.all():
            text = await hiding.words_of(connection, comment)
            if rules := identifying(self._guard.current, text):
                await hiding.found(connection, comment, text, rules, self.rule)


async def post_of(connection: AsyncConnection, person_id: int) -> Row[Any] | None:
    """The post under which a person of a channel of comments wrote, and by which `account`."""
    query = (
        select(Post.__table__, Commenter.account)
        .join(Commenter, Commenter.post_id == Post.id)
        .where(Commenter.person_id == person_id)
    )
    return (await connection.execute(query)).one_or_none()


async def know(
    connection: AsyncConnection, incoming: Incoming, stands: Comment, person: Row[Any]
) -> Row[Any]:
    """Keep who somebody is that comments for the first time. Returns the person: blocked, if they are anywhere.

    A block is of an account, not of what it writes under one post.
    """
    known = await connection.execute(select(Commenter.person_id).where(Commenter.person_id == person.id))
    is_known = known.scalar_one_or_none() is not None
    if is_known and not stands.post_author:
        return person
    post_id = await _keep_post(
        connection, incoming.channel, stands.post, link=stands.post_link, is_ours=stands.is_ours,
        text=stands.post_text, author=stands.post_author,
    )  # fmt: skip
    if is_known:
        return person
    await connection.execute(
        upsert(connection, Commenter)
        .values(
            person_id=person.id,
            channel=incoming.channel,
            post_id=post_id,
            account=stands.author or None,
            private_id=stands.private_id or None,
        )
        .on_conflict_do_nothing(index_elements=["person_id"])
    )
    if not person.blocked and await _is_blocked(connection, incoming.channel, stands.author):
        await connection.execute(update(Person).where(Person.id == person.id).values(blocked=True))
        return (await connection.execute(select(Person.__table__).where(Person.id == person.id))).one()
    return person


async def _is_blocked(connection: AsyncConnection, channel: str, account: str) -> bool:
    if not account:
        return False
    query = (
        select(Person.id)
        .join(Commenter, Commenter.person_id == Person.id)
        .where(Commenter.channel == channel, Commenter.account == account, Person.blocked)
        .limit(1)
    )
    return (await connection.execute(query)).scalar_one_or_none() is not None


async def _keep_post(
    connection: AsyncConnection,
    channel: str,
    platform_id: str,
    *,
    text: str | None = None,
    link: str = "",
    is_ours: bool = True,
    author: str = "",
) -> int:
    known = await connection.execute(
        select(Post.id, Post.text, Post.link, Post.author, Post.is_ours).where(
            Post.channel == channel, Post.platform_id == platform_id
        )
    )
    found = known.one_or_none()
    news: dict[str, Any] = ({"text": text} if text is not None else {}) | ({"link": link} if link else {})
    # Who wrote it says whose it is; a word without that is a guess, and changes nothing.
    news |= {"author": author, "is_ours": is_ours} if author else {}
    if found is not None and all(getattr(found, key) == value for key, value in news.items()):
        # Under a post that everybody writes about, nobody has to wait for its row.
        return int(found.id)
    added = upsert(connection, Post).values(
        **{"channel": channel, "platform_id": platform_id, "is_ours": is_ours, "seen_at": now(), **news}
    )
    # Set to what it is where there is no news: only then is the row given back.
    added = added.on_conflict_do_update(
        index_elements=["channel", "platform_id"], set_=news or {"platform_id": platform_id}
    )
    return int((await connection.execute(added.returning(Post.id))).scalar_one())


async def _is_ours(connection: AsyncConnection, stands: Comment, conversation: Row[Any]) -> bool:
    """Whether a comment stands under a post of ours, as it says itself or as the record knows by now."""
    if stands.is_ours or not stands.private_id:
        return stands.is_ours
    post = await post_of(connection, conversation.person_id)
    return post is not None and bool(post.is_ours)


# ---- the same person in private ------------------------------------------------------------------


async def reached(store: Store, conversation_id: int, private_id: str) -> None:
    """Keep whom a private reply reached: from then on their private chat is known to be theirs."""
    if not private_id:
        return
    person = select(Conversation.person_id).where(Conversation.id == conversation_id).scalar_subquery()
    async with store.write(quick=True) as connection:
        await connection.execute(
            update(Commenter).where(Commenter.person_id == person).values(private_id=private_id)
        )


def _channel_beside(private: str) -> str | None:
    return next((name for name, beside in COMMENTS.items() if beside == private), None)


async def _waiting_of(connection: AsyncConnection, channel: str, private_id: str) -> Row[Any] | None:
    """The most urgent comment that waits for a person, of somebody who writes in private now."""
    beside = _channel_beside(channel)
    if beside is None:
        return None
    query = (
        select(Conversation.__table__)
        .join(Commenter, Commenter.person_id == Conversation.person_id)
        .where(
            Commenter.channel == beside,
            Commenter.private_id == private_id,
            Conversation.state.in_(("waiting", "human")),
        )
        .order_by(Conversation.grade, Conversation.id)
        .limit(1)
    )
    return (await connection.execute(query)).one_or_none()


async def follow(connection: AsyncConnection, row: Row[Any], incoming: Incoming, words: Words) -> Row[Any]:
    """Put a new private chat beside a comment of theirs that waits: whoever reads one reads the other."""
    before = await _waiting_of(connection, incoming.channel, incoming.person)
    if before is None:
        return row
    grade: Grade = before.grade if before.grade in GRADES else "P4"
    hit = Hit(before.category or "R20", grade, "asked", (f"comment {before.reference}",))
    team = before.team or await words.route(connection, [hit])
    raised = await ownership.escalate(connection, row, [hit], DOOR, team=team, withdrawable=True)
    await add_audit(connection, DOOR, "comment.follow", row.id, raised.conversation.epoch, comment=before.id)
    await words.tell_truth(connection, raised.conversation)
    return raised.conversation


def directly(incoming: Incoming, text: str, words: Words) -> Outgoing:
    """Words past the store: under a post the 999 line alone, and the rest once the record is back."""
    stands = incoming.comment
    if stands is None:
        return Outgoing(0, "safety", text)
    place = stands.place or stands.id
    if not stands.takes_public:
        return Outgoing(0, "safety", text, way="private", place=place)
    return Outgoing(0, "safety", words.content.current.line("public_danger"), way="public", place=place)


async def unread(
    connection: AsyncConnection, incoming: Incoming, stands: Comment, conversation_id: int, words: Words
) -> None:
    """A picture under a post asks nothing of us. But where somebody named us, a person has to look."""
    if stands.is_ours or incoming.text.strip():
        return
    hit = Hit("R20", "P4", "fallback", ("we were named, and it cannot be read here",))
    row = await ownership.get(connection, conversation_id)
    await ownership.escalate(connection, row, [hit], DOOR, team=await words.route(connection, [hit]))


async def beside(connection: AsyncConnection, row: Row[Any], condition: Any) -> list[Row[Any]]:
    """Conversations of the same person: private chats of a commenter, comments of who writes in private.

    `condition` says which the reader may see. Columns: id, reference, channel, state.
    """
    columns = (Conversation.id, Conversation.reference, Conversation.channel, Conversation.state)
    if row.channel in COMMENTS:
        mine = select(Commenter.channel, Commenter.account, Commenter.private_id).where(
            Commenter.person_id == row.person_id
        )
        known = (await connection.execute(mine)).one_or_none()
        if known is None:
            return []
        # Nobody is the same person for want of a name: None would match whoever has none either.
        private = select(Person.id).where(
            Person.channel == COMMENTS[row.channel], Person.platform_id == (known.private_id or "")
        )
        other = select(Commenter.person_id).where(
            Commenter.channel == known.channel, Commenter.account == (known.account or "")
        )
        which = or_(Conversation.person_id.in_(private), Conversation.person_id.in_(other))
    elif (name := _channel_beside(row.channel)) is not None:
        who = select(Person.platform_id).where(Person.id == row.person_id).scalar_subquery()
        which = Conversation.person_id.in_(
            select(Commenter.person_id).where(Commenter.channel == name, Commenter.private_id == who)
        )
    else:
        return []
    found: Result[Any] = await connection.execute(
        select(*columns)
        .where(which, Conversation.id != row.id, condition)
        .order_by(Conversation.id.desc())
        .limit(10)
    )
    return list(found.all())
