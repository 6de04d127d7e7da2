"""Reads posts that mention the force's account, as comments: each a message of somebody in one thread.

A post as X's API writes it, from a look (docs.x.com/x-api/posts/timelines/quickstart/user-mention-quickstart)
or from the event `post.mention.create` (docs.x.com/x-api/activity/event-payloads). The thread is X's
conversation: who asks five things in one gets one line. Our own posts change nothing, and a repost is nobody's
words. A new version is a post of its own that names those before it (docs.x.com/x-api/fundamentals/edit-posts).
That somebody has deleted a post X tells nobody but its writer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from bot.channels.x.inbound import KINDS, digits, sequence_of, when, written
from bot.channels.x.texts import plain
from bot.messages import Arrival, Comment, InboundKind, Incoming

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]

MENTIONS = "x-mentions"
_CALLED = re.compile(r"\A(?:\s*\.?@\w{1,15}(?=\s|\Z))+\s*")
"""Whom a post calls before it says anything: a reply begins with everybody who is in the thread."""
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")


def read_posts(posts: Sequence[object], media: Mapping[str, str], us: str) -> list[Arrival]:
    """Posts as arrivals. `media`: the type of each picture and film by its key. `us`: the force's account.

    One that cannot be read stops no other.
    """
    found: list[Arrival] = []
    for post in posts:
        if not isinstance(post, dict):
            continue
        try:
            found += _read(post, media, us)
        except Exception as error:
            # Whatever it is, it must not stop the posts behind it. No text: only its kind.
            log.error("x.unreadable", error=type(error).__name__)
            found += _salvaged(post, us)
    return found


def _read(post: Json, media: Mapping[str, str], us: str) -> list[Arrival]:
    mid, author = digits(post.get("id")), digits(post.get("author_id"))
    if mid is None or author is None:
        log.error("x.unreadable", error="it has no writer or no id")
        return []
    if author == us or _refers_to(post, "retweeted") is not None:
        return []
    versions = [one for one in map(digits, _list(post.get("edit_history_tweet_ids"))) if one is not None]
    first = versions[0] if versions else mid
    root = digits(post.get("conversation_id")) or first
    if root in versions:
        root = first
    text = _words(post)
    kind: InboundKind = "text" if text.strip() else _shown(post, media)
    stands = _stands(post, mid, first, root, author, us, text)
    return [
        Incoming(
            MENTIONS, f"{root}/{author}", mid, text, kind, platform_time=when(mid, written(post.get("created_at"))),
            platform_sequence=sequence_of(mid), edit_of=first if first != mid else None, comment=stands,
        )
    ]  # fmt: skip


def _stands(post: Json, mid: str, first: str, root: str, author: str, us: str, text: str) -> Comment:
    began = author if root == first else _beginner(post, root)
    return Comment(
        root, first, author, link_to(mid), link_to(root), place=first, is_ours=began == us,
        post_author=began, post_text=_UNKEEPABLE.sub("\ufffd", text) if root == first else None,
        private_id=author,
    )  # fmt: skip


def _beginner(post: Json, root: str) -> str:
    """Who began a thread, as far as a post in it says so: it does where it answers the first one."""
    answered = _refers_to(post, "replied_to")
    return (digits(post.get("in_reply_to_user_id")) or "") if answered == root else ""


def _refers_to(post: Json, kind: str) -> str | None:
    """The post that another one reposts or answers."""
    for one in _list(post.get("referenced_tweets")):
        if isinstance(one, dict) and one.get("type") == kind:
            return digits(one.get("id")) or ""
    return None


def _words(post: Json) -> str:
    """The words of a post, without the names that it calls first; all of them, if it is a long one."""
    text, entities = words_of(post)
    return _CALLED.sub("", plain(text, entities.get("urls")))


def words_of(post: Json) -> tuple[object, Json]:
    """The text of a post and what stands in it: the note, where the text is only its beginning."""
    note = post.get("note_tweet")
    holder = note if isinstance(note, dict) and isinstance(note.get("text"), str) else post
    entities = holder.get("entities")
    return holder.get("text"), entities if isinstance(entities, dict) else {}


def _shown(post: Json, media: Mapping[str, str]) -> InboundKind:
    attached = post.get("attachments")
    keys = _list(attached.get("media_keys")) if isinstance(attached, dict) else []
    return KINDS.get(media.get(str(keys[0]), ""), "unsupported") if keys else "unsupported"


def _salvaged(post: Json, us: str) -> list[Arrival]:
    """Writer and words of a post that cannot be read, if they are where they should be."""
    mid, author, text = digits(post.get("id")), digits(post.get("author_id")), post.get("text")
    if mid is None or author is None or author == us:
        return []
    words = text if isinstance(text, str) else ""
    stands = Comment(mid, mid, author, link_to(mid), place=mid, is_ours=False, private_id=author)
    kind: InboundKind = "text" if words.strip() else "unsupported"
    return [Incoming(MENTIONS, f"{mid}/{author}", mid, words, kind, comment=stands)]


def link_to(post: str) -> str:
    """Where a post stands, without a name in the address."""
    return f"https://x.com/i/status/{post}"


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []
