"""The way out: a public reply, a private reply, and hiding a comment or showing it again.

- A Page's comment: developers.facebook.com/docs/graph-api/reference/object/comments (public reply) and
  developers.facebook.com/docs/graph-api/reference/comment (`is_hidden`).
- Instagram's: developers.facebook.com/docs/instagram-platform/comment-moderation (`/replies`, `hide`). A
  hidden comment takes no reply there, and one on a live video takes none in public.
- Private replies, once for each comment, within seven days:
  developers.facebook.com/docs/messenger-platform/discovery/private-replies and
  developers.facebook.com/docs/messenger-platform/instagram/features/private-replies.

What each answer means for the outbox is as for messages: `bot/channels/meta/outbound.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from bot.channels.comments.inbound import NAMED, VISITOR, link
from bot.channels.meta.api import Graph, GraphError
from bot.channels.meta.inbound import identity_of, metadata
from bot.channels.meta.options import Options
from bot.channels.meta.traits import Traits
from bot.channels.render import NOTHING, Around, Layout, first_part
from bot.errors import RejectedError, RetryLaterError, SendError, UnsureError
from bot.messages import Outgoing, Sent

log = structlog.get_logger(__name__)

PRIVATE_WITHIN = timedelta(days=7)
TOKEN_REFUSED_SECONDS = 60.0

Json = dict[str, Any]


def layout_of(name: str, traits: Traits) -> Layout:
    """What fits the one private message that the platform takes for a comment."""
    return Layout(name, traits.longest, traits.of_letter, traits.unit, most_parts=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What a post says, and where it stands."""

    text: str
    link: str
    author: str = ""
    """Who wrote it, where the platform may list anybody's."""
    is_ours: bool = True


class CommentChannel:
    """Answers under posts (see `bot.messages.Channel`)."""

    in_store = False
    discloses = False
    """What is said in private says by itself who writes; in public there is no room for it."""
    reply_window = PRIVATE_WITHIN

    def __init__(self, name: str, graph: Graph, options: Options) -> None:
        self.name = name
        self.layout = layout_of(name, options.traits)
        self.max_text = options.traits.longest
        self.around: Callable[[], Around] = lambda: NOTHING
        """The words of the live release, once there are any."""
        self._graph = graph
        self._traits = options.traits
        self._account = options.account_id
        self._is_instagram = options.traits.object == "instagram"

    def shorten(self, text: str, way: str) -> str:
        """The first words of a text: one message is all that a comment takes in private."""
        return first_part(text, self.layout, self.around().danger) if way == "private" else text

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The text as it stands there: one message, with who of us says it where that is a person."""
        if outgoing.way != "private":
            return [outgoing.text]
        author = f"{outgoing.author}:\n\n" if outgoing.author else ""
        return [self.shorten(author + outgoing.text, "private")]

    async def send(self, _person: str, outgoing: Outgoing) -> Sent:
        """Deliver one reply, whole in public, its first words in private.

        Raises:
            RejectedError: also for whatever was not written for a place in public.
            RetryLaterError, UnsureError: as `bot.messages.Channel.send` says.
        """
        if not outgoing.way or not outgoing.place:
            # The last net: no other part of the gateway may ever speak in public.
            raise RejectedError("this was not written for a comment")
        try:
            if outgoing.way == "private":
                return await self._privately(outgoing)
            return Sent(await self._publicly(outgoing))
        except GraphError as error:
            raise self._what_became_of(error) from error

    async def _publicly(self, outgoing: Outgoing) -> str:
        path, body = f"{outgoing.place.removeprefix(VISITOR)}/comments", {"message": outgoing.text}
        if outgoing.place.startswith(NAMED):
            media, _, comment = outgoing.place.removeprefix(NAMED).partition("/")
            path, body = f"{self._account}/mentions", {**body, "media_id": media}
            if comment:
                body["comment_id"] = comment
        elif self._is_instagram:
            path = f"{outgoing.place}/replies"
        answer = await self._graph.post(path, body)
        found = identity_of(answer.get("id"))
        if found is None:
            raise GraphError("no_answer", self._traits.title)
        return found

    async def _privately(self, outgoing: Outgoing) -> Sent:
        (text,) = self.pieces(outgoing)
        message = {"text": text, "metadata": metadata(outgoing.outbox_id, last=True)}
        kind = "post_id" if outgoing.place.startswith(VISITOR) else "comment_id"
        body: Json = {"recipient": {kind: outgoing.place.removeprefix(VISITOR)}, "message": message}
        answer = await self._graph.post("me/messages", body)
        mid = identity_of(answer.get("message_id"))
        if mid is None:
            raise GraphError("no_answer", self._traits.title)
        reached = str(answer.get("recipient_id") or "")
        return Sent(mid, reached if reached.isdecimal() and len(reached) <= 30 else "")

    async def hide(self, comment: str, *, hidden: bool) -> None:
        """Hide a comment from the public, or show it again. Doing so twice changes nothing.

        Raises:
            RejectedError, RetryLaterError, UnsureError: as for `send`.
        """
        body: Json = {"hide": hidden} if self._is_instagram else {"is_hidden": hidden}
        try:
            await self._graph.post(comment, body)
        except GraphError as error:
            raise self._what_became_of(error) from error

    async def is_hidden(self, comment: str) -> bool | None:
        """Whether the public cannot see a comment; None: it has gone, or the platform keeps it to itself.

        Raises:
            RetryLaterError, UnsureError: nobody can say now.
        """
        field = "hidden" if self._is_instagram else "is_hidden"
        answer = await self._get(comment, field)
        found = None if answer is None else answer.get(field)
        return found if isinstance(found, bool) else None

    async def look_up(self, post: str) -> Found | None:
        """What a post says; None: it has gone, or is not for us to read.

        Raises:
            RetryLaterError, UnsureError: nobody can say now.
        """
        fields = ("caption", "permalink") if self._is_instagram else ("message", "permalink_url")
        answer = await self._get(post, *fields)
        if answer is None:
            return None
        text = answer.get(fields[0])
        # A null byte, or half of a pair, is what no database keeps.
        kept = text.encode("utf-8", "replace").decode().replace("\x00", " ") if isinstance(text, str) else ""
        return Found(kept, link(answer.get(fields[1])))

    async def _get(self, node: str, *fields: str) -> Mapping[str, Any] | None:
        try:
            return await self._graph.get(node, fields=",".join(fields))
        except GraphError as error:
            became = self._what_became_of(error)
            if isinstance(became, RejectedError):
                return None
            raise became from error

    async def mentioned(self, media: str, comment: str) -> Mapping[str, Any]:
        """What somebody wrote who named us (…/instagram-graph-api/reference/ig-user/mentioned_comment).

        Raises:
            GraphError: it cannot be fetched.
        """
        if comment:
            name, fields = (
                "mentioned_comment",
                f"mentioned_comment.comment_id({comment}){{id,text,timestamp}}",
            )
        else:
            name, fields = (
                "mentioned_media",
                f"mentioned_media.media_id({media}){{caption,timestamp,username}}",
            )
        answer = await self._graph.get(self._account, fields=fields)
        found = answer.get(name)
        return found if isinstance(found, dict) else {}

    def _what_became_of(self, error: GraphError) -> SendError:
        said = str(error)
        if error.kind == "token":
            log.error("comments.token_refused", channel=self.name)
            return RetryLaterError(said, TOKEN_REFUSED_SECONDS)
        if error.kind == "busy":
            return RetryLaterError(said, error.seconds)
        if error.kind in ("not_sent", "not_taken"):
            return RetryLaterError(said)
        if error.kind in ("no_answer", "server"):
            return UnsureError(said)
        return RejectedError(said)
