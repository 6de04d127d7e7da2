"""The way out for posts that mention us: a public reply, a direct message, and hiding a reply.

| X | the outbox hears |
|---|---|
| taken | sent |
| 403: the same words again | once more, with the time behind them |
| 403: the post is deleted | never; a version that took its place is answered |
| everything else | as for direct messages (`outbound.py`) |

- Public: docs.x.com/x-api/posts/manage-tweets/integrate. An app may answer whoever named the account, 100
  times in 15 minutes and 10,000 times a day (docs.x.com/x-api/fundamentals/rate-limits).
- Private: a direct message, with its own limits. Many people take none from an account that they do not
  follow: then the line in public says how else to reach us.
- Hiding: docs.x.com/x-api/posts/hide-replies/introduction, in threads that we began, and nowhere else. X does
  not tell whether a reply is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, tzinfo

from bot.channels.comments.outbound import Found
from bot.channels.cut import cut, utf16_units
from bot.channels.x.api import Json, XApi, XError
from bot.channels.x.budget import Budget
from bot.channels.x.inbound import digits, identity_of
from bot.channels.x.outbound import LONGEST, WayOut, XChannel
from bot.channels.x.posts import MENTIONS, link_to, words_of
from bot.channels.x.texts import bare, plain
from bot.conversations.lengths import LONGEST_IN_PUBLIC, weight
from bot.errors import RejectedError, RetryLaterError
from bot.messages import Outgoing, Sent
from bot.store.record import now

POST = "2/tweets"


class MentionChannel(WayOut):
    """Answers posts that mention us (see `bot.messages.Channel`)."""

    name = MENTIONS
    max_text = LONGEST
    discloses = False
    """What is said in private says by itself who writes; in public there is no room for it."""
    hides_only_own = True
    """A reply can be hidden in a thread of ours only."""
    tells_authors = True
    """`look_up` says who wrote a post."""

    def __init__(self, api: XApi, direct: XChannel, user_id: str) -> None:
        super().__init__()
        self._api = api
        self._direct = direct
        self._user_id = user_id
        self._hides, self._looks = Budget(), Budget()
        self.zone: Callable[[], tzinfo] = lambda: UTC
        """Whose time stands behind words that have to be said once more."""

    def shorten(self, text: str, way: str) -> str:
        """One message is all that comment mode sends in private."""
        return cut(text, self.max_text, utf16_units)[0] if way == "private" and text else text

    def pieces(self, outgoing: Outgoing) -> list[str]:
        """The texts as X tells them back."""
        if outgoing.way == "private":
            return self._direct.pieces(_direct(outgoing))
        return [bare(outgoing.text)]

    async def send(self, person: str, outgoing: Outgoing) -> Sent:
        """Deliver one reply, in public or as a direct message.

        Raises:
            RejectedError: also for whatever was not written for a place in public.
            RetryLaterError, UnsureError: as `bot.messages.Channel.send` says.
        """
        if not outgoing.way or not outgoing.place:
            # The last net: no other part of the gateway may ever speak in public.
            raise RejectedError("this was not written for a post")
        if outgoing.way == "private":
            author = person.rpartition("/")[2]
            sent = await self._direct.send(author, _direct(outgoing))
            return Sent(sent.message_id, author)
        if weight(outgoing.text) > LONGEST_IN_PUBLIC[MENTIONS]:
            raise RejectedError("it is too long for a post")
        if wait := self.budget.wait_for(outgoing.kind):
            raise RetryLaterError("what X still takes is kept for words of danger", wait)
        try:
            answer = await self._publicly(outgoing.text, outgoing.place)
        except XError as error:
            failure = self.what_became_of(error)
        else:
            self.taken()
            return Sent(answer)
        # Outside the handler: what X said does not travel along.
        raise failure

    async def _publicly(self, text: str, place: str) -> str:
        """Raises XError: it came to nothing."""
        words, answers = text, place
        others = self._other_words(text, place)
        while True:
            body = {"text": words, "reply": {"in_reply_to_tweet_id": answers}}
            try:
                answer = await self._api.post(POST, body, self.budget)
            except XError as error:
                if error.kind == "duplicate" and (other := next(others, "")):
                    # The same line for somebody else in danger, or one whose fate nobody knows. A repeat is
                    # allowed, a gap is not.
                    words = other
                    continue
                newest = await self._newest(answers) if error.kind == "deleted" and answers == place else ""
                if newest and newest != place:
                    answers = newest
                    continue
                raise
            data = answer.get("data")
            found = identity_of(data.get("id")) if isinstance(data, dict) else None
            if found is None:
                raise XError("no_answer")
            return found

    def _other_words(self, text: str, place: str) -> Iterator[str]:
        """The same text where X refuses it as the same: with the time behind it, to the second if need be."""
        at = now().astimezone(self.zone())
        for mark in (f"{at:%H:%M}", f"{at:%H:%M:%S}", f"{at:%H:%M:%S}, {place[-3:]}"):
            if weight(words := f"{text} ({mark})") <= LONGEST_IN_PUBLIC[MENTIONS]:
                yield words

    async def _newest(self, post: str) -> str:
        """The newest version of a post; empty: there is none any more, or nobody can say."""
        try:
            found = await self._post(post)
        except XError:
            return ""
        versions = (found or {}).get("edit_history_tweet_ids")
        return (digits(versions[-1]) or "") if isinstance(versions, list) and versions else ""

    async def hide(self, comment: str, *, hidden: bool) -> None:
        """Hide a reply from the thread, or show it again. Doing so twice changes nothing.

        Raises:
            RejectedError, RetryLaterError, UnsureError: as for `send`.
        """
        try:
            await self._api.put(f"{POST}/{comment}/hidden", {"hidden": hidden}, self._hides)
        except XError as error:
            failure = self.what_became_of(error)
        else:
            return
        raise failure

    async def look_up(self, post: str) -> Found | None:
        """Who wrote a post, and what it says; None: it has gone, or is not for us to read.

        Raises:
            RetryLaterError, UnsureError: nobody can say now.
        """
        try:
            found = await self._post(post)
        except XError as error:
            failure = self.what_became_of(error)
        else:
            author = digits((found or {}).get("author_id"))
            if found is None or author is None:
                return None
            text, entities = words_of(found)
            words = plain(text, entities.get("urls")).encode("utf-8", "replace").decode().replace("\x00", " ")
            return Found(words, link_to(post), author, author == self._user_id)
        raise failure

    async def _post(self, post: str) -> Json | None:
        """Raises XError: it cannot be asked."""
        fields = {"tweet.fields": "id,text,note_tweet,author_id,entities,edit_history_tweet_ids"}
        try:
            answer = await self._api.get(f"{POST}/{post}", self._looks, **fields)
        except XError as error:
            if error.kind in ("refused", "deleted", "gone"):
                return None
            raise
        data = answer.get("data")
        return data if isinstance(data, dict) else None


def _direct(outgoing: Outgoing) -> Outgoing:
    """The same as a direct message, which stands in nobody's thread."""
    return replace(outgoing, way="", place="")
