"""The pages of comments in a real browser: readable, narrow, and a public reply from first word to last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.comments.serving import CommentSide
from tests.console.test_browser import Desktop, unfold
from tests.support.browser import axe, go, go_on, sideways, working
from tests.support.browser import chromium as running_chromium

pytestmark = pytest.mark.e2e

PERSONAL = "he lives at 12 Raby Street, Byker"
REPLY = "Thank you. Please send us a private message about this."


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser of the test's own."""
    with running_chromium() as found:
        yield found


@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing_and_nothing_overflows(page: CommentSide, chromium: Browser, width: int) -> None:
    """With something on each page."""
    ann, post = page.commenter(), page.new_post()
    page.happens(ann.writes(post, f"{PERSONAL}. who was that bloke?"))
    row = page.done(ann, post)
    desk = page.desk()
    mo = page.browser("mo")
    mo.get(f"/desk/c/{row.id}")
    mo.do(row, "claim", epoch=row.epoch)
    problems: list[Any] = []
    for username, paths in (
        ("sue", ["/desk/comments", "/desk/comments/posts", f"/desk/c/{row.id}"]),
        ("mo", [f"/desk/c/{row.id}"]),
    ):
        one = Desktop(desk, chromium, username, width)
        for path in paths:
            go(one.page, path)
            unfold(one.page)
            working(one.page)
            problems.extend((path, *found) for found in axe(one.page))
            problems.extend((path, wide) for wide in sideways(one.page))
        one.close()
        assert one.complaints == []
    assert problems == []


def test_a_public_reply_is_written_read_and_stands_under_the_post(
    page: CommentSide, chromium: Browser
) -> None:
    """By two people, at two browsers."""
    ann, post = page.commenter(), page.new_post()
    wrote = ann.writes(post, "who was that bloke with the purple monkey?")
    page.happens(wrote)
    row = page.done(ann, post)
    desk = page.desk()
    mo, sue = Desktop(desk, chromium, "mo"), Desktop(desk, chromium, "sue")
    go(mo.page, f"/desk/c/{row.id}")
    go_on(mo.page, mo.page.get_by_role("button", name="Take this chat").click)
    expect(mo.page.locator("#text")).to_be_enabled()
    mo.page.get_by_label("In public, under the post").check()
    mo.page.locator("#text").fill(REPLY)
    mo.page.locator("#send").click()
    expect(mo.page.locator("#approval")).to_contain_text("waits for a second person")

    go(sue.page, f"/desk/c/{row.id}")
    expect(sue.page.locator("#approval")).to_contain_text("Everybody will read this")
    go_on(sue.page, sue.page.get_by_role("button", name="Approve and send").click)
    page.until(lambda: page.public(wrote), "the reply")

    assert page.public(wrote) == [REPLY]
    for one in (mo, sue):
        one.close()
        assert one.complaints == []
