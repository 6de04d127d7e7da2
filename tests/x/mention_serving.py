"""A gateway that reads the posts that mention its account, and what a test does with them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from sqlalchemy import Row, select

from bot.store.tables import Bookmark, Conversation, HiddenReview, Message, Outbox, Person, PublicComment
from tests.console.serving import KEY, Browser, Desk, Test
from tests.platforms.x import Poster
from tests.support.sides import Json, listen
from tests.x import serving
from tests.x.serving import XSide, platform_of, x_side

OWN = "x-mentions"
_people = itertools.count(2_410_010_001)
_posts = itertools.count(1)
NEWS = "Our officers were at Grainger Market today. Come and say hello."
APPEAL = "Have you seen Sam, 14, from Byker? He has not been home since Friday."


@dataclass(slots=True)
class MentionSide(XSide):
    """X with its posts."""

    desks: list[Desk] = field(default_factory=list)
    _browsers: dict[str, Browser] = field(default_factory=dict)

    # ---- people and posts ------------------------------------------------------------------------

    def poster(self) -> Poster:
        """Somebody new."""
        return Poster(next(_people), self.app.us)

    def timeline(self, **given: Any) -> Json:
        """Change what stands there; what was done there."""
        return dict(self.http.post("/control/timeline", json=given).raise_for_status().json())

    def publish(self, text: str = NEWS, **more: Any) -> str:
        """A new post of the force's own, or of whoever `author_id` says."""
        mid = str(1_500_000_000_000_000_000 + next(_posts))
        self.timeline(publish={mid: {"text": text, **more}})
        return mid

    def public(self, *posts: Json) -> list[str]:
        """Our words under these posts, in their order."""
        ids = {one["id"] for one in posts}
        return [one["text"] for one in self.timeline()["replies"] if one["to"] in ids]

    def is_hidden(self, post: Json) -> bool:
        """Whether it is hidden in its thread."""
        return bool(self.timeline()["hidden"][post["id"]])

    # ---- the record ------------------------------------------------------------------------------

    def thread(self, who: Poster, post: Json) -> Row[Any]:
        """The conversation of a person in a thread, once there is one and everything was read and sent."""
        name = f"{post['post']['conversation_id']}/{who.id}"

        def find() -> list[Row[Any]]:
            people = select(Person.id).where(Person.channel == OWN, Person.platform_id == name)
            return self.rows(Conversation, Conversation.person_id.in_(people))

        self.until(find, "the post to be stored")
        self.quiet()
        return find()[-1]

    def quiet(self) -> None:
        """Wait until nothing has to be read or sent."""

        def is_quiet() -> bool:
            unread = self.rows(Message, Message.channel == OWN, Message.handled.is_(False))
            open_rows = self.rows(Outbox, Outbox.channel == OWN, Outbox.state.in_(("queued", "sending")))
            return not unread and not open_rows

        self.until(lambda: is_quiet() and is_quiet(), "the turns and the sends to end")

    def kept(self, *posts: Json) -> list[Row[Any]]:
        """The messages that these posts are."""
        return self.rows(
            Message, Message.channel == OWN, Message.platform_id.in_([one["id"] for one in posts])
        )

    def arrive(self, *posts: Json) -> None:
        """Let these be written, and wait until they are stored."""
        self.inject(*posts)
        self.until(lambda: len(self.kept(*posts)) == len(posts), "the posts to be stored")

    def said(self, row: Row[Any]) -> list[Row[Any]]:
        """Everything that was meant for a conversation."""
        return self.rows(Outbox, Outbox.conversation_id == row.id)

    def comment(self, post: Json) -> Row[Any]:
        """What the record keeps of a post."""
        (found,) = self.rows(
            PublicComment, PublicComment.channel == OWN, PublicComment.platform_id == post["id"]
        )
        return found

    def reviews(self, post: Json) -> list[Row[Any]]:
        """The reviews of a post, oldest first."""
        return self.rows(HiddenReview, HiddenReview.comment_id == self.comment(post).id)

    def bookmark(self) -> int:
        """How far the record says that posts are read."""
        found = self.rows(Bookmark, Bookmark.key == "x.mentions")
        return (found[0].place or 0) if found else 0

    def reset(self) -> None:
        """As it was at the start, but for what people have written."""
        XSide.reset(self)
        self.timeline(strict=False)
        for one in self.gateways:
            mentions = platform_of(one)._mentions
            assert mentions is not None
            mentions.way_out.__init__(mentions.way_out._api, mentions.way_out._direct, self.app.us)  # type: ignore[misc]

    # ---- the desk --------------------------------------------------------------------------------

    def browser(self, username: str) -> Browser:
        """Somebody of the staff, signed in at the desk of the first gateway."""
        if not self.desks:
            _server, base = self.run(listen(self.first.gateway.desk))
            found = Desk(self.first.gateway, Test(), base, self.loop)
            found.hire("mo", "jo", "sue", "cam")
            self.desks.append(found)
        if username not in self._browsers:
            self._browsers[username] = self.desks[0].browser(username)
        return self._browsers[username]


@contextlib.contextmanager
def mention_side(
    database_url: str, gateways: int = 1, *, hide: bool = False, **values: Any
) -> Iterator[MentionSide]:
    """Serve until the block ends. `hide`: the force has switched hiding on."""
    values = {"_mode": "poll", "_mentions": True, "secret_key": KEY, **values}
    with mock.patch.object(serving, "XSide", MentionSide), x_side(database_url, gateways, **values) as found:
        assert isinstance(found, MentionSide)
        if hide:
            for one in found.gateways:
                content = one.gateway.core.content
                rule = {**content.current.force["comments"], "hide": True}
                content.current = replace(content.current, force={**content.current.force, "comments": rule})
        try:
            yield found
        finally:
            for desk in found.desks:
                for client in desk._clients:
                    client.close()
