"""Posts of the loopback X: what mentions the account, replies to it, hiding, as X's documentation says they behave.

The list: docs.x.com/x-api/posts/timelines/integrate (newest first, `since_id`, the newest version of each post).
Replies: docs.x.com/x-api/posts/manage-tweets/integrate (only to whoever named the account). Hiding:
docs.x.com/x-api/posts/hide-replies/introduction (only in threads that the account began). Versions:
docs.x.com/x-api/fundamentals/edit-posts. What X answers to the same words again is written nowhere; it is known
from its answers (403, "duplicate content").
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.platforms.x.events import Writer, new_id

Json = dict[str, Any]

HIDDEN = re.compile(r"2/tweets/(\d+)/hidden")
ONE = re.compile(r"2/tweets/(\d+)")
LONGEST = 280


class Refused(Exception):
    """X answers so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.body = status, {"title": "Forbidden", "detail": detail, "type": "about:blank"}


class Poster(Writer):
    """One person who writes posts, beside direct messages."""

    def posts(
        self,
        text: str,
        *,
        under: str | None = None,
        to: str | None = None,
        at: float | None = None,
        first: str | None = None,
        **more: Any,
    ) -> Json:
        """A post that mentions the account. `under`: the thread that it stands in, `to`: the post it answers.

        `first`: it is a new version of that one. `more`: fields of the post itself.
        """
        moment = time.time() if at is None else at
        mid = new_id(moment)
        post: Json = {
            "id": mid, "text": f"@force {text}", "author_id": self.id, "conversation_id": under or first or mid,
            "created_at": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "edit_history_tweet_ids": [first, mid] if first else [mid],
        }  # fmt: skip
        if under is not None:
            post["referenced_tweets"] = [{"type": "replied_to", "id": to or under}]
        return {"what": "post", "id": mid, "at": moment, "post": {**post, **more}}

    def reposts(self, other: Json) -> Json:
        """Passes on a post of somebody else's, which says nothing new."""
        referred = [{"type": "retweeted", "id": other["id"]}]
        return self.posts(other["post"]["text"], referenced_tweets=referred)


@dataclass(slots=True)
class _Post:
    json: Json
    mentions: bool
    hidden: bool = False
    gone: bool = False


class Timeline:
    """Every post that this X knows of."""

    def __init__(self, us: str) -> None:
        self._us = us
        self._posts: dict[str, _Post] = {}
        self.replies: list[Json] = []
        self.hides: list[Json] = []
        self.strict = False
        """The same words are refused wherever they stand; else only under the same post."""

    def note(self, event: Json) -> None:
        """Somebody has written a post. What X knows of whom it answers it adds by itself."""
        post = event["post"]
        for one in post.get("referenced_tweets", []):
            known = self._posts.get(one["id"])
            if one["type"] == "replied_to" and known is not None:
                post["in_reply_to_user_id"] = known.json["author_id"]
        for version in post["edit_history_tweet_ids"][:-1]:
            if version in self._posts:
                self._posts[version].mentions = False
                self._posts[version].json["edit_history_tweet_ids"] = post["edit_history_tweet_ids"]
        self._posts[post["id"]] = _Post(post, mentions=event.get("mentions", True))

    def change(self, publish: Json | None = None, delete: list[str] | None = None, **more: Any) -> None:
        """`publish`: posts of the account's own, or of others, by their ids; `delete`: they are gone."""
        for mid, given in (publish or {}).items():
            post = {"id": mid, "author_id": self._us, "conversation_id": mid, "edit_history_tweet_ids": [mid],
                    **given}  # fmt: skip
            self.note({"post": post, "mentions": False})
        for mid in delete or []:
            self._posts[mid].gone = True
        self.strict = more.get("strict", self.strict)

    def state(self) -> Json:
        """Everything that was done here."""
        return {
            "replies": self.replies, "hides": self.hides,
            "hidden": {mid: post.hidden for mid, post in self._posts.items()},
        }  # fmt: skip

    def kind_of(self, method: str, path: str) -> str | None:
        """By what name a test calls a call: mentions, public, hide or lookup."""
        if path == f"2/users/{self._us}/mentions":
            return "mentions"
        if (method, path) == ("POST", "2/tweets"):
            return "public"
        if HIDDEN.fullmatch(path):
            return "hide"
        return "lookup" if ONE.fullmatch(path) else None

    def answer(self, method: str, path: str, query: Json, body: Any) -> tuple[int, Json] | None:
        """One call; None: it is none of ours."""
        kind = self.kind_of(method, path)
        if kind == "mentions":
            return 200, self._mentions(query)
        if kind == "public":
            return 201, self._reply(body)
        if kind == "hide" and (found := HIDDEN.fullmatch(path)):
            return 200, self._hide(found[1], body)
        if kind == "lookup" and (found := ONE.fullmatch(path)):
            return 200, self._one(found[1])
        return None

    def _mentions(self, query: Json) -> Json:
        since, before = int(query.get("since_id", 0)), float(query.get("pagination_token", math.inf))
        shown = sorted(
            (
                post
                for mid, post in self._posts.items()
                if post.mentions and not post.gone and int(mid) > since
            ),
            key=lambda post: int(post.json["id"]),
            reverse=True,
        )
        below = [post.json for post in shown if int(post.json["id"]) < before]
        page = below[: int(query.get("max_results", 10))]
        meta: Json = {"result_count": len(page)}
        if len(below) > len(page):
            meta["next_token"] = page[-1]["id"]
        media = [
            {"media_key": key, "type": "photo"}
            for post in page
            for key in post.get("attachments", {}).get("media_keys", [])
        ]
        answer: Json = {"data": page, "meta": meta} if page else {"meta": meta}
        return {**answer, "includes": {"media": media}} if media else answer

    def _there(self, mid: str, detail: str) -> _Post:
        post = self._posts.get(mid)
        if post is None or post.gone:
            raise Refused(403, detail)
        return post

    def _reply(self, body: Any) -> Json:
        text, to = body.get("text"), (body.get("reply") or {}).get("in_reply_to_tweet_id")
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
            raise Refused(400, "Invalid Request")
        if not isinstance(to, str):
            raise Refused(400, "a post of our own was never meant to be written")
        answered = self._there(to, "You attempted to reply to a Tweet that is deleted or not visible to you.")
        versions = answered.json["edit_history_tweet_ids"]
        if versions[-1] != to:
            raise Refused(403, "You attempted to reply to a Tweet that is deleted or not visible to you.")
        if not answered.mentions:
            raise Refused(
                403, "Reply to this conversation is not allowed because you have not been mentioned."
            )
        same = [one for one in self.replies if one["text"] == text and (self.strict or one["to"] == to)]
        if same:
            raise Refused(403, "You are not allowed to create a Tweet with duplicate content.")
        mid = new_id()
        self.replies.append({"id": mid, "to": to, "text": text, "at": time.time()})
        ours = {"id": mid, "text": text, "author_id": self._us,
                "conversation_id": answered.json["conversation_id"], "edit_history_tweet_ids": [mid]}  # fmt: skip
        # It calls the person, and maybe ourselves: a list of mentions may hold our own words.
        self.note({"post": ours, "mentions": True})
        return {"data": {"id": mid, "text": text}}

    def _hide(self, mid: str, body: Any) -> Json:
        post = self._there(mid, "Not found")
        root = self._posts.get(post.json["conversation_id"])
        if root is None or root.json["author_id"] != self._us or not isinstance(body.get("hidden"), bool):
            raise Refused(
                403, "The Tweet must belong to a conversation initiated by the authenticating user."
            )
        post.hidden = body["hidden"]
        self.hides.append({"id": mid, "hidden": post.hidden, "at": time.time()})
        return {"data": {"hidden": post.hidden}}

    def _one(self, mid: str) -> Json:
        post = self._posts.get(mid)
        if post is None or post.gone:
            # X says so with 200.
            return {"errors": [{"title": "Not Found Error", "resource_id": mid}]}
        return {"data": post.json}
