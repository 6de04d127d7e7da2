"""What is said to somebody who wrote in public: the only words that ever stand under a post.

In public: the 999 line to each person in danger, and one approved line once for each thread and person
(rules 1.3). Everything else goes privately, in the one message that a platform takes for each comment:
for danger its safety words at once, for a question the answer's first words (`comment_turn.py`). No
question is asked in public, and no button, form or "Did you mean" is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assistant.content import Content
from bot.conversations.comment_rule import CommentRule
from bot.conversations.comments import post_of
from bot.conversations.lengths import LONGEST_IN_PUBLIC, weight
from bot.conversations.receipts import advance
from bot.errors import RefusedError
from bot.handover.ownership import Raised
from bot.handover.shift import is_on_shift
from bot.messages import COMMENTS, URGENT, Hit, OutboundKind, Way
from bot.store.record import add_outbox
from bot.store.tables import Commenter, Conversation, Message, Outbox, Person, PublicComment

if TYPE_CHECKING:
    from bot.conversations.words import Words

NO_PRIVATE = (
    "Nothing private can be sent to this comment: it has had its one message, or the platform takes none. "
    "The person has to write again. You can reply in public."
)
LONGEST_REPLY_BYTES = 900
TOO_LONG_IN_PUBLIC = "A public reply there holds {most} letters at most. A link counts as 23."
TOO_LONG = "A reply to a comment is one short message. Use 900 letters at most."
NO_PUBLIC = "This comment takes no public reply. Reply privately."


def is_comment(channel: str) -> bool:
    """Whether what is said on a channel stands in public."""
    return channel in COMMENTS


async def newest(
    connection: AsyncConnection, conversation_id: int, message_id: int | None = None
) -> Row[Any] | None:
    """The comment of a conversation in which something was written last, or that one message is a version of."""
    versions = or_(
        Message.platform_id == PublicComment.platform_id,
        Message.edit_of == PublicComment.platform_id,
        Message.platform_id == "mention:" + PublicComment.platform_id,
    )
    query = (
        select(PublicComment.__table__)
        .join(Message, and_(Message.conversation_id == PublicComment.conversation_id, versions))
        .where(PublicComment.conversation_id == conversation_id, PublicComment.removed.is_(False))
        .order_by(Message.id.desc())
        .limit(1)
    )
    if message_id is not None:
        query = query.where(Message.id == message_id)
    return (await connection.execute(query)).one_or_none()


async def private_is_free(connection: AsyncConnection, comment: Row[Any]) -> bool:
    """Whether the one private message to a comment is still ours to send."""
    if not comment.takes_private:
        return False
    person = select(Conversation.person_id).where(Conversation.id == comment.conversation_id)
    used = await connection.execute(
        select(Outbox.id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(
            # In an earlier conversation too: an old comment may have a new version.
            Conversation.person_id == person.scalar_subquery(),
            Outbox.place == comment.place,
            Outbox.way == "private",
            # Only a row that was never tried leaves it free.
            Outbox.state != "refused",
            or_(Outbox.state != "failed", Outbox.attempts > 0),
        )
        .limit(1)
    )
    return used.scalar_one_or_none() is None


async def say_privately(
    connection: AsyncConnection,
    row: Row[Any],
    kind: OutboundKind,
    texts: Sequence[str],
    *,
    about: Row[Any] | None = None,
    **more: Any,
) -> bool:
    """Send these words as the one private message to a comment, the newest if none is named. False: it is used."""
    comment = about or await newest(connection, row.id)
    words = "\n\n".join(text for text in texts if text)
    if comment is None or not words:
        return False
    if kind == "safety":
        await _make_room(connection, comment)
    if not await private_is_free(connection, comment):
        return False
    await add_outbox(
        connection, row, kind, words, epoch=row.epoch, way="private", place=comment.place, **more
    )
    return True


def opening(content: Content, channel: str) -> str:
    """Who writes, and why: the first words of what is said in private."""
    # A release of before has one sentence for all.
    own = f"comment_private_{channel.replace('-', '_')}"
    return content.line(own if own in content.lines else "comment_private")


async def is_with_staff(connection: AsyncConnection, row: Row[Any]) -> bool:
    """Whether a person has this commenter's private chat: what we sent in private would stand among their words."""
    mine = select(Commenter.account).where(Commenter.person_id == row.person_id).scalar_subquery()
    # Under each post they are somebody else to us: whom they are in private, one of them may know.
    private = select(Commenter.private_id).where(
        Commenter.channel == row.channel, Commenter.account == mine, Commenter.private_id.is_not(None)
    )
    owned = await connection.execute(
        select(Conversation.id)
        .join(Person, Person.id == Conversation.person_id)
        .where(
            Person.channel == COMMENTS[row.channel],
            Person.platform_id.in_(private),
            or_(
                Conversation.state == "human",
                and_(Conversation.answered_outside, Conversation.state.in_(("bot", "waiting"))),
            ),
        )
        .limit(1)
    )
    return owned.scalar_one_or_none() is not None


async def _make_room(connection: AsyncConnection, comment: Row[Any]) -> None:
    """Words of danger go before an answer that has not left: the platform takes one message and no more."""
    person = select(Conversation.person_id).where(Conversation.id == comment.conversation_id)
    waiting = await connection.execute(
        select(Outbox.id, Outbox.conversation_id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(
            Conversation.person_id == person.scalar_subquery(), Outbox.place == comment.place,
            Outbox.way == "private", Outbox.kind == "assistant", Outbox.state == "queued",
        )
    )  # fmt: skip
    for row in waiting.all():
        await advance(connection, row.id, row.conversation_id, "refused")


async def say_once_in_public(
    connection: AsyncConnection, words: Words, row: Row[Any], message_id: int | None = None
) -> None:
    """The one line that leads away from the public: once for each thread and person, ever."""
    comment = await newest(connection, row.id, message_id)
    if comment is None or not comment.takes_public:
        return
    said = await connection.execute(
        select(Outbox.id)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(
            Conversation.person_id == row.person_id,
            Outbox.kind == "assistant",
            Outbox.way == "public",
            Outbox.state.not_in(("refused", "failed")),
        )
        .limit(1)
    )
    if said.scalar_one_or_none() is None:
        await add_outbox(
            connection, row, "assistant", words.on(row.channel).line("public_comment"), epoch=row.epoch,
            way="public", place=comment.place,
        )  # fmt: skip


async def after_escalation(
    connection: AsyncConnection,
    words: Words,
    raised: Raised,
    hits: Sequence[Hit],
    *,
    was: Row[Any],
    turn: str | None,
) -> None:
    """Words of danger, in the transaction that escalated: what is no P1 or P2 is the turn's to answer."""
    row, urgent = raised.conversation, [hit for hit in hits if hit.grade in URGENT]
    if not urgent:
        return
    danger = [hit for hit in urgent if hit.grade == "P1"]
    comment = await newest(connection, row.id)
    if danger and comment is not None and comment.takes_public:
        await _danger_line(connection, words, raised, danger[0], comment, turn)
    due = [hit for hit in urgent if await words.is_due(connection, was, raised, hit)]
    if due:
        await _privately(connection, words, row, due, turn)
    if not danger and row.state != "human" and not await _is_quiet(connection, words, row):
        await say_once_in_public(connection, words, row)


async def _danger_line(
    connection: AsyncConnection,
    words: Words,
    raised: Raised,
    hit: Hit,
    comment: Row[Any],
    turn: str | None,
) -> None:
    """The 999 line, to each person in danger: what others were told in the same thread does not count."""
    row = raised.conversation
    if not raised.rose and await words.went_out(
        connection, row.id, (Outbox.grade == "P1") & (Outbox.way == "public")
    ):
        return
    await add_outbox(
        connection, row, "safety", words.content.current.line("public_danger"), epoch=row.epoch,
        category=hit.category, grade="P1", turn=turn, way="public", place=comment.place,
    )  # fmt: skip


async def _privately(
    connection: AsyncConnection, words: Words, row: Row[Any], hits: Sequence[Hit], turn: str | None
) -> None:
    """All safety words in one message, the 999 block first, and the truth about a person."""
    content, texts = words.on(row.channel), list[str]()
    language = next((hit.language for hit in hits if hit.language), row.language)
    own = content.in_language(language, "danger")
    block = False
    for hit in sorted(hits, key=lambda hit: hit.grade):
        if hit.grade == "P1" and not block:
            texts.append(content.line("block_999"))
            block = True
            texts += [own] if own else []
        texts.append(words.lines_of(hit.category, without_block=block))
    if own and not block:
        texts.insert(0, own)
    if row.state != "human":
        texts.append(await truth(connection, words, row))
    worst = min(hits, key=lambda hit: hit.grade)
    await say_privately(
        connection, row, "safety", list(dict.fromkeys(texts)), category=worst.category, grade=worst.grade,
        turn=turn,
    )  # fmt: skip


async def truth(connection: AsyncConnection, words: Words, row: Row[Any]) -> str:
    """One true sentence about who will read this; the caller's transaction makes it wait (I11)."""
    content = words.on(row.channel)
    if not await is_on_shift(connection, row.grade, row.team):
        return content.line("queued_off_shift")
    if not row.category:
        return content.line("handed_over_default")
    return words.screen.words(row.category, row.channel).handover


async def _is_quiet(connection: AsyncConnection, words: Words, row: Row[Any]) -> bool:
    post = await post_of(connection, row.person_id)
    return post is None or CommentRule.of(words.content.current.force).is_quiet(post)


# ---- what staff say ------------------------------------------------------------------------------


async def staff_place(connection: AsyncConnection, row: Row[Any], wanted: str, text: str) -> tuple[Way, str]:
    """How a reply of staff reaches the newest comment: privately, unless they chose the public.

    Raises:
        RefusedError: the platform takes no such reply to it, or it is too long.
    """
    if len(text.encode()) > LONGEST_REPLY_BYTES:
        raise RefusedError(TOO_LONG)
    comment = await newest(connection, row.id)
    if wanted == "public":
        if comment is None or not comment.takes_public:
            raise RefusedError(NO_PUBLIC)
        most = LONGEST_IN_PUBLIC.get(row.channel)
        if most is not None and weight(text) > most:
            raise RefusedError(TOO_LONG_IN_PUBLIC.format(most=most))
        return "public", comment.place
    if comment is None or not await private_is_free(connection, comment):
        raise RefusedError(NO_PRIVATE)
    return "private", comment.place


async def ways_open(connection: AsyncConnection, row: Row[Any]) -> dict[str, bool]:
    """Which replies the newest comment still takes, for the page."""
    comment = await newest(connection, row.id)
    if comment is None:
        return {"public": False, "private": False}
    return {
        "public": bool(comment.takes_public), "private": await private_is_free(connection, comment)
    }  # fmt: skip
