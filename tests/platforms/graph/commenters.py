"""People who write under posts, and what Meta tells of it.

developers.facebook.com/docs/graph-api/webhooks/reference/page#feed and
developers.facebook.com/docs/instagram-platform/webhooks/examples.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

Json = dict[str, Any]


class Commenter:
    """One person under posts of one account."""

    _numbers = itertools.count(1)

    def __init__(self, person: int, us: str, *, is_instagram: bool) -> None:
        self.id = str(person)
        self.us = us
        self._is_instagram = is_instagram

    def new_id(self, post: str) -> str:
        """The id of a new comment."""
        number = f"{next(self._numbers)}{self.id[-6:]}"
        return f"1789{number}" if self._is_instagram else f"{post.rpartition('_')[2]}_{number}"

    def writes(self, post: str, text: str, *, comment: str | None = None, parent: str = "") -> Json:
        """A comment under a post, or under the comment `parent`."""
        comment = comment or self.new_id(post)
        if self._is_instagram:
            return {"field": "comments", "value": self._instagram(post, comment, text, parent)}
        value = {**self._feed(post, comment, "add", parent), "message": text}
        return {"field": "feed", "value": value}

    def writes_live(self, post: str, text: str) -> Json:
        """A comment on a live video (Instagram)."""
        return {"field": "live_comments", "value": self._instagram(post, self.new_id(post), text, "")}

    def edits(self, change: Json, text: str) -> Json:
        """A new version of a comment (a Page's only)."""
        return {"field": "feed", "value": {**change["value"], "verb": "edited", "message": text}}

    def removes(self, change: Json) -> Json:
        """Takes a comment back (a Page's only)."""
        value = {key: content for key, content in change["value"].items() if key != "message"}
        return {"field": "feed", "value": {**value, "verb": "remove"}}

    def mentions(self, media: str, comment: str) -> Json:
        """Names us in a comment under somebody else's post (Instagram)."""
        return {"field": "mentions", "value": {"media_id": media, "comment_id": comment}}

    def visits(self, post: str, text: str) -> Json:
        """A post of their own on the Page (a Page's only)."""
        value = {
            "item": "status", "verb": "add", "post_id": post, "message": text, "created_time": int(time.time()),
            "from": {"id": self.id, "name": f"Ann {self.id[-4:]}"},
        }  # fmt: skip
        return {"field": "feed", "value": value}

    def _instagram(self, post: str, comment: str, text: str, parent: str) -> Json:
        value = {
            "id": comment, "text": text, "from": {"id": self.id, "username": f"user{self.id[-4:]}"},
            "media": {"id": post, "media_product_type": "FEED"},
        }  # fmt: skip
        return {**value, "parent_id": parent} if parent else value

    def _feed(self, post: str, comment: str, verb: str, parent: str) -> Json:
        return {
            "item": "comment", "verb": verb, "comment_id": comment, "post_id": post,
            "parent_id": parent or post, "created_time": int(time.time()),
            "from": {"id": self.id, "name": f"Ann {self.id[-4:]}"},
            "post": {
                "id": post, "status_type": "added_photos", "is_published": True,
                "permalink_url": f"https://www.facebook.com/{post.replace('_', '/posts/')}",
            },
        }  # fmt: skip


def id_of(change: Json) -> str:
    """The id of the comment that a change is about."""
    value = change["value"]
    return str(value.get("comment_id") or value.get("id") or value["post_id"])


def posts(us: str, post: str, text: str, verb: str = "add") -> Json:
    """The force publishes a post, or changes it (a Page's only)."""
    return {
        "field": "feed",
        "value": {
            "item": "status", "verb": verb, "post_id": post, "message": text, "published": 1,
            "created_time": int(time.time()), "from": {"id": us, "name": "The force"},
        },
    }  # fmt: skip
