"""Posts and their comments: replies, private replies, hiding, as Meta's documentation says they behave.

A Page's: developers.facebook.com/docs/graph-api/reference/comment. Instagram's:
developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-comment (a reply to a reply
goes under the first comment; none to a hidden comment, none to one on a live video). Private replies, one for
each comment, within seven days: developers.facebook.com/docs/messenger-platform/discovery/private-replies.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

WEEK = 7 * 24 * 3600.0


class Refused(Exception):
    """Meta answers with an error of this code."""

    def __init__(self, code: int, subcode: int = 0) -> None:
        super().__init__(str(code))
        self.code, self.subcode = code, subcode


@dataclass(slots=True)
class Done:
    """What a call came to: its answer, what Meta tells of it, and a private message, if it was one."""

    answer: Json
    changes: list[Json] = field(default_factory=list)
    private: Json | None = None


@dataclass(slots=True)
class _Comment:
    author: str
    post: str
    at: float
    is_live: bool = False
    hidden: bool = False
    had_private: bool = False
    gone: bool = False


class Wall:
    """What stands under the posts of one account."""

    _numbers = itertools.count(1)

    def __init__(self, is_instagram: bool, us: str) -> None:
        self._is_instagram = is_instagram
        self._us = us
        self.posts: dict[str, str] = {}
        """What posts say that can be looked up."""
        self.mentioned: dict[str, Json] = {}
        self.closed: set[str] = set()
        """People who take no private message."""
        self.replies: list[Json] = []
        self.privates: list[Json] = []
        self.hides: list[Json] = []
        self._comments: dict[str, _Comment] = {}

    def set(
        self,
        posts: dict[str, str] | None = None,
        closed: list[str] | None = None,
        mentioned: dict[str, Json] | None = None,
        age: dict[str, float] | None = None,
        hidden: dict[str, bool] | None = None,
    ) -> None:
        """Change what is there. `age`: a comment was written so many seconds ago.

        `hidden`: somebody hides a comment in the Page's own inbox, or shows it.
        """
        self.posts |= posts or {}
        self.closed = set(closed) if closed is not None else self.closed
        # An empty one: Meta shows none of them any more.
        self.mentioned = {} if mentioned == {} else self.mentioned | (mentioned or {})
        for comment, seconds in (age or {}).items():
            self._comments[comment].at = time.time() - seconds
        for comment, is_hidden in (hidden or {}).items():
            self._comments[comment].hidden = is_hidden

    def state(self) -> Json:
        """Everything that was done here."""
        return {
            "replies": self.replies, "privates": self.privates, "hides": self.hides,
            "hidden": {key: one.hidden for key, one in self._comments.items()},
        }  # fmt: skip

    def note(self, change: Json) -> None:
        """A change that is about to be told: comments become known here."""
        value = change.get("value")
        if not isinstance(value, dict):
            return
        author = str((value.get("from") or {}).get("id", ""))
        if change.get("field") == "feed" and value.get("item") == "comment":
            known = self._comments.get(value["comment_id"])
            if value.get("verb") == "add" and known is None and author != self._us:
                self._comments[value["comment_id"]] = _Comment(
                    author, value["post_id"], value["created_time"]
                )
            elif value.get("verb") == "remove" and known is not None:
                known.gone = True
        elif change.get("field") == "feed" and author != self._us and value.get("verb") == "add":
            post = str(value.get("post_id"))
            self._comments.setdefault(post, _Comment(author, post, value["created_time"]))
        elif change.get("field") in ("comments", "live_comments"):
            live = change["field"] == "live_comments"
            one = _Comment(author, value["media"]["id"], time.time(), live)
            self._comments.setdefault(value["id"], one)
        elif change.get("field") == "mentions" and value.get("comment_id"):
            self._comments.setdefault(value["comment_id"], _Comment("", value["media_id"], time.time()))

    def fault_name(self, path: str, body: Json) -> str | None:
        """By what name a test calls what this call does: public, private or hide."""
        if path == "me/messages" and {"comment_id", "post_id"} & set(body.get("recipient") or {}):
            return "private"
        if path.endswith(("/comments", "/replies", "/mentions")):
            return "public"
        return "hide" if "is_hidden" in body or "hide" in body else None

    def answer(self, method: str, path: str, body: Json) -> Done | None:
        """One call; None: it is none of ours."""
        known, _, edge = path.partition("/")
        if method == "GET":
            return self._get(known)
        if path == "me/messages" and {"comment_id", "post_id"} & set(body.get("recipient") or {}):
            return self._private(body)
        if edge == ("replies" if self._is_instagram else "comments"):
            return self._reply(known, body)
        if edge == "mentions" and self._is_instagram and known == self._us:
            return self._said(str(body.get("comment_id") or body["media_id"]), body)
        if not edge and ("hide" if self._is_instagram else "is_hidden") in body:
            return self._hide(known, body)
        return None

    def _get(self, known: str) -> Done | None:
        if known in self.posts:
            link = f"https://www.facebook.com/{known}"
            if self._is_instagram:
                return Done(
                    {
                        "id": known,
                        "caption": self.posts[known],
                        "permalink": f"https://www.instagram.com/p/{known}/",
                    }
                )
            return Done({"id": known, "message": self.posts[known], "permalink_url": link})
        if known == self._us and self._is_instagram:
            found = next(iter(self.mentioned.values()), None)
            return Done({"id": known, "mentioned_comment": found} if found else {"id": known})
        if (comment := self._comments.get(known)) is not None and not comment.gone:
            return Done({"id": known, "hidden" if self._is_instagram else "is_hidden": comment.hidden})
        if known in {one.post for one in self._comments.values()}:
            raise Refused(100, 33)
        return None

    def _known(self, comment: str) -> _Comment:
        found = self._comments.get(comment)
        if found is None or found.gone:
            raise Refused(100, 33)
        return found

    def _reply(self, comment: str, body: Json) -> Done:
        found = self._known(comment)
        if self._is_instagram and (found.hidden or found.is_live):
            raise Refused(100)
        return self._said(comment, body)

    def _said(self, comment: str, body: Json) -> Done:
        if not str(body.get("message") or "").strip():
            raise Refused(100)
        identity = f"{self._us}_{next(self._numbers)}9"
        self.replies.append({"comment": comment, "text": body["message"], "id": identity, "at": time.time()})
        if self._is_instagram:
            post = self._comments[comment].post if comment in self._comments else comment
            value = {"id": identity, "text": body["message"], "from": {"id": self._us}, "media": {"id": post}}
            return Done({"id": identity}, [{"field": "comments", "value": value}])
        value = {
            "item": "comment", "verb": "add", "comment_id": identity, "post_id": self._comments[comment].post,
            "parent_id": comment, "message": body["message"], "from": {"id": self._us, "name": "The force"},
            "created_time": int(time.time()),
        }  # fmt: skip
        return Done({"id": identity}, [{"field": "feed", "value": value}])

    def _hide(self, comment: str, body: Json) -> Done:
        found = self._known(comment)
        found.hidden = bool(body.get("hide", body.get("is_hidden")))
        self.hides.append({"comment": comment, "hidden": found.hidden, "at": time.time()})
        if self._is_instagram:
            return Done({"success": True})
        value = {
            "item": "comment", "verb": "hide" if found.hidden else "unhide", "comment_id": comment,
            "post_id": found.post, "from": {"id": self._us}, "created_time": int(time.time()),
        }  # fmt: skip
        return Done({"success": True}, [{"field": "feed", "value": value}])

    def _private(self, body: Json) -> Done:
        ((kind, comment),) = body["recipient"].items()
        message, found = body.get("message") or {}, self._comments.get(comment)
        if found is not None and (kind == "post_id") != (found.post == comment):
            raise Refused(100, 2018292)
        if found is None or found.gone:
            raise Refused(100, 2018292)
        if found.had_private:
            raise Refused(10900)
        if time.time() - found.at > WEEK:
            raise Refused(10901)
        if found.author in self.closed:
            raise Refused(551, 1545041)
        text = str(message.get("text") or "")
        too_long = len(text.encode()) > 1000 if self._is_instagram else len(text) >= 2000
        if not text.strip() or too_long or len(message.get("metadata", "")) >= 1000:
            raise Refused(100)
        found.had_private = True
        mid = f"m_private-{next(self._numbers)}-" + "Zz8-" * 20
        sent = {
            "comment": comment, "person": found.author, "text": text, "mid": mid, "at": time.time(),
            "metadata": message.get("metadata"), "quick_replies": message.get("quick_replies", []),
        }  # fmt: skip
        self.privates.append(sent)
        return Done({"recipient_id": found.author, "message_id": mid}, private=sent)
