"""Asking X for posts that mention us: at the pace that X allows, and nothing counts as read that is not stored."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest

from bot.channels.x import pages
from bot.channels.x.condition import standings
from bot.channels.x.outbound import WayOut
from bot.channels.x.state import Progress
from bot.store.record import now
from tests.support.world import P1, PLAIN
from tests.x.mention_serving import OWN, MentionSide, mention_side
from tests.x.serving import platform_of

pytestmark = pytest.mark.integration

REMARK = "great work lads"


def begin(side: MentionSide) -> asyncio.Task[None]:
    """Let the first gateway ask."""

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(side.platform.run(side.first.gateway.parts))

    return side.run(start())


def end(side: MentionSide, task: asyncio.Task[None]) -> None:
    """Let it stop."""

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    side.run(stop())


def test_the_first_look_goes_back_an_hour_and_later_ones_to_what_is_stored(sqlite_url: str) -> None:
    """X charges for what it lists."""
    with mention_side(sqlite_url, run=False) as side:
        ann = side.poster()
        new, old = ann.posts(PLAIN, at=time.time() - 50 * 60), ann.posts(PLAIN, at=time.time() - 3 * 3600)
        side.inject(old, new)
        task = begin(side)
        side.until(lambda: side.kept(new), "the new one")
        side.until(lambda: side.bookmark() >= int(new["id"]), "the bookmark")
        seen = len(side.asked("mentions"))
        side.until(lambda: len(side.asked("mentions")) >= seen + 2, "another look")
        end(side, task)

        assert side.kept(old) == []
        since = [int(call["query"]["since_id"]) for call in side.asked("mentions")]
        assert int(old["id"]) < since[0] < int(new["id"])
        assert since[-1] > since[0], "a later look asks for less"


def test_many_pages_and_a_limit_in_the_middle(sqlite_url: str) -> None:
    """What was read counts at once, for somebody may be in danger; the bookmark waits for the rest."""
    with (
        mock.patch.dict(pages.POST_FIELDS, {"max_results": "3"}),
        mention_side(sqlite_url, run=False) as side,
    ):
        ann, bob = side.poster(), side.poster()
        at = time.time() - 60
        old = [ann.posts(REMARK, at=at + n) for n in range(8)]
        danger = bob.posts(P1, at=at + 9)
        side.inject(*old, danger)
        side.limit("mentions", 3, 2, 8)
        task = begin(side)
        side.until(lambda: side.public(danger), "the line")
        assert side.kept(old[0]) == []
        assert side.bookmark() < int(old[0]["id"])

        side.until(lambda: len(side.kept(*old)) == 8, "the rest")
        side.until(lambda: side.bookmark() >= int(danger["id"]), "the bookmark")
        end(side, task)
        refused = [call for call in side.asked("mentions") if call["query"].get("pagination_token")]
        assert refused


def test_x_is_not_asked_before_its_time(sqlite_url: str) -> None:
    """It says until when."""
    with mention_side(sqlite_url, run=False) as side:
        until = int(time.time()) + 7
        headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(until)}
        side.faults({"path": "mentions", "kind": "429", "headers": headers})
        ann = side.poster()
        wrote = ann.posts(REMARK)
        side.inject(wrote)
        task = begin(side)
        side.until(lambda: side.kept(wrote), "it to be stored")
        end(side, task)
        assert all(call["at"] >= until - 0.5 for call in side.asked("mentions")[1:])


@pytest.mark.parametrize("kind", ["500", "503", "cut", "garbage"])
def test_a_look_that_fails_is_made_again_and_messages_come_meanwhile(sqlite_url: str, kind: str) -> None:
    """The two lists do not wait for each other."""
    with mention_side(sqlite_url) as side:
        side.fault(kind, path="mentions", times=2)
        ann = side.poster()
        wrote = ann.posts(REMARK)
        side.inject(wrote, ann.says("hello"))
        side.stored(ann.id)
        side.until(lambda: side.kept(wrote), "it to be stored")


def test_store_down_the_line_leaves_once_and_no_bookmark_moves(sqlite_url: str) -> None:
    """The gateway that looked last reads on; all is stored when the database is back."""
    with mention_side(sqlite_url) as side:
        first = side.poster()
        side.arrive(first.posts(REMARK))
        side.first.break_store()
        ann = side.poster()
        danger = ann.posts(P1)
        side.inject(danger)
        side.until(lambda: side.public(danger), "the line")
        seen = len(side.asked("mentions"))
        side.until(lambda: len(side.asked("mentions")) >= seen + 2, "more looks")
        assert side.public(danger) == [side.line("public_danger")]
        side.first.mend_store()
        assert side.thread(ann, danger).grade == "P1"


def test_posts_that_may_not_go_live_yet_are_passed_over(sqlite_url: str) -> None:
    """Messages beside them are live. What was written meanwhile is read once they may."""
    with mention_side(sqlite_url, run=False) as side:
        core = side.first.gateway.core
        core.held_back = frozenset({OWN})
        task = begin(side)
        ann = side.poster()
        wrote = ann.posts(REMARK)
        side.inject(wrote, ann.says("hello"))
        side.stored(ann.id)
        assert side.asked("mentions") == []
        core.held_back = frozenset()
        side.until(lambda: side.kept(wrote), "it to be stored")
        end(side, task)


def test_two_gateways_store_and_say_everything_once(database_url: str) -> None:
    """Whoever looks."""
    with mention_side(database_url, 2) as side:
        people = [side.poster() for _ in range(3)]
        posts = [one.posts(text) for one, text in zip(people, (PLAIN, P1, REMARK), strict=True)]
        side.arrive(*posts)
        for one, post in zip(people, posts, strict=True):
            side.thread(one, post)
        assert [len(side.public(post)) for post in posts] == [1, 1, 0]
        assert [len(side.texts(one)) for one in people] == [1, 1, 0]


def test_a_window_of_replies_that_is_used_up_is_waited_for(sqlite_url: str) -> None:
    """Nothing is lost and nothing doubled."""
    with mention_side(sqlite_url) as side:
        side.limit("public", 1, 0, 4)
        ann = side.poster()
        wrote = ann.posts(P1)
        side.arrive(wrote)
        side.until(lambda: side.public(wrote), "the line")
        assert side.public(wrote) == [side.line("public_danger")]
        refused = [call for call in side.state()["calls"] if call["kind"] == "public"]
        assert len(refused) >= 2


@pytest.mark.parametrize(("kind", "says"), [("type:client-forbidden", "permissions"), ("402", "permissions")])
def test_what_the_plan_does_not_hold_is_named(sqlite_url: str, kind: str, says: str) -> None:
    """By `frontcounter ready` before it is switched on, at the desk afterwards."""
    with mention_side(sqlite_url, run=False) as side:
        mentions = platform_of(side.first)._mentions
        assert mentions is not None
        assert side.run(mentions.reachable()) is None
        assert int(side.asked("mentions")[0]["query"]["since_id"]) > 0
        side.fault(kind, path="mentions")
        why = side.run(mentions.reachable())
        assert why is not None
        assert says in why


def test_the_desk_says_that_nobody_reads_posts(sqlite_url: str) -> None:
    """After as long as for messages, with the reason; and that no reply leaves."""
    with mention_side(sqlite_url, run=False) as side:
        options, moment, out = side.platform.options, now(), WayOut()
        long_ago = moment - timedelta(hours=2)

        def said(progress: Progress) -> dict[str, Any]:
            ways = {"poll": Progress(good_at=moment), "webhook": Progress(), "mentions": progress}
            found = standings(
                ways, WayOut(), options, moment=moment, started=long_ago, zone=ZoneInfo("Europe/London"),
                replies=out,
            )  # fmt: skip
            return {one.topic: (one.degraded, one.why) for one in found}

        assert said(Progress(good_at=moment))["mentions"] == (False, "")
        degraded, why = said(Progress(good_at=long_ago, trouble="X refuses our keys"))["mentions"]
        assert degraded
        assert why.startswith("Posts that mention us have not been read since ")
        assert "X refuses our keys" in why
        assert "public" not in said(Progress(good_at=moment))
        out.heard_at, out.refused = moment, "X refuses our keys"
        assert said(Progress(good_at=moment))["public"] == (
            True, "No public reply leaves: X refuses our keys. Replies wait."
        )  # fmt: skip
