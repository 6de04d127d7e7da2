"""Degraded is said plainly: at the desk's /readyz, on every page of the desk, and counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import httpx
import pytest

import bot.channels.x as channel_x
from bot.channels.x import polling
from bot.channels.x.api import XApi, XError
from bot.channels.x.condition import standings
from bot.channels.x.options import read_options
from bot.channels.x.outbound import XChannel
from bot.channels.x.registration import Registration
from bot.channels.x.state import Progress
from bot.messages import Standing
from bot.store import tables
from bot.store.tables import Bookmark
from tests.platforms.x import App
from tests.support.rasa import FAQ
from tests.support.sides import listen, settings_for
from tests.support.world import PLAIN
from tests.x.serving import XSide, settings_of, x_side

pytestmark = pytest.mark.integration

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def seen(side: XSide) -> tuple[httpx.Response, str]:
    """What the desk's listener says of itself, and its figures."""
    server, base = side.run(listen(side.first.gateway.desk))
    try:
        ready, figures = (
            httpx.get(f"{base}{path}", trust_env=False, timeout=60) for path in ("/readyz", "/metrics")
        )
    finally:
        side.loop.call_soon_threadsafe(server.close)
    return ready, figures.text


def why(side: XSide) -> str:
    """What the desk says of X."""
    return side.first.gateway.core.standings.wrong.get("x", "")


@contextlib.contextmanager
def quick(database_url: str, **values: Any) -> Iterator[XSide]:
    """A gateway that looks often, and is not patient."""
    with contextlib.ExitStack() as stack:
        for name, seconds in (("SWEEP_SECONDS", 0.5), ("REGISTER_SECONDS", 0.5), ("REFUSED_SECONDS", 0.5)):
            stack.enter_context(mock.patch.object(polling, name, seconds))
        stack.enter_context(mock.patch.object(channel_x, "WATCH_SECONDS", 0.2))
        yield stack.enter_context(x_side(database_url, _silent_minutes=0.02, **values))


def test_keys_that_x_refuses(sqlite_url: str) -> None:
    """Nothing comes and nothing leaves: staff read both, with the reason. Once mended, nothing is said."""
    with quick(sqlite_url, _mode="poll") as side:
        side.until(lambda: side.rows(Bookmark), "the first look")
        side.set_state(token="another")
        side.until(lambda: "refuses our keys" in why(side), "it to be said")

        answer, figures = seen(side)
        assert answer.status_code == 200, "the gateway still does its duty"
        assert answer.json()["degraded"] == {"x": ["incoming"]}
        assert "keys" not in answer.text, "why stands at the desk only"
        assert 'frontcounter_channel_degraded{channel="x",what="incoming"} 1.0' in figures
        public = httpx.get(f"{side.first.base}/readyz", trust_env=False, timeout=30)
        assert "degraded" not in public.json(), "not for everybody"
        assert why(side).startswith("Nothing has come from X since ")
        (warning,) = side.first.gateway.core.standings.warnings({"x": "X"})
        assert warning.startswith("X is degraded. Nothing has come from X since ")

        side.set_state(token=side.app.access_token)
        ann = side.person()
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ))
        side.until(lambda: not why(side), "it to be well again")


def test_a_webhook_that_x_calls_invalid_is_tried_again(sqlite_url: str) -> None:
    """X asks for proof, gets it, and calls again."""
    with quick(sqlite_url) as side:
        side.until(lambda: len(side.state()["subscriptions"]) == 5, "the subscriptions")
        (webhook,) = side.state()["webhooks"]
        assert (webhook["url"], webhook["valid"]) == ("https://chat.force.example/x/webhook", True)
        assert {
            (s["event_type"], s["filter"]["user_id"], s["webhook_id"]) for s in side.state()["subscriptions"]
        } == {
            (kind, side.app.us, webhook["id"])
            for kind in ("dm.received", "dm.sent", "dm.read", "chat.received", "chat.sent")
        }
        proofs = len(side.state()["proof"])
        side.set_state(valid=False)
        side.until(lambda: side.state()["webhooks"][0]["valid"], "the webhook to be mended")
        assert len(side.state()["proof"]) > proofs
        assert len(side.state()["webhooks"]) == 1
        assert "X has not called" not in why(side)


def test_an_address_that_x_does_not_reach(sqlite_url: str) -> None:
    """The desk says so; messages come all the same, since we ask for them."""
    with quick(sqlite_url) as side:
        side.until(lambda: side.state()["webhooks"], "the webhook")
        side.mode(calls=False)
        side.set_state(valid=False, gateways=["http://127.0.0.1:9"])
        side.until(
            lambda: "did not get the right answer. The system asks X for messages instead" in why(side),
            "it to be said",
        )
        said = {(row.topic, row.says) for row in side.rows(tables.Standing, tables.Standing.degraded)}
        assert ("calls", "not_called") in said
        ann = side.person()
        side.inject(ann.says(PLAIN))
        side.hears(ann, side.answer(FAQ))

        side.mode()
        side.set_state(gateways=[side.first.base])
        side.until(lambda: not why(side), "it to be well again")


def test_an_account_that_nobody_has_subscribed(sqlite_url: str) -> None:
    """X wants the account's consent for the newer kind; the older one is tried then."""
    with quick(sqlite_url, run=False) as side:
        side.set_state(may_subscribe=False)
        registration = Registration(side.platform._api, side.platform._options)
        assert side.run(registration.look()) is None
        assert side.state()["subscribed_to_all"] is True
        assert side.state()["subscriptions"] == []
        side.limit("2/activity/subscriptions", 15, 1)
        asked = len(side.asked("2/activity/subscriptions"))
        with pytest.raises(XError) as caught:
            side.run(registration.look())
        assert caught.value.seconds > 500
        assert len(side.asked("2/activity/subscriptions")) == asked + 2, "nothing more while we are to wait"
        side.set_state(limits={})
        with mock.patch.object(registration, "_subscribed_to_all", return_value=False):
            assert "nobody has subscribed the account" in str(side.run(registration.look()))


def test_x_takes_no_reply_until_its_window_ends(sqlite_url: str) -> None:
    """Staff are told until when; words of danger wait too then, since X takes none."""
    with quick(sqlite_url) as side:
        ann = side.person()
        headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(time.time()) + 600)}
        side.fault("429", headers=headers)
        side.inject(ann.says(PLAIN))
        side.until(lambda: "X takes no reply from us until " in why(side), "it to be said")


@pytest.mark.unit
def test_what_is_said_when() -> None:
    """Silence is counted from the last good word, or from the start; what is not known is not said."""
    options = read_options(
        settings_for("sqlite+aiosqlite:///:memory:", **settings_of(App(), "https://api.x.com"))
    )
    way = XChannel(XApi(options), 8.0)

    def said(poll: Progress, webhook: Progress, minutes: float = 60) -> dict[str, Standing]:
        found = standings(
            {"poll": poll, "webhook": webhook}, way, options, moment=NOON,
            started=NOON - timedelta(minutes=minutes), zone=LONDON,
        )  # fmt: skip
        assert {(one.channel, one.account) for one in found} <= {("x", "1603419180975409153")}
        assert all(one.degraded == (one.says != "well") == bool(one.why) for one in found)
        return {one.topic: one for one in found}

    def ago(minutes: float) -> datetime:
        return NOON - timedelta(minutes=minutes)

    none = Progress()
    assert "incoming" not in said(none, none, minutes=24), "too early to say"
    assert said(none, none, minutes=26)["incoming"].why == (
        "Nothing has come from X since 23 November, 11:34: no gateway asks it. People who write there may get no answer."
    )
    assert said(Progress(good_at=ago(20)), none)["incoming"].says == "well"
    silent = Progress(good_at=ago(30), trouble="X refuses our keys", trouble_at=ago(29))
    assert "since 23 November, 11:30: X refuses our keys" in said(silent, none)["incoming"].why
    assert said(Progress(good_at=ago(30)), Progress(good_at=ago(1)))["incoming"].says == "well", "X calls us"
    assert "incoming" not in said(Progress(good_at=ago(30)), none, minutes=5), "started a moment ago"

    assert said(Progress(good_at=ago(1)), none)["calls"].says == "well"
    wanting = Progress(trouble="it is not there", trouble_at=ago(19))
    assert "calls" not in said(Progress(good_at=ago(1)), wanting)
    wanting = Progress(trouble="it is not there", trouble_at=ago(21))
    why_not = said(Progress(good_at=ago(1)), wanting)["calls"].why
    assert why_not.startswith("X has not called this system since 23 November, 11:39: it is not there.")
    assert why_not.endswith("They come a minute later or more.")
    assert said(silent, wanting)["calls"].why.endswith("it is not there."), "nothing comes at all"

    assert "outgoing" not in said(none, none), "nothing was tried"
    way.heard_at = ago(3)
    assert (said(none, none)["outgoing"].says, said(none, none)["outgoing"].at) == ("well", ago(3))
    way.refused = "X refuses our keys"
    assert said(none, none)["outgoing"].why == "No reply leaves: X refuses our keys. Replies wait."
    way.refused = None
    way.budget.refused(600)
    assert said(none, none)["outgoing"].why.startswith("X takes no reply from us until 23 November, 12:1")
