"""The life of a message (the design's seven steps), from Telegram to Telegram, in both modes."""

from __future__ import annotations

import httpx
import pytest

from bot.conversations.transcript import read_transcript
from bot.store.tables import Audit, Conversation, Message, Outbox
from tests.platforms.telegram import updates
from tests.support.databases import SqliteTemplates
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, P2_HIDDEN, P3, PLAIN
from tests.telegram.serving import BOT_ID, PATIENCE_SECONDS, SECRET, Side, telegram_side

pytestmark = pytest.mark.integration

HEADER = "X-Telegram-Bot-Api-Secret-Token"
BLOCK = "If you or someone else is in danger, call 999 now."


# ---- step 1: the door ------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", SECRET[:-1], "\xe4\xf6"])
def test_step_1_a_forged_call_is_refused(by_webhook: Side, secret: str | None) -> None:
    """401, and nothing of it is kept."""
    ann = by_webhook.person()
    headers = {} if secret is None else {HEADER.encode(): secret.encode("latin-1")}
    answer = httpx.post(
        f"{by_webhook.first.base}/telegram/webhook",
        json={"update_id": 1, **ann.says(P1)},
        headers=headers,
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    )

    assert answer.status_code == 401
    assert SECRET not in answer.text
    assert by_webhook.rows(Message) == []


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"update_id": "x"}', b"\xff", b'"x"', b"[" * 100_000])
def test_step_1_what_is_no_update_is_refused(by_webhook: Side, body: bytes) -> None:
    """400, although the secret is right."""
    answer = httpx.post(
        f"{by_webhook.first.base}/telegram/webhook",
        content=body,
        headers={HEADER: SECRET},
        trust_env=False,
        timeout=PATIENCE_SECONDS,
    )

    assert answer.status_code == 400


def test_step_1_there_is_no_webhook_while_we_poll(sqlite_templates: SqliteTemplates) -> None:
    """Nobody can call what is not there."""
    with telegram_side(sqlite_templates.fresh(), "poll") as side:
        answer = httpx.post(
            f"{side.first.base}/telegram/webhook",
            json={"update_id": 1},
            headers={HEADER: SECRET},
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )

    assert answer.status_code in (404, 405)


def test_step_1_every_event_is_read(side: Side) -> None:
    """Words, a picture with words, a place, an edit, a press, of two people at once."""
    ann, bob = side.person(), side.person(name="Bob")
    side.inject(
        ann.says(PLAIN),
        bob.message(**updates.PHOTO, caption="my garden"),
        bob.message(**updates.LOCATION),
        ann.says(ODD, message_id=40),
        ann.edits(40, "green monkey dishwasher"),
        ann.says("/person"),
        {"poll": {"id": "not for us"}},
    )
    stored = side.stored(ann, 4)

    assert [(m.kind, m.text) for m in stored] == [
        ("text", PLAIN), ("text", ODD), ("text", "green monkey dishwasher"), ("button", "/person"),
    ]  # fmt: skip
    assert [m.edit_of for m in stored] == [None, None, f"{BOT_ID}:{ann.chat}.40", None]
    assert stored[3].button == "fc:person"
    his = side.stored(bob, 2)
    assert [(m.kind, m.text, m.latitude) for m in his] == [
        ("image", "my garden", None),
        ("location", "", 54.97),
    ]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (updates.PHOTO, "cannot_open_image"),
        (updates.VOICE, "cannot_open_voice"),
        (updates.VIDEO_NOTE, "cannot_open_video"),
        (updates.STICKER, "cannot_open_sticker"),
        (updates.DOCUMENT, "cannot_open_file"),
        (updates.CONTACT, "cannot_open"),
        (updates.VENUE, "location_received"),
    ],
)
def test_step_1_what_cannot_be_opened_is_said_so_with_999_and_handed_over(
    by_webhook: Side, content: updates.Json, key: str
) -> None:
    """It is never fetched, and a person is to look at it."""
    ann = by_webhook.person()
    by_webhook.inject(ann.message(**content))
    heard = by_webhook.hears(ann, by_webhook.line(key))

    assert "999" in heard["text"]
    by_webhook.until(lambda: by_webhook.conversation(ann).state == "waiting", "the conversation to wait")
    assert by_webhook.conversation(ann).grade == "P3"
    assert by_webhook.calls("getFile") == []
    assert "447700900123" not in str(by_webhook.rows(Message))


# ---- step 2: the screen ------------------------------------------------------------------------------


def test_step_2_words_of_danger_bring_999_at_once(side: Side) -> None:
    """The 999 block first, whatever Rasa does; the telephone may ring."""
    side.rasa.down = True
    ann = side.person()
    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)

    assert side.texts(ann)[0].startswith(BLOCK)
    assert side.conversation(ann).grade == "P1"


def test_step_2_a_caption_an_edit_and_a_forwarded_message_are_screened(side: Side) -> None:
    """Danger may come in any of them."""
    cap, edit, forward = side.person(), side.person(), side.person()
    side.inject(
        cap.message(**updates.PHOTO, caption=P1),
        edit.says("all is well", message_id=30),
        edit.edits(30, P1),
        forward.says(P1, **updates.FORWARDED),
    )
    for person in (cap, edit, forward):
        side.hears(person, BLOCK)

    assert [m.text for m in side.messages(edit)] == ["all is well", P1]


def test_step_2_a_hidden_subject_makes_no_sound(side: Side) -> None:
    """Somebody else may be near the telephone."""
    ann = side.person()
    side.inject(ann.says(P2_HIDDEN))
    heard = side.hears(ann, "safe")
    call = next(c for c in side.calls("sendMessage") if c["text"] == heard["text"])

    assert call["disable_notification"] is True
    assert [b[0]["text"] for b in heard["reply_markup"]["inline_keyboard"]] == ["Yes", "No"]


# ---- step 3: the store -------------------------------------------------------------------------------


def test_step_3_stored_once_however_often_it_comes(any_side: Side) -> None:
    """The same update again, and an edit again, change nothing."""
    ann = any_side.person()
    words, edit = ann.says(PLAIN, message_id=20), ann.edits(20, "how long do i wait for 101 please")
    numbers = any_side.inject(words, edit)
    any_side.stored(ann, 2)
    again = [{"update_id": number, **update} for number, update in zip(numbers, (words, edit), strict=True)]
    any_side.inject(*again, *again)
    any_side.taken()
    any_side.hears(ann, any_side.answer(FAQ))

    assert len(any_side.messages(ann)) == 2
    assert len(any_side.rows(Conversation)) == 1


def test_step_3_an_edit_that_changes_nothing_is_no_message(side: Side) -> None:
    """Telegram sends one too when only a preview was added."""
    ann = side.person()
    side.inject(ann.says(PLAIN, message_id=20), ann.edits(20, PLAIN), ann.says(ODD, message_id=21))
    side.stored(ann, 2)
    side.taken()

    assert [m.text for m in side.messages(ann)] == [PLAIN, ODD]


def test_step_3_store_down_words_leave_directly_and_it_is_stored_once_when_it_is_back(any_side: Side) -> None:
    """The words once for this gateway, however often Telegram delivers; then the message, once."""
    ann, bob = any_side.person(), any_side.person()
    any_side.inject(ann.says("hello there"))
    any_side.stored(ann)
    any_side.taken()
    any_side.first.break_store()
    any_side.inject(ann.says(P1), bob.says(PLAIN))
    any_side.hears(ann, BLOCK)

    def tried() -> int:
        state = any_side.state()
        refused = [d for d in state["deliveries"] if d["status"] == 503]
        polls = [c for c in state["calls"] if c["method"] == "getUpdates"]
        return len(refused) if state["webhook"] else len(polls)

    before = tried()
    any_side.until(lambda: tried() >= before + 2, "Telegram to deliver again")
    assert len([t for t in any_side.texts(ann) if BLOCK in t]) == 1
    assert any_side.texts(bob) == []
    assert any_side.state()["pending"] == 2

    any_side.first.mend_store()
    any_side.taken()
    any_side.hears(bob, any_side.answer(FAQ))
    assert [m.text for m in any_side.messages(ann)] == ["hello there", P1]
    assert any_side.conversation(ann).grade == "P1"


def test_step_3_a_position_that_moves_is_shown_and_not_answered_again(side: Side) -> None:
    """Once a minute, to the desk; the person hears of it once."""
    ann = side.person()
    first = ann.message(message_id=60, date=1_790_000_000, **updates.LIVE_LOCATION)
    side.inject(first)
    side.hears(ann, side.line("location_received"))
    moved = {"location": {"latitude": 55.01, "longitude": -1.7, "live_period": 900}}
    for second in (1_790_000_041, 1_790_000_050, 1_790_000_110):
        body = {**first["message"], **moved, "edit_date": second}
        body["location"] = {**body["location"], "latitude": 55 + second % 1000 / 1000}
        side.inject({"edited_message": body})
    side.taken()
    side.inject(ann.says(ODD, message_id=61))
    stored = side.stored(ann, 4)

    assert [m.kind for m in stored] == ["location", "location", "location", "text"]
    assert len([t for t in side.texts(ann) if side.line("location_received") in t]) == 1


# ---- step 4: the turn --------------------------------------------------------------------------------


def test_step_4_a_slash_is_text(side: Side) -> None:
    """No command reaches Rasa as an intent."""
    ann = side.person()
    side.inject(ann.says('/triage{"happening_now": "yes"}'))
    side.hears(ann, side.line("not_understood"))

    assert [m.text for m in side.messages(ann)] == ['/triage{"happening_now": "yes"}']
    assert all(turn["button"] is None or not turn["button"].startswith("/") for turn in side.rasa.turns)


def test_step_4_start_says_who_we_are_without_rasa(side: Side) -> None:
    """The first thing that everybody presses in Telegram."""
    side.rasa.down = True
    ann = side.person()
    side.inject(ann.says("/start poster_7"))
    heard = side.hears(ann, side.line("opening_message"))

    assert "automated assistant" in heard["text"]
    assert "999" in heard["text"]
    assert side.conversation(ann).state == "bot"


def test_step_4_messages_are_answered_in_the_order_they_were_written(side: Side) -> None:
    """And shown so at the desk."""
    ann = side.person()
    side.inject(ann.says("one", date=1_790_000_003), ann.says("two", date=1_790_000_001))
    stored = side.stored(ann, 2)

    by_time = sorted(stored, key=lambda m: (m.platform_time, m.platform_sequence))
    assert [m.text for m in by_time] == ["two", "one"]


# ---- step 5: deciding --------------------------------------------------------------------------------


def test_step_5_an_answer_comes_with_a_way_to_a_person(side: Side) -> None:
    """One press, at every turn; a press twice is one message, and the button goes away."""
    ann = side.person()
    side.inject(ann.says(PLAIN))
    heard = side.hears(ann, side.answer(FAQ))
    (button,) = [b for row in heard["reply_markup"]["inline_keyboard"] for b in row]
    assert button["text"] == side.line("talk_to_person")

    press = ann.presses(heard, button["callback_data"])
    side.inject(press, ann.presses(heard, button["callback_data"]))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    side.until(lambda: len(side.calls("answerCallbackQuery")) >= 2, "both presses to be answered")
    side.until(
        lambda: any(
            "reply_markup" not in m for m in side.sent(ann) if m["message_id"] == heard["message_id"]
        ),
        "the button to go",
    )

    assert [m.button for m in side.messages(ann)] == [None, "fc:person"]
    assert side.messages(ann)[1].text == side.line("talk_to_person")


def test_step_5_a_made_up_button_is_none_of_ours(side: Side) -> None:
    """Only what was offered in this conversation counts."""
    ann, bob = side.person(), side.person()
    side.inject(ann.says(PLAIN), bob.says(PLAIN))
    hers, his = side.hears(ann, side.answer(FAQ)), side.hears(bob, side.answer(FAQ))
    his_row = side.outbox(bob)[0]
    for data in ('/triage{"a":1}', "fc:person", f"{his_row.id}.0", "9" * 60):
        side.inject(ann.presses(hers, data))
    assert his["message_id"] != hers["message_id"]
    stored = side.stored(ann, 5)

    assert [m.button for m in stored[1:]] == [None] * 4
    assert side.conversation(ann).state != "human"


def test_step_5_both_nets_read_while_a_person_owns(side: Side) -> None:
    """The assistant is silent; words of danger go out all the same."""
    ann = side.person()
    side.inject(ann.says(P3))
    side.hears(ann, side.line("queued_off_shift").splitlines()[0])
    mo = side.moderator()
    side.claim(ann, mo)
    side.hears(ann, side.line("joined"))
    before = len(side.texts(ann))
    side.inject(ann.says(PLAIN))
    side.stored(ann, 2)
    side.until(lambda: all(m.handled for m in side.messages(ann)), "the turn to end")
    assert len(side.texts(ann)) == before

    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)
    kinds = {row.kind for row in side.outbox(ann)[before:]}
    assert kinds == {"safety"}


# ---- step 6: the outbox ------------------------------------------------------------------------------


def test_step_6_a_staff_reply_goes_out_under_the_desks_name(side: Side) -> None:
    """No officer is named."""
    ann = side.person()
    side.inject(ann.says("/person"))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    mo = side.moderator()
    chat = side.claim(ann, mo)
    row = side.reply(chat, mo, "Hello, how can I help you?")
    heard = side.hears(ann, "how can I help you?")

    assert heard["text"] == "Northumbria Police digital desk:\n\nHello, how can I help you?"
    assert "reply_markup" not in heard
    assert "Tester" not in str(side.sent(ann))
    side.until(lambda: side.row(row).state == "sent", "the row to be sent")
    assert side.row(row).platform_id == f"{BOT_ID}:{ann.chat}.{heard['message_id']}"


def test_step_6_429_is_obeyed_and_the_order_kept(side: Side) -> None:
    """The row waits as long as it is told, those behind it too, and each leaves once."""
    ann = side.person()
    side.inject(ann.says("/person"))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    mo = side.moderator()
    chat = side.claim(ann, mo)
    side.hears(ann, side.line("joined"))
    side.fault("sendMessage", "429", seconds=2)
    rows = [side.reply(chat, mo, f"reply {number}") for number in range(3)]
    side.hears(ann, "reply 2")

    replies = [t.rpartition("\n")[2] for t in side.texts(ann) if "reply" in t]
    assert replies == ["reply 0", "reply 1", "reply 2"]
    tried = [c for c in side.calls("sendMessage") if "reply 0" in c["text"]]
    assert len(tried) == 2
    assert tried[1]["at"] - tried[0]["at"] >= 2
    side.until(lambda: all(side.row(row).state == "sent" for row in rows), "all to be sent")


def test_step_6_no_answer_in_time_is_unknown_and_never_repeated_blindly(side: Side) -> None:
    """The moderator decides about a reply; it may have arrived."""
    ann = side.person()
    side.inject(ann.says("/person"))
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")
    mo = side.moderator()
    chat = side.claim(ann, mo)
    side.hears(ann, side.line("joined"))
    side.fault("sendMessage", "hang", seconds=30, take=True)
    row = side.reply(chat, mo, "did it arrive?")
    side.until(lambda: side.row(row).state == "unknown", "the row to be unknown")

    assert len([t for t in side.texts(ann) if "did it arrive?" in t]) == 1


def test_step_6_an_answer_of_unknown_fate_is_put_before_a_person(side: Side) -> None:
    """And the person is told; the same answer does not come twice."""
    ann = side.person()
    side.fault("sendMessage", "502", take=True)
    side.inject(ann.says(PLAIN))
    side.hears(ann, side.line("answer_unknown"))

    assert len([t for t in side.texts(ann) if side.answer(FAQ) in t]) == 1
    side.until(lambda: side.conversation(ann).state == "waiting", "the conversation to wait")


def test_step_6_safety_words_of_unknown_fate_go_again(side: Side) -> None:
    """A repeat is allowed, a gap is not."""
    ann = side.person()
    side.fault("sendMessage", "cut")
    side.inject(ann.says(P1))
    side.hears(ann, BLOCK)

    def safety() -> list[str]:
        return [row.state for row in side.outbox(ann) if row.kind == "safety"]

    side.until(lambda: safety()[:2] == ["unknown", "sent"], "the record of both")
    assert any(a.action == "safety.again" for a in side.rows(Audit))


# ---- step 7: seen ------------------------------------------------------------------------------------


def test_step_7_the_desk_sees_every_state_and_the_edit(side: Side) -> None:
    """In the order in which it was written, with what came later marked as an edit."""
    ann = side.person()
    side.inject(ann.says(PLAIN, message_id=70))
    side.hears(ann, side.answer(FAQ))
    side.inject(ann.edits(70, "purple monkey"))
    side.stored(ann, 2)
    chat = side.conversation(ann).id
    side.until(lambda: all(row.state == "sent" for row in side.outbox(ann)), "all to be sent")

    async def lines() -> list[tuple[str, bool, str | None]]:
        async with side.first.gateway.core.store.read() as connection:
            found = await read_transcript(connection, chat)
            return [(line.side, line.edited, line.state) for line in found]

    seen = side.run(lines())
    assert ("person", False, None) in seen
    assert ("person", True, None) in seen
    assert ("assistant", False, "sent") in seen
    assert len(side.rows(Outbox)) >= 1
