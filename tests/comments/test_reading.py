"""One webhook to arrivals: every change of every entry, and nothing that is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.comments.inbound import Mention, Reader
from bot.channels.messenger import TRAITS
from bot.channels.meta.inbound import Account, read_body, read_changes
from bot.messages import Incoming, Posted, Visibility
from tests.comments.serving import CommentSide
from tests.platforms.graph.commenters import Commenter, id_of, posts
from tests.support.world import P1

pytestmark = pytest.mark.integration

US = "1040000000042"
POST = f"{US}_77"
PAGE = Reader("facebook-comments", US)
ACCOUNT = Reader("instagram-comments", US)
ANN = Commenter(8_399_010_001, US, is_instagram=False)
INSTA = Commenter(8_399_010_002, US, is_instagram=True)


def one(reader: Reader, change: Any) -> Any:
    """The only arrival of a change."""
    (found,) = reader.read(change)
    return found


def test_a_comment_of_a_page() -> None:
    """Who, where, and the way to see it."""
    change = ANN.writes(POST, "hello")
    found = one(PAGE, change)

    assert isinstance(found, Incoming)
    assert (found.person, found.text, found.kind) == (f"{POST}/{ANN.id}", "hello", "text")
    assert found.comment is not None
    assert (found.comment.post, found.comment.id, found.comment.author) == (POST, id_of(change), ANN.id)
    assert found.comment.link == f"https://www.facebook.com/{id_of(change)}"
    assert found.comment.post_link == f"https://www.facebook.com/{US}/posts/77"
    assert found.platform_time is not None


def test_a_reply_in_a_thread_is_of_the_same_thread_and_person() -> None:
    """Whatever comment it answers: the thread is the post's."""
    first, reply = ANN.writes(POST, "hello"), ANN.writes(POST, "and more", parent="77_5")
    assert one(PAGE, first).person == one(PAGE, reply).person


def test_a_comment_of_an_account() -> None:
    """A name in place of an address: what is commented on is looked up."""
    found = one(ACCOUNT, INSTA.writes("1790", "hello"))
    assert (found.person, found.name, found.comment.takes_public) == (f"1790/{INSTA.id}", "user0002", True)

    live = one(ACCOUNT, INSTA.writes_live("1790", "hello"))
    assert (live.comment.takes_public, live.comment.takes_private) == (False, True)


def test_an_edit_a_removal_and_a_hiding() -> None:
    """Each with an id of its own, the same each time it is told."""
    change = ANN.writes(POST, "hello")
    edit, again = one(PAGE, ANN.edits(change, "bye")), one(PAGE, ANN.edits(change, "bye"))
    removal = one(PAGE, ANN.removes(change))
    hidden = one(PAGE, {"field": "feed", "value": {**change["value"], "verb": "hide", "from": {"id": US}}})

    assert edit.message_id == again.message_id != id_of(change)
    assert (edit.edit_of, edit.text) == (id_of(change), "bye")
    assert (removal.kind, removal.edit_of, removal.text) == ("deleted", id_of(change), "")
    assert hidden == Visibility("facebook-comments", id_of(change), True)


def test_a_post_of_ours_and_one_of_somebody_else_s() -> None:
    """What visitors post on the Page is no post of the force's: somebody has said something."""
    assert one(PAGE, posts(US, POST, "News")) == Posted(
        "facebook-comments", POST, "News", f"https://www.facebook.com/{POST}"
    )
    visitor = one(PAGE, posts("8399", POST, "News"))
    assert (visitor.person, visitor.comment.is_ours) == (f"{POST}/8399", False)


@pytest.mark.parametrize(
    ("reader", "change"),
    [(PAGE, Commenter(int(US), US, is_instagram=False).writes(POST, "ours")),
     (ACCOUNT, Commenter(int(US), US, is_instagram=True).writes("1790", "ours"))],
)  # fmt: skip
def test_what_we_write_is_no_arrival(reader: Reader, change: Any) -> None:
    """By our own id."""
    assert reader.read(change) == []


def test_a_mention_has_to_be_fetched() -> None:
    """And is somebody's all the same when it cannot be."""
    mention = one(ACCOUNT, INSTA.mentions("555", "666"))
    assert mention == Mention("555", "666")
    (found,) = ACCOUNT.mentioned(mention, {"text": P1, "timestamp": "2026-11-23T10:00:00+0000"})
    assert isinstance(found, Incoming)
    assert found.comment is not None
    assert (found.text, found.comment.is_ours, found.comment.takes_private) == (P1, False, False)
    (blank,) = ACCOUNT.mentioned(mention, {})
    assert isinstance(blank, Incoming)
    assert blank.kind == "unsupported"


def test_a_comment_without_its_writer_is_somebody() -> None:
    """Meta may keep that to itself; then each comment is a person."""
    change = ANN.writes(POST, P1)
    del change["value"]["from"]
    found = one(PAGE, change)

    assert found.person == f"{POST}/{id_of(change)}"
    assert found.comment.author == ""


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "https://evil.example/x",
        "http://facebook.com/x",
        "https://facebook.com.evil.example/",
    ],
)
def test_only_addresses_of_the_platform_are_shown(link: str) -> None:
    """Staff click on them."""
    change = ANN.writes(POST, "hello")
    change["value"]["post"]["permalink_url"] = link
    assert one(PAGE, change).comment.post_link == ""


@pytest.mark.parametrize(
    "change",
    [{}, {"field": []}, {"field": "feed"}, {"field": "feed", "value": []},
     {"field": "feed", "value": {"item": "reaction", "verb": "add", "post_id": POST}},
     {"field": "ratings", "value": {"item": "rating"}}, {"field": "mentions", "value": {}},
     {"field": "comments", "value": {"id": "1", "media": 5}}],
)  # fmt: skip
def test_what_says_nothing_is_passed_over(change: Any) -> None:
    """Without a trace in the record."""
    assert PAGE.read(change) + ACCOUNT.read(change) == []


def test_changes_of_another_account_are_none_of_ours() -> None:
    """As its messages are not."""
    account = Account(TRAITS, US, "1")
    change = ANN.writes(POST, "hello")
    body = json.dumps(
        {"object": "page", "entry": [{"id": "9", "changes": [change]}, {"id": US, "changes": [change, 5]}]}
    )

    assert read_body(body.encode(), account) == []
    assert read_changes(body.encode(), account) == [change]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["comment", "add", "edited", "remove", "hide", US, POST, "\ud800", "\x00"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["item", "verb", "comment_id", "post_id", "from", "id", "message", "text", "media",
                         "created_time", "post", "permalink_url", "media_id", "timestamp", "name"]),
        inner, max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"field": st.sampled_from(["feed", "comments", "mentions", "live_comments"]), "value": ODD}
        ),
        max_size=3,
    )
)
def test_whatever_is_signed_is_never_500(page: CommentSide, changes: list[Any]) -> None:
    """And one that cannot be read stops no other."""
    ann, post = page.commenter(), page.new_post()
    body = json.dumps(
        {"object": "page", "entry": [{"id": page.app.us, "changes": [*changes, ann.writes(post, "hello")]}]}
    )
    answer = page.post(body.encode())

    assert answer.status_code == 200
    assert len(page.messages(f"{post}/{ann.id}", page.own)) == 1
