"""The webhook is set, kept, and taken at its word: 200 means stored."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from bot.channels.telegram import webhook
from bot.channels.telegram.api import TelegramBot
from tests.support.databases import SqliteTemplates
from tests.support.rasa import FAQ
from tests.support.world import P1, PLAIN
from tests.telegram.serving import SECRET, Side, telegram_side

pytestmark = pytest.mark.integration

LINE_999 = "If you or someone else is in danger, call 999 now."


@pytest.fixture
def two(database_url: str) -> Iterator[Side]:
    """Two gateways behind one address."""
    with telegram_side(database_url, "webhook", 2) as found:
        yield found


def test_telegram_is_told_where_we_are(by_webhook: Side) -> None:
    """With the secret, the kinds we want, and nothing dropped; who we are stands before the chat."""
    by_webhook.until(lambda: {"commands", "description"} <= set(by_webhook.state()["profile"]), "the profile")
    call = by_webhook.calls("setWebhook")[0]

    assert call["url"] == "https://chat.force.example/telegram/webhook"
    assert call["secret_token"] == SECRET
    assert call["allowed_updates"] == ["message", "edited_message", "callback_query", "my_chat_member"]
    assert call["drop_pending_updates"] is False
    assert 1 <= call["max_connections"] <= 100
    profile = by_webhook.state()["profile"]
    assert profile["description"] == by_webhook.line("opening_description")
    assert profile["commands"] == [{"command": "person", "description": by_webhook.line("talk_to_person")}]


@pytest.mark.parametrize("kind", ["502", "429", "cut", "garbage"])
def test_it_is_tried_until_telegram_is_there(sqlite_templates: SqliteTemplates, kind: str) -> None:
    """What was written meanwhile is delivered then."""
    with telegram_side(sqlite_templates.fresh(), "webhook", 0) as side:
        side.http.post(
            "/control/faults",
            json=[
                {"method": "getWebhookInfo", "kind": kind, "seconds": 1},
                {"method": "setWebhook", "kind": kind, "seconds": 1},
            ],
        )
        ann = side.person()
        side.inject(ann.says(PLAIN))
        side.run(side.start_another())
        side.hears(ann, side.answer(FAQ))

        assert len(side.calls("setWebhook")) >= 2


def test_what_nobody_has_thought_of_does_not_end_the_trying(sqlite_templates: SqliteTemplates) -> None:
    """Nobody else would tell Telegram where we are."""
    ask = TelegramBot.get_webhook_info
    calls: list[int] = []

    async def breaks_once(self: TelegramBot) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise TypeError("an answer of a shape that the library cannot read")
        return await ask(self)

    with (
        mock.patch.object(webhook, "LONGEST_PAUSE_SECONDS", 0.1),
        mock.patch.object(TelegramBot, "get_webhook_info", breaks_once),
        telegram_side(sqlite_templates.fresh()) as side,
    ):
        side.until(lambda: side.state()["webhook"], "the webhook")


def test_it_is_set_again_when_it_is_lost(sqlite_templates: SqliteTemplates) -> None:
    """Somebody took it away; nobody has to notice."""
    with mock.patch.object(webhook, "CHECK_SECONDS", 0.3), telegram_side(sqlite_templates.fresh()) as side:
        side.until(lambda: side.state()["webhook"], "the webhook")
        side.run(side.first.telegram._bot.delete_webhook())
        side.until(lambda: side.state()["webhook"], "the webhook again")


def test_any_gateway_takes_it_and_the_other_drops_the_repeat(two: Side) -> None:
    """Three times each, to both, in any order."""
    two.mode(copies=3, scatter_seconds=0.3)
    people = [two.person() for _ in range(6)]
    two.inject(*(p.says(PLAIN) for p in people), *(p.says("purple monkey") for p in people))
    for person in people:
        two.hears(person, two.answer(FAQ))
    two.taken()

    for person in people:
        assert sorted(m.text for m in two.stored(person, 2)) == [PLAIN, "purple monkey"]
        assert len([t for t in two.texts(person) if two.answer(FAQ) in t]) == 1
    assert {d["gateway"] for d in two.state()["deliveries"]} == {0, 1}


def test_store_down_is_503_and_never_200(two: Side) -> None:
    """Telegram delivers it again, to a gateway that has its database."""
    ann = two.person()
    two.gateways[1].break_store()
    two.inject(ann.says(P1), first=1)
    two.hears(ann, LINE_999)
    two.taken()
    seen = [(d["gateway"], d["status"]) for d in two.state()["deliveries"]]

    # A machine that stands still may not answer in time: then it is delivered once more.
    assert (seen[0], seen[-1]) == ((1, 503), (0, 200))
    assert (1, 200) not in seen
    two.gateways[1].mend_store()
    assert len(two.messages(ann)) == 1


def test_in_a_group_nothing_is_stored_and_the_bot_leaves(side: Side) -> None:
    """Whoever is in danger there sees the 999 line, and nothing else is said."""
    ann, group = side.person(), -100123
    side.inject(ann.adds_to_group(group))
    side.until(lambda: side.calls("leaveChat"), "the bot to leave")
    assert side.texts(group) == []
    side.inject(ann.in_group("hello bot, how long is 101?", -100124))
    side.inject(ann.in_group(P1, -100125))
    side.hears(-100125, side.line("danger_line"))
    side.until(lambda: len(side.calls("leaveChat")) >= 3, "the bot to leave all")
    side.taken()

    assert side.texts(-100124) == []
    assert side.texts(-100125) == [side.line("danger_line")]
    assert side.messages(ann) == []
    assert side.texts(ann) == []


def test_in_a_group_the_999_line_needs_no_database(side: Side) -> None:
    """As everywhere."""
    ann = side.person()
    side.first.break_store()
    side.inject(ann.in_group(P1, -100126))
    side.hears(-100126, side.line("danger_line"))
    side.first.mend_store()
    side.taken()
