"""A gateway that takes the comments of a Page or an Instagram account, and the loopback Graph API beside it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, select

from bot.store.tables import Conversation, HiddenReview, Message, Outbox, Person, PublicComment
from tests.console.serving import KEY, Browser, Desk, Test
from tests.meta.serving import MetaSide, settings_of
from tests.platforms.graph import App, GraphServer, build
from tests.platforms.graph.commenters import Commenter, id_of, posts
from tests.support.sides import Json, Served, listen, side_of

CHANNELS = {"messenger": "facebook-comments", "instagram": "instagram-comments"}
NAMES = tuple(CHANNELS)
_people = itertools.count(8_310_010_001)
_posts = itertools.count(1)

PLAIN_POST = "Our officers were at Grainger Market today. Come and say hello."
APPEAL_POST = "Have you seen Sam, 14, from Byker? He has not been home since Friday."


@dataclass(slots=True)
class CommentSide(MetaSide):
    """Comments beside Messenger or Instagram, and what a test does there."""

    own: str = ""
    """The name of the channel of comments."""
    desks: list[Desk] = field(default_factory=list)
    _browsers: dict[str, Browser] = field(default_factory=dict)

    # ---- people and posts ------------------------------------------------------------------------

    def commenter(self) -> Commenter:
        """Somebody new."""
        return Commenter(next(_people), self.app.us, is_instagram=self.app.is_instagram)

    def new_post(self, text: str | None = PLAIN_POST) -> str:
        """A new post of the force's, which can be looked up unless `text` is None."""
        number = next(_posts)
        name = f"179{number:010}" if self.app.is_instagram else f"{self.app.us}_{number:010}"
        if text is not None:
            self.wall(posts={name: text})
        return name

    def publish(self, text: str) -> str:
        """A post that Meta tells us of (a Page's only)."""
        name = self.new_post(None)
        self.happens(posts(self.app.us, name, text))
        return name

    def happens(self, *changes: Json, **options: Any) -> None:
        """Let this happen on the platform."""
        answer = self.http.post("/control/changes", json={"changes": list(changes), **options})
        assert answer.status_code == 200, answer.text

    def wall(self, **given: Any) -> None:
        """Change what is there."""
        self.http.post("/control/wall", json=given).raise_for_status()

    def body_of(self, *changes: Json) -> bytes:
        """The body of a webhook."""
        kind = "instagram" if self.app.is_instagram else "page"
        return json.dumps(
            {"object": kind, "entry": [{"id": self.app.us, "time": 1, "changes": changes}]}
        ).encode()

    # ---- what stands there -----------------------------------------------------------------------

    def seen(self) -> Json:
        """Everything that was done under posts."""
        return dict(self.http.get("/control/wall").json())

    def public(self, *changes: Json) -> list[str]:
        """Our words under these comments, in their order."""
        ids = {id_of(change) for change in changes}
        return [one["text"] for one in self.seen()["replies"] if one["comment"] in ids]

    def private(self, *changes: Json) -> list[str]:
        """The private messages to these comments."""
        ids = {id_of(change) for change in changes}
        return [one["text"] for one in self.seen()["privates"] if one["comment"] in ids]

    def is_hidden(self, change: Json) -> bool:
        """Whether the public cannot see a comment."""
        return bool(self.seen()["hidden"][id_of(change)])

    # ---- the record ------------------------------------------------------------------------------

    def chat(self, who: Commenter, post: str) -> Row[Any]:
        """The conversation of a person under a post, once there is one."""
        return self.chat_of(f"{post}/{who.id}")

    def chat_of(self, person: str) -> Row[Any]:
        """The same, by how the record names the person."""

        def find() -> list[Row[Any]]:
            people = select(Person.id).where(Person.channel == self.own, Person.platform_id == person)
            return self.rows(Conversation, Conversation.person_id.in_(people))

        self.until(find, "the comment to be stored")
        return find()[-1]

    def done(self, who: Commenter, post: str) -> Row[Any]:
        """The same, once every comment of theirs has been read and everything was sent."""
        self.quiet()
        return self.chat(who, post)

    def quiet(self) -> None:
        """Wait until nothing has to be delivered, read or sent."""
        self.taken()

        def is_quiet() -> bool:
            unread = self.rows(Message, Message.channel == self.own, Message.handled.is_(False))
            open_rows = self.rows(Outbox, Outbox.channel == self.own, Outbox.state.in_(("queued", "sending")))
            return not unread and not open_rows

        # Twice: between the two looks of one, a row that is refused makes a message unread again.
        self.until(lambda: is_quiet() and is_quiet(), "the turns and the sends to end")
        self.taken()

    def said(self, row: Row[Any]) -> list[Row[Any]]:
        """Everything that was meant for a conversation."""
        return self.rows(Outbox, Outbox.conversation_id == row.id)

    def comment(self, change: Json) -> Row[Any]:
        """What the record keeps of a comment."""
        found = self.rows(
            PublicComment, PublicComment.channel == self.own, PublicComment.platform_id == id_of(change)
        )
        return found[0]

    def reviews(self, change: Json) -> list[Row[Any]]:
        """The reviews of a comment, oldest first."""
        return self.rows(HiddenReview, HiddenReview.comment_id == self.comment(change).id)

    def messages(self, person: str, channel: str = "") -> list[Row[Any]]:
        """What is stored of a person's messages, here of their private chat unless another channel is named."""
        channel = channel or self.channel
        known = self.rows(Person, Person.platform_id == person, Person.channel == channel)
        return self.rows(Message, Message.person_id == known[0].id) if known else []

    # ---- the desk --------------------------------------------------------------------------------

    def desk(self) -> Desk:
        """The desk of the first gateway, with one of everybody."""
        if not self.desks:
            _server, base = self.run(listen(self.first.gateway.desk))
            found = Desk(self.first.gateway, Test(), base, self.loop)
            found.hire("mo", "jo", "sue", "cam")
            self.desks.append(found)
        return self.desks[0]

    def browser(self, username: str) -> Browser:
        """Somebody of the staff, signed in."""
        if username not in self._browsers:
            self._browsers[username] = self.desk().browser(username)
        return self._browsers[username]


@contextlib.contextmanager
def comment_side(
    name: str, database_url: str, gateways: int = 1, *, hide: bool = False, **values: Any
) -> Iterator[CommentSide]:
    """Serve until the block ends. `hide`: the force has switched hiding on."""
    app = App(name)

    def platform() -> Served:
        server = GraphServer(app, [])
        return Served(
            build(server, f"graph-{id(server)}"),
            lambda api: {**settings_of(app, api), f"{name}_comments": True},
            server.gateways.append,
            server.close,
        )

    make = functools.partial(CommentSide, app.name, app=app, own=CHANNELS[name])
    with side_of(make, platform, database_url, gateways, secret_key=KEY, **values) as side:
        if hide:
            for one in side.gateways:
                content = one.gateway.core.content
                rule = {**content.current.force["comments"], "hide": True}
                force = {**content.current.force, "comments": rule}
                content.current = replace(content.current, force=force)
        try:
            yield side
        finally:
            for desk in side.desks:
                for client in desk._clients:
                    client.close()
