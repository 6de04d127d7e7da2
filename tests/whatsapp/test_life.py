"""What becomes of what people send, from the webhook to the record and to the desk."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.channels.whatsapp.identity import identity_of
from bot.conversations import standing
from bot.conversations.transcript import Line, read_transcript
from bot.store import tables
from bot.store.tables import Audit, Conversation, Person, PersonAlso
from tests.platforms.whatsapp import Writer
from tests.platforms.whatsapp.events import account_change
from tests.support.world import ODD, P1, P3, PLAIN
from tests.whatsapp.serving import WhatsAppSide, whatsapp_side

pytestmark = pytest.mark.integration

BLOCK = "If you or someone else is in danger, call 999 now."


def transcript(side: WhatsAppSide, ann: Writer) -> list[Line]:
    """What the desk reads of their newest chat."""
    chat = side.conversation(ann.id).id

    async def read() -> list[Line]:
        async with side.first.gateway.core.store.read() as connection:
            return await read_transcript(connection, chat)

    return side.run(read())


def answered(side: WhatsAppSide) -> Writer:
    """Somebody who has got an answer."""
    ann = side.person()
    side.inject(ann.says(PLAIN))
    side.hears(ann, "101")
    side.handled(ann.id)
    side.taken()
    return ann


# ---- signs, versions, what is taken back ---------------------------------------------------------


def test_a_reaction_is_shown_and_owed_nothing(each: WhatsAppSide) -> None:
    """With what it stands under; nothing is answered, nobody waits, no clock starts."""
    side = each
    ann = answered(side)
    chat, said = side.conversation(ann.id), len(side.texts(ann))
    said_last = side.sent(ann)[-1]["mid"]
    side.inject(ann.reacts(said_last), ann.reacts(said_last, ""), batch=True)
    stored = side.stored(ann.id, 3)
    side.taken()

    assert [(m.kind, m.text, m.handled) for m in stored[1:]] == [
        ("reaction", "\U0001f44d", True), ("reaction", "", True),
    ]  # fmt: skip
    after = side.conversation(ann.id)
    assert (after.id, after.state, after.last_inbound_at, after.epoch) == (
        chat.id, "bot", chat.last_inbound_at, chat.epoch,
    )  # fmt: skip
    assert len(side.texts(ann)) == said
    line = next(one for one in transcript(side, ann) if one.kind == "reaction")
    assert line.reply_to
    assert side.sent(ann)[-1]["text"].startswith(line.reply_to.rstrip("\u2026")[:20])


def test_reactions_push_no_half_of_a_sentence_out_of_sight(side: WhatsAppSide) -> None:
    """The screen joins the last messages; a sign under a message is none."""
    ann = answered(side)
    said_last = side.sent(ann)[-1]["mid"]
    side.inject(ann.says("i am going to kill"))
    side.stored(ann.id, 2)
    side.inject(*(ann.reacts(said_last) for _ in range(6)), batch=True)
    side.until(lambda: len(side.messages(ann.id)) >= 8, "the signs to be kept")
    side.inject(ann.says("myself tonight"))
    side.stored(ann.id, 9)
    # With its message: the words for whoever is passed to a person name 999 as well.
    hits = side.messages(ann.id)[-1].hits
    assert ("R02", "P1") in {(hit["category"], hit["grade"]) for hit in hits}
    side.hears(ann, BLOCK)


def test_a_reaction_opens_no_chat(side: WhatsAppSide) -> None:
    """Neither of a stranger's, nor after the end."""
    stranger = side.person()
    side.inject(stranger.reacts("wamid.0"))
    ann = side.person()
    side.inject(ann.says(P3))
    side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    mo = side.moderator()
    chat = side.claim(ann.id, mo)
    side.run(side.first.gateway.core.desk.close(chat, mo, "answered", "done", incident="NP-20261124-0001"))
    side.inject(ann.reacts(side.sent(ann)[-1]["mid"]))
    side.stored(ann.id, 2)
    side.taken()

    assert side.messages(stranger.id) == []
    assert side.conversation(ann.id).state == "closed"
    assert side.conversation(ann.id).id == chat


def test_an_edit_is_a_version_beside_the_first_and_is_screened(each: WhatsAppSide) -> None:
    """Danger may stand in it; the first version stays."""
    side = each
    ann = side.person()
    mid = ann.mid()
    side.inject(ann.says(ODD, mid=mid))
    side.hears(ann, side.line("not_understood"))
    side.inject(ann.edits(mid, P1), ann.edits(mid, P1))
    side.hears(ann, BLOCK)
    stored = side.stored(ann.id, 2)

    assert [(m.text, m.edit_of) for m in stored] == [(ODD, None), (P1, identity_of(mid))]
    assert side.conversation(ann.id).grade == "P1"


def test_an_edited_caption_is_words(side: WhatsAppSide) -> None:
    """Nobody is told a second time that pictures cannot be opened."""
    ann = side.person()
    mid = ann.mid()
    side.inject(ann.sends("image", mid=mid))
    side.hears(ann, side.line("cannot_open_image"))
    side.inject(ann.edits(mid, P1, kind="image"))
    side.hears(ann, BLOCK)
    assert len([t for t in side.texts(ann) if side.line("cannot_open_image") in t]) == 1


def test_what_was_taken_back_stays_on_record(each: WhatsAppSide) -> None:
    """It is shown that it was, and nothing is said to it."""
    side = each
    ann = side.person()
    mid = ann.mid()
    side.inject(ann.says(PLAIN, mid=mid))
    side.hears(ann, "101")
    said = len(side.texts(ann))
    side.inject(ann.takes_back(mid), ann.takes_back(mid))
    stored = side.stored(ann.id, 2)
    side.taken()

    assert [(m.kind, m.text) for m in stored] == [("text", PLAIN), ("deleted", "")]
    assert len(side.texts(ann)) == said


def test_an_answer_is_shown_with_what_it_answers(side: WhatsAppSide) -> None:
    """Theirs or ours."""
    ann = answered(side)
    side.inject(ann.says("and at night?", context={"id": side.sent(ann)[-1]["mid"]}))
    side.stored(ann.id, 2)
    line = next(one for one in transcript(side, ann) if one.text == "and at night?")
    assert line.reply_to
    assert line.reply_to.split()[0] == side.sent(ann)[0]["text"].split()[0]


def test_a_place_is_shown_by_its_name_and_is_no_words(each: WhatsAppSide) -> None:
    """Handed over, with 999; the name is not answered as a question."""
    side = each
    ann = side.person()
    side.inject(ann.is_at())
    side.hears(ann, side.line("location_received"))
    row = side.becomes(ann.id, "waiting")
    assert row.grade == "P3"
    (line,) = [one for one in transcript(side, ann) if one.side == "person"]
    assert (line.text, line.place) == ("", "Grey's Monument, Grainger Street")


def test_a_shared_contact_is_named_and_handed_over(side: WhatsAppSide) -> None:
    """Nothing of it is kept."""
    ann = side.person()
    side.inject(
        ann.message("contacts", [{"name": {"formatted_name": "secret"}, "phones": [{"phone": "secret"}]}])
    )
    side.hears(ann, side.line("cannot_open"))
    (stored,) = side.stored(ann.id)
    assert stored.kind == "contact"
    assert "secret" not in str(stored)
    side.becomes(ann.id, "waiting")


def test_an_approved_texts_button_is_words(side: WhatsAppSide) -> None:
    """They are answered as if typed."""
    ann = side.person()
    side.inject(ann.answers_text(PLAIN, "made at Meta"))
    side.hears(ann, "101")


# ---- who is who ----------------------------------------------------------------------------------


def test_a_person_stays_the_same_when_their_number_is_hidden_and_shown_again(each: WhatsAppSide) -> None:
    """One person, one chat; sent to by the number while it is known."""
    side = each
    ann = answered(side)
    hidden = Writer(ann.number_id, ann.app_id, "", ann.user)
    side.inject(hidden.says(ODD))
    side.hears(ann, side.line("not_understood"))
    assert [m.text for m in side.stored(ann.id, 2)] == [PLAIN, ODD]

    bob = side.person()
    first = Writer(bob.number_id, bob.app_id, "", bob.user)
    side.inject(first.says(PLAIN))
    side.stored(first.id)
    side.handled(first.id)
    side.inject(bob.says(ODD))
    assert [m.text for m in side.stored(bob.id, 2)] == [PLAIN, ODD]
    (tie,) = side.rows(PersonAlso, PersonAlso.also_id == f"{bob.number_id}:{bob.user}")
    assert [row.platform_id for row in side.rows(Person, Person.id == tie.person_id)] == [bob.id]


def test_somebody_with_a_new_number_goes_on_in_the_same_chat(each: WhatsAppSide) -> None:
    """It is shown at the desk; the record of it holds no number."""
    side = each
    ann = side.person()
    side.inject(ann.says(P3))
    chat = side.becomes(ann.id, "waiting")
    side.handled(ann.id)
    new = side.person()
    side.inject(ann.moves(new.phone, new.user), ann.moves(new.phone, new.user))
    side.until(lambda: len(side.messages(new.id)) >= 2, "the move")
    side.inject(new.says("it is me"))
    stored = side.stored(new.id, 3)

    side.taken()

    assert sorted(m.kind for m in stored) == ["moved", "text", "text"]
    assert len(side.messages(new.id)) == 3
    assert {m.conversation_id for m in stored} == {chat.id}
    assert side.messages(ann.id) == []
    audited = side.rows(Audit, Audit.action == "person.moved", Audit.conversation_id == chat.id)
    assert audited
    assert new.phone not in str(audited)
    mo = side.moderator()
    side.run(side.first.gateway.core.desk.claim(chat.id, mo, side.conversation(new.id).epoch))
    side.hears(new, side.line("joined"))


def test_words_from_a_new_number_beside_the_news_of_it_stay_in_the_chat(side: WhatsAppSide) -> None:
    """In one webhook, and whichever of the two ids sorts first."""
    low, high = sorted((side.person(), side.person()), key=lambda one: one.id)
    for old, new in ((high, low), (side.person(), side.person())):
        side.inject(old.says(P3))
        chat = side.becomes(old.id, "waiting")
        side.handled(old.id)
        side.inject(old.moves(new.phone, new.user), new.says("it is me"), batch=True)
        side.until(lambda n=new: len(side.messages(n.id)) >= 3, "all in one chat")  # type: ignore[misc]
        assert {m.conversation_id for m in side.messages(new.id)} == {chat.id}
        assert side.messages(old.id) == []


def test_nobody_gets_somebody_elses_chat_by_a_new_number(side: WhatsAppSide) -> None:
    """A number that somebody else writes from already stays theirs; the desk is told in the old chat."""
    ann, bob = answered(side), answered(side)
    side.inject(ann.moves(bob.phone, bob.user))
    assert [m.kind for m in side.stored(ann.id, 2)] == ["text", "moved_apart"]
    side.taken()
    assert len(side.messages(bob.id)) == 1


def test_each_number_of_ours_has_a_chat_of_its_own(side: WhatsAppSide) -> None:
    """Each with its own 24 hours; a reply leaves from the number that was written to."""
    ann = side.person()
    other = Writer(side.account.numbers[1], ann.app_id, ann.phone, ann.user)
    side.inject(ann.says(PLAIN), other.says(PLAIN))
    side.hears(ann, "101")
    side.hears(other, "101")
    assert len(side.rows(Conversation, Conversation.id.in_(
        [side.conversation(ann.id).id, side.conversation(other.id).id]
    ))) == 2  # fmt: skip


# ---- who else answers ----------------------------------------------------------------------------


def test_on_standby_everything_is_stored_and_danger_still_brings_its_words(side: WhatsAppSide) -> None:
    """Another app holds the chat: our assistant is silent, and no sign is shown."""
    ann = side.person()
    side.inject(ann.says(PLAIN, field="standby"))
    row = side.becomes(ann.id, "human")
    side.handled(ann.id)
    assert (row.owner_outside, side.outbox(ann.id), side.signs(ann)) == (True, [], [])
    side.inject(ann.says(P1, field="standby"))
    side.hears(ann, BLOCK)


def test_words_from_the_forces_telephone_stop_the_assistant_whichever_id_they_name(
    each: WhatsAppSide,
) -> None:
    """The person may have shown no number to us, and the echo names them by it."""
    side = each
    ann = side.person()
    hidden = Writer(ann.number_id, ann.app_id, "", ann.user)
    side.inject(hidden.says(PLAIN))
    side.hears(hidden, "101")
    side.handled(hidden.id)
    side.inject(ann.is_told("Hi, this is Pat"))
    assert side.becomes(hidden.id, "human").owner_outside


# ---- our account ---------------------------------------------------------------------------------


def test_what_meta_finds_wrong_is_shown_until_it_says_otherwise(each: WhatsAppSide) -> None:
    """The newest word counts, whichever comes last."""
    side = each

    async def wrong() -> dict[str, list[str]]:
        async with side.first.gateway.core.store.read() as connection:
            return await standing.degraded(connection)

    def told(**value: object) -> None:
        side.inject(account_change("phone_number_quality_update", **value))
        side.taken()

    told(event="FLAGGED")
    side.until(lambda: side.run(wrong()) == {"whatsapp": ["quality"]}, "it to be degraded")
    said = side.rows(tables.Standing)
    assert [row.says for row in said] == ["FLAGGED"]
    told(event="UNFLAGGED")
    side.until(lambda: side.run(wrong()) == {}, "it to be well again")


# ---- the address that Meta calls -----------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=200)
    | st.sampled_from([b"[" * 50_000, b'{"object":"whatsapp_business_account","entry":[[]]}', b"{}"])
)
def test_a_signed_body_that_is_no_webhook_is_400_and_never_500(side: WhatsAppSide, body: bytes) -> None:
    """Whoever signs it."""
    assert 400 <= side.post(body).status_code < 500


@pytest.mark.parametrize("text", ["\x00null", "half \ud800 pair", "x" * 20_000, "\u202e\u200b", "'; DROP"])
def test_odd_words_are_kept(each: WhatsAppSide, text: str) -> None:
    """What no database keeps has a mark in its place, in a name too."""
    ann = each.person()
    ann.name = "A\x00nn"
    assert each.post(each.body(ann.says(text))).status_code == 200
    (stored,) = each.stored(ann.id)
    assert len(stored.text) == len(text)


def test_the_address_is_proved_with_the_word_that_both_know(side: WhatsAppSide) -> None:
    """The challenge comes back as it was; without the word it is 403."""
    address = f"{side.first.base}/whatsapp/webhook"
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": side.app.verify_token,
        "hub.challenge": "1158201444",
    }
    answer = httpx.get(address, params=query, trust_env=False, timeout=30)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    wrong = httpx.get(address, params={**query, "hub.verify_token": "x"}, trust_env=False, timeout=30)
    assert wrong.status_code == 403


def test_meta_is_asked_for_the_accounts_news_and_knows_our_numbers_and_texts(side: WhatsAppSide) -> None:
    """Each text must stand at Meta as it stands here."""
    side.until(lambda: "subscribed" in side.state()["told"], "the account to be subscribed")
    assert side.run(side.whatsapp.reachable()) is None
    assert side.server is not None
    side.server.templates[0]["components"][0]["text"] += " And more."
    assert "other words than at Meta" in str(side.run(side.whatsapp.reachable()))
    side.server.templates[0]["status"] = "PAUSED"
    assert "is not approved at Meta" in str(side.run(side.whatsapp.reachable()))


def test_a_number_of_another_account_is_named(sqlite_url: str) -> None:
    """By its place in the setting, never by itself."""
    with whatsapp_side(sqlite_url, _phone_number_ids="106540352242922,555555555") as side:
        said = str(side.run(side.whatsapp.reachable()))
    assert "number 2 of FRONTCOUNTER_WHATSAPP_PHONE_NUMBER_IDS" in said
    assert "555555555" not in said
