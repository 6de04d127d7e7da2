"""The address that a site calls: whose calls are taken, what they may hold, what is refused and how."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.sites.webhook import LONGEST_BODY
from bot.console.pages import Pages
from bot.conversations.words import SAFE_YES
from bot.store.tables import Conversation, Person
from tests.platforms.site import OTHER_SECRET, SECRET, headers_of
from tests.support.rasa import FAQ
from tests.support.world import ODD, P1, P1_OTHER, P2_HIDDEN, PLAIN
from tests.webhook.serving import SiteSide, site_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


def call(
    side: SiteSide, path: str = "/webhook/forum", method: str = "POST", **options: Any
) -> httpx.Response:
    """A request by hand."""
    return httpx.request(method, side.first.base + path, trust_env=False, timeout=30, **options)


# ---- who may call ----------------------------------------------------------------------------------


def test_a_call_that_was_recorded_is_refused_later(board: SiteSide) -> None:
    """After five minutes, and one from a clock that is far ahead."""
    ann = board.person()
    body = board.body(ann.says(P1))
    for minutes in (-6, 6, -60 * 24):
        answer = board.post(body, headers_of(body, at=time.time() + 60 * minutes))
        assert answer.status_code == 401
        assert "5 minutes" in answer.json()["error"]
    assert board.messages(ann.id) == []


def test_the_same_call_again_is_taken_and_changes_nothing(board: SiteSide) -> None:
    """Within five minutes a replay is a repeat."""
    ann = board.person()
    body = board.body(ann.says(PLAIN), ann.is_told("Hi, this is Pat"))
    headers = headers_of(body)
    for _ in range(3):
        assert board.post(body, headers).status_code == 200
    board.becomes(ann.id, "human")

    assert len(board.messages(ann.id)) == 1
    assert [row.detail for row in board.outbox(ann.id) if row.kind == "staff"] == ["outside"]


def test_a_changed_body_under_a_good_signature_is_refused(board: SiteSide) -> None:
    """And so is any header of it that was changed."""
    ann = board.person()
    body, other = board.body(ann.says(PLAIN)), board.body(ann.says(P1))
    headers = headers_of(body)
    assert board.post(other, headers).status_code == 401
    assert board.post(body, {**headers, "webhook-id": "call-2"}).status_code == 401
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert board.post(body, {**headers, "webhook-timestamp": later}).status_code == 401
    assert board.messages(ann.id) == []


def test_an_id_that_stands_for_other_words_is_refused(board: SiteSide) -> None:
    """The first words stay; nothing is called taken that was not. Who is in danger is told all the same."""
    ann, bob = board.person(), board.person()
    first = ann.says(ODD)
    assert board.post(board.body(first)).json() == {"taken": 1}

    changed = {**first, "text": P1_OTHER}
    answer = board.post(board.body(bob.says(ODD), changed))

    assert answer.status_code == 409
    assert answer.json() == {
        "taken": 1,
        "refused": [
            {
                "at": "events[1].id",
                "problem": "was used before, for something else: a repeat must say the same",
            }
        ],
    }
    assert [m.text for m in board.stored(ann.id)] == [ODD]
    assert [m.text for m in board.stored(bob.id)] == [ODD]
    board.hears(ann, BLOCK)
    assert board.post(board.body({**first, **bob.who})).status_code == 409
    assert board.post(board.body(first)).status_code == 200


def test_a_call_of_ours_cannot_be_turned_back_on_us(board: SiteSide) -> None:
    """The same key signs both ways, but what we send is nothing that we take."""
    ann = board.person()
    board.inject(ann.says(PLAIN))
    board.hears(ann, board.answer(FAQ))
    ours = board.calls(ann)[0]
    body = json.dumps(ours["message"]).encode()
    assert board.post(body, headers_of(body, identity=ours["headers"]["webhook-id"])).status_code == 400


def test_both_keys_serve_while_one_is_changed(sqlite_url: str) -> None:
    """Ours carry both signatures, so the site changes when it likes."""
    both = json.dumps({"forum": [OTHER_SECRET, SECRET]})
    with site_side(sqlite_url, site_secrets=both) as side:
        ann = side.person()
        for secret in (SECRET, OTHER_SECRET):
            body = side.body(ann.says(PLAIN))
            assert side.post(body, headers_of(body, secret)).status_code == 200
        side.hears(ann, side.answer(FAQ), times=2)
        assert not side.board.forged
        side.board.secret = OTHER_SECRET
        side.inject(ann.says(ODD))
        side.hears(ann, side.line("not_understood"))
        assert not side.board.forged


# ---- what may be called ----------------------------------------------------------------------------


def test_only_joined_sites_have_an_address(board: SiteSide) -> None:
    """And only for calls."""
    body = board.body(board.person().says(PLAIN))
    headers = headers_of(body)
    assert call(board, "/webhook/other", content=body, headers=headers).status_code == 404
    assert call(board, "/webhook/", content=body, headers=headers).status_code == 404
    assert call(board, method="GET").status_code == 405


@pytest.mark.parametrize("size", [LONGEST_BODY + 1, 1_100_000])
def test_a_body_that_is_too_large_is_refused(board: SiteSide, size: int) -> None:
    """Before it is read."""
    assert board.post(b" " * size).status_code == 413


def test_a_full_batch_of_ordinary_messages_fits(board: SiteSide) -> None:
    """A hundred, of a page each."""
    ann = board.person()
    body = board.body(*(ann.says("a line of words. " * 40 + str(n)) for n in range(100)))
    assert board.post(body).json() == {"taken": 100}
    assert len(board.messages(ann.id)) == 100


def test_what_is_wrong_is_named_and_what_is_right_is_taken(board: SiteSide) -> None:
    """One slip does not cost anybody else their message; no word comes back."""
    ann, bob = board.person(), board.person()
    wrong = {**ann.says("the secret words of ann"), "sent_at": "the secret time"}
    answer = board.post(board.body(wrong, bob.says(PLAIN), {"type": "dance"}))

    assert answer.status_code == 400
    assert answer.json() == {
        "taken": 1,
        "refused": [
            {"at": "events[0].sent_at", "problem": "is not of the form that the schema names"},
            {"at": "events[2].type", "problem": "is none of those that the schema lists"},
        ],
    }
    assert board.messages(ann.id) == []
    board.hears(bob, board.answer(FAQ))


def test_danger_in_an_event_that_is_refused_brings_its_words(board: SiteSide) -> None:
    """Nothing is kept, so nobody at the desk reads it: whoever wrote it is told whom to call."""
    ann = board.person("thread-1")
    assert board.post(board.body({**ann.says(P1), "colour": "blue"})).status_code == 400
    heard = board.hears(ann, BLOCK)

    assert (heard["kind"], heard["thread"]) == ("safety", "thread-1")
    assert board.messages(f"{ann.id} thread-1") == []


@pytest.mark.parametrize("slip", [{"id": 1001}, {"person": 4711}])
def test_danger_in_an_event_with_a_slip_brings_its_words(board: SiteSide, slip: dict[str, int]) -> None:
    """A number where a text should be is the likeliest slip of all."""
    ann = board.person()
    assert board.post(board.body({**ann.says(P1), **slip})).status_code == 400
    who = str(slip.get("person", ann.id))
    board.until(
        lambda: any(BLOCK in one["text"] for one in board.sent(SimpleNamespace(id=who))),
        "the words of danger",
    )


def test_danger_where_no_text_can_be_read_brings_its_words(board: SiteSide) -> None:
    """Who wrote it is known, and the words stand where none were looked for."""
    ann, bob = board.person(), board.person()
    wrong = {**ann.says(ODD), "text": {"plain": ["hello", P1]}}
    assert board.post(board.body(wrong, bob.says(PLAIN))).json()["taken"] == 1
    board.hears(ann, BLOCK)
    board.hears(bob, board.answer(FAQ))


@pytest.mark.parametrize("slip", [b'"version": 2', b'"version": 1, "x": 1', b'"version": ', b'"version": 1}'])
def test_danger_in_a_call_that_is_refused_whole_brings_its_words(board: SiteSide, slip: bytes) -> None:
    """Of another version, with more beside it, or no JSON at all: nothing is kept, and nobody reads it."""
    ann = board.person()
    body = board.body(ann.says(P1)).replace(b'"version": 1', slip)
    assert board.post(body).status_code == 400
    board.hears(ann, BLOCK)
    assert board.messages(ann.id) == []


def test_a_broken_letter_costs_no_other_message(board: SiteSide) -> None:
    """One title in an old encoding; who wrote beside it is told what is the matter, if in danger."""
    ann, bob = board.person(), board.person()
    body = board.body({**ann.says(P1), "page": "@@"}, bob.says(PLAIN)).replace(b"@@", b"caf\xe9")
    answer = board.post(body)
    assert (answer.status_code, answer.json()) == (
        400, {"taken": 1, "refused": [{"at": "events[0]", "problem": "is not UTF-8"}]},
    )  # fmt: skip
    board.hears(ann, BLOCK)
    board.hears(bob, board.answer(FAQ))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.sampled_from(
        [b"[" * 50_000, b'{"version":1,"events":[[]]}', b'{"version":1,"events":[{"type":"edit"}]}']
    )
)
def test_a_signed_body_that_is_no_call_is_400_and_never_500(board: SiteSide, body: bytes) -> None:
    """Whoever signs it."""
    assert 400 <= board.post(body).status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
                       st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60), min_size=1))  # fmt: skip
def test_whatever_headers_hold_it_is_401(board: SiteSide, headers: dict[str, str]) -> None:
    """Never 500."""
    body = board.body(board.person().says(PLAIN))
    assert board.post(body, {**headers_of(body), **headers}).status_code == 401


@pytest.mark.parametrize("text", ["\x00null", "half \ud800 pair", "x" * 20_000, "\u202e\u200b", "'; DROP"])
def test_odd_words_are_kept(board: SiteSide, text: str) -> None:
    """What no database keeps has a mark in its place; a repeat of it is a repeat."""
    ann = board.person()
    body = board.body(ann.message(text=text))
    for _ in range(2):
        assert board.post(body).status_code == 200

    (stored,) = board.stored(ann.id)
    assert len(stored.text) == len(text)


def test_while_the_store_is_away_it_is_503_and_says_when_to_come_again(board: SiteSide) -> None:
    """Words of danger leave at once, by a call; nothing is called taken."""
    ann = board.person("thread-9")
    event = ann.says(P1)
    board.first.break_store()
    try:
        answer = board.post(board.body(event))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        heard = board.hears(ann, BLOCK)
        assert (heard["kind"], heard["in_reply_to"], heard["thread"]) == ("safety", event["id"], "thread-9")
        assert heard["id"].startswith("fc-0-")
    finally:
        board.first.mend_store()
    assert board.post(board.body(event)).status_code == 200
    board.hears(ann, BLOCK, times=2)


# ---- what is said ----------------------------------------------------------------------------------


def test_a_thread_is_a_chat_of_its_own(board: SiteSide) -> None:
    """Each is answered where it was asked."""
    ann = board.person("lost-dog")
    other = board.person("found-cat")
    other.id = ann.id
    board.inject(ann.says(PLAIN), other.says(PLAIN))
    board.until(lambda: len(board.sent(ann)) == 2, "both answers")

    assert {message["thread"] for message in board.sent(ann)} == {"lost-dog", "found-cat"}
    people = {row.platform_id for row in board.rows(Person) if row.platform_id.startswith(f"{ann.id} ")}
    assert people == {f"{ann.id} lost-dog", f"{ann.id} found-cat"}


def test_a_reply_names_the_message_that_it_answers(board: SiteSide) -> None:
    """That is where the site shows it; the newest, and never an edit."""
    ann = board.person()
    first, second = ann.says(ODD), ann.says(PLAIN)
    board.inject(first)
    heard = board.hears(ann, board.line("not_understood"))
    assert heard["in_reply_to"] == first["id"]
    assert heard["thread"] is None
    board.inject(second)
    assert board.hears(ann, board.answer(FAQ))["in_reply_to"] == second["id"]
    row = board.outbox(ann.id)[-1]
    assert row.platform_id == board.sent(ann)[-1]["id"]


def test_choices_are_listed_with_numbers_and_may_be_pressed_or_typed(board: SiteSide) -> None:
    """The question whether it is safe to chat asks for no sound."""
    pressed, typed, mailed = (board.person() for _ in range(3))
    for person in (pressed, typed, mailed):
        board.inject(person.says(P2_HIDDEN))
    yes = board.line("safe_yes_title")
    heard = {person.id: board.hears(person, f"1. {yes}") for person in (pressed, typed, mailed)}
    for one in heard.values():
        assert one["quiet"]
        assert one["choices"][0]["title"] == yes
        assert f"2. {board.line('safe_no_title')}" in one["text"]
    for person in (pressed, typed, mailed):
        board.until(
            lambda who=person: all(r.state == "sent" for r in board.outbox(who.id)),  # type: ignore[misc]
            "all of it to be sent",
        )
        board.handled(person.id)

    token = heard[pressed.id]["choices"][0]["token"]
    board.inject(pressed.presses(yes, token))
    board.inject(mailed.message(text="1", reply_to=heard[mailed.id]["id"]))
    for person in (pressed, mailed):
        said = board.stored(person.id, 2)[-1]
        assert (said.kind, said.button, said.text) == ("button", SAFE_YES, yes)


def test_the_way_to_a_person_stands_in_the_text_too(board: SiteSide) -> None:
    """A mail has nothing to press: it is in the list, or there is a sentence on how to ask."""
    ann = board.person()
    title = board.line("talk_to_person")
    board.inject(ann.says(PLAIN))
    heard = board.hears(ann, board.answer(FAQ))
    assert title in board.buttons(heard)
    assert f". {title}" in heard["text"]

    board.inject(board.sends(ann, "image", PLAIN))
    heard = board.hears(ann, board.line("cannot_open_image"))
    assert heard["choices"] == [{"title": title, "token": "person"}]
    assert heard["text"].endswith(board.line("write_for_person"))


def test_an_edit_is_screened_and_a_message_taken_back_is_marked(board: SiteSide) -> None:
    """Both versions stay on record."""
    ann = board.person()
    first = ann.says(ODD)
    board.inject(first)
    board.hears(ann, board.line("not_understood"))
    board.inject(ann.edits(first["id"], P1))
    board.hears(ann, BLOCK)
    board.inject(ann.takes_back(first["id"]))
    stored = board.stored(ann.id, 3)

    assert [(m.kind, m.edit_of) for m in stored] == [
        ("text", None), ("text", first["id"]), ("deleted", first["id"]),
    ]  # fmt: skip


def test_what_became_of_a_reply_never_goes_back(board: SiteSide) -> None:
    """Read, then late word that it was delivered; failed for good after nothing."""
    ann = board.person()
    board.inject(ann.says(PLAIN))
    reply = board.hears(ann, board.answer(FAQ))["id"]
    board.until(lambda: board.outbox(ann.id)[0].state == "sent", "it to be sent")
    for event, state in (
        (ann.gets(reply), "delivered"),
        (ann.sees(reply), "read"),
        (ann.gets(reply), "read"),
    ):
        board.post(board.body(event)).raise_for_status()
        assert board.outbox(ann.id)[0].state == state


def test_a_reply_of_unknown_fate_is_known_by_its_receipt(board: SiteSide) -> None:
    """The call hung, and yet the site has it."""
    ann = board.person()
    board.mode(echoes=False)
    board.fault("hang", seconds=30, take=True)
    board.inject(ann.says(PLAIN))
    board.until(lambda: [r.state for r in board.outbox(ann.id)][:1] == ["unknown"], "nobody to know")
    reply = board.sent(ann)[0]["id"]
    board.post(board.body(ann.sees(reply))).raise_for_status()
    assert board.outbox(ann.id)[0].state == "read"
    assert board.conversation(ann.id).owner_outside is False


def test_what_the_page_is_about_is_for_staff(board: SiteSide) -> None:
    """It is shown at the desk, and nothing that answers reads it."""
    ann = board.person()
    board.inject(ann.message(text=ODD, page="Report antisocial behaviour"))
    board.stored(ann.id)
    assert board.conversation(ann.id).page == "Report antisocial behaviour"


def test_staff_call_it_by_its_title(board: SiteSide) -> None:
    """In lists, in searches and above a chat."""
    pages = Pages(board.first.gateway.core)
    assert pages.channel_name("site-forum") == pages.channels["site-forum"] == "North East forum"
    assert pages.channels["webchat"] == "Web chat"
    ann = board.person()
    board.inject(ann.says(ODD))
    board.stored(ann.id)
    assert {row.channel for row in board.rows(Conversation)} == {"site-forum"}
