"""The page's requests, against a gateway that really listens."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any
from unittest import mock

import httpx
import pytest

from bot.channels.webchat import session, stream
from bot.store.tables import Conversation, Note
from tests.webchat.serving import PATIENCE_SECONDS, Served, eventually

pytestmark = pytest.mark.integration

P1 = "there is a man with a knife in the street now"
QUESTION = "how long is the wait for 101"


def say(client: httpx.Client, text: str, identity: str | None = None, **more: Any) -> httpx.Response:
    """Send one message as the page does."""
    body = {"id": identity or str(uuid.uuid4()), "text": text, **more}
    return client.post("/chat/messages", json=body)


def follow(
    client: httpx.Client, count: int, *, after: str = "0.0", headers: dict[str, str] | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """The first `count` messages of the stream, each with its place."""
    found: list[tuple[str, dict[str, Any]]] = []
    place = event = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with client.stream("GET", f"/chat/stream?after={after}", headers=headers) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if time.monotonic() > deadline:
                raise AssertionError(f"only these came: {found}")
            if line.startswith("id: "):
                place = line[4:]
            elif line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: ") and event == "message":
                found.append((place, json.loads(line[6:])))
                if len(found) == count:
                    break
    return found


class TestThePage:
    """GET /chat."""

    def test_says_999_before_all_else_and_sets_no_cookie(self, site: Served) -> None:
        """The first sentence that is read is the one that may save a life."""
        answer = site.client().get("/chat")
        order = ["call 999 now", "automated assistant", "common questions", "8am to 10pm"]
        text = answer.text.partition("<main")[2].replace('<a class="govuk-link" href="tel:999">', "")
        places = [text.replace("</a>", "").index(words) for words in order]
        assert places == sorted(places)
        assert "set-cookie" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "<title>Chat</title>" in answer.text

    def test_home_leads_to_the_chat(self, site: Served) -> None:
        """There is one page."""
        answer = site.client().get("/")
        assert (answer.status_code, answer.headers["location"]) == (302, "/chat")

    def test_opens_while_the_store_is_down(self, site: Served) -> None:
        """Whoever comes must at least read whom to call."""
        client = site.client()
        say(client, QUESTION)
        site.break_store()
        answer = client.get("/chat")
        site.mend_store()
        assert answer.status_code == 200
        assert "call" in answer.text

    def test_asks_before_it_shows_what_was_said(self, site: Served) -> None:
        """Another person may hold the device now."""
        client = site.client()
        say(client, "only for me")
        page = client.get("/chat").text
        assert "You have an earlier chat on this device. Show it?" in page
        assert "only for me" not in page
        assert client.get("/chat/earlier").json()["lines"][0]["text"] == "only for me"
        assert site.client().get("/chat/earlier").json()["lines"] == []

    def test_files_are_kept_for_long_by_their_hash(self, site: Served) -> None:
        """A new version has a new address."""
        client = site.client()
        page = client.get("/chat").text
        address = page.partition('<script src="')[2].partition('"')[0]
        answer = client.get(address)
        assert "immutable" in answer.headers["cache-control"]
        again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        assert client.get("/chat/static/webchat.js?v=other").headers["cache-control"] == "no-cache"
        assert client.get("/chat/static/..%2froutes.py").status_code == 404
        assert "#003078" in client.get("/chat/static/colour.css").text

    def test_the_privacy_notice_is_there(self, site: Served) -> None:
        """The page links to it."""
        assert "Your rights" in site.client().get("/privacy").text


class TestAMessage:
    """POST /chat/messages."""

    def test_is_stored_once_and_answered(self, any_site: Served) -> None:
        """200 means stored; a repeat of the id changes nothing."""
        client = any_site.client()
        identity = str(uuid.uuid4())
        for _ in range(3):
            answer = say(client, QUESTION, identity)
            assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert [row.text for row in any_site.messages()] == [QUESTION]
        [(_, told)] = follow(client, 1)
        assert told["side"] == "assistant"
        assert told["text"] == any_site.gateway.core.content.current.answer("contact-101-wait")

    def test_the_cookie_is_hidden_from_scripts_and_the_record(self, site: Served) -> None:
        """The record holds a hash; the token stays on the device."""
        client = site.client()
        answer = say(client, "hello there")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Path=/chat" in cookie
        token = client.cookies[session.COOKIE]
        [person] = site.people()
        assert person.platform_id == session.person_of(token)
        assert token not in person.platform_id
        assert site.messages()[0].platform_id.startswith(person.platform_id + ":")

    def test_a_first_message_whose_answer_was_lost_stays_one(self, site: Served) -> None:
        """Sent again without the cookie that never arrived, it is the same person's."""
        identity, start = str(uuid.uuid4()), session.new_token()
        for _ in range(2):
            assert say(site.client(), "hello there", identity, start=start).status_code == 200
        assert len(site.people()) == 1
        assert len(site.messages()) == 1

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("null\0byte", "null\ufffdbyte"),
            ("\u202eright to left", "\u202eright to left"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("👩🏽‍🚒 " * 40, "👩🏽‍🚒 " * 40),
            ("half a pair \ud83d here", "half a pair \ufffd here"),
            ("two\r\nlines", "two\nlines"),
            ("/restart", "/restart"),
        ],
    )
    def test_odd_text_is_kept_as_text(self, any_site: Served, sent: str, kept: str) -> None:
        """Whatever a person types is what the desk reads."""
        client = any_site.client()
        body = json.dumps({"id": str(uuid.uuid4()), "text": sent})
        answer = client.post("/chat/messages", content=body)
        assert answer.status_code == 200
        assert any_site.messages()[0].text == kept

    def test_twenty_thousand_characters_are_stored_and_answered(self, site: Served) -> None:
        """The limit counts characters, not bytes."""
        client = site.client()
        text = (QUESTION + " 😀").ljust(20_000, "é")
        assert say(client, text).status_code == 200
        assert site.messages()[0].text == text
        assert follow(client, 1)[0][1]["side"] in ("assistant", "safety")
        over = say(client, text + "x")
        assert over.status_code == 413
        assert "20,000" in over.json()["error"]
        assert len(site.messages()) == 1

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000,
            b'{"text": "no id"}', b'{"id": "x", "text": "short id"}',
            b'{"id": "aaaaaaaa", "text": 7}', b'{"id": "aaaaaaaa", "text": "  "}',
            b'{"id": "aaaaaaaa", "button": "1.2; drop"}', b'{"id": "aaaaaaaa"}',
            b'{"id": "aaaaaaaa", "button": "999999.0"}',
        ],
    )  # fmt: skip
    def test_what_the_page_never_sends_is_refused(self, site: Served, body: bytes) -> None:
        """400, a sentence, and nothing stored."""
        answer = site.client().post("/chat/messages", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]
        assert site.messages() == []

    def test_a_body_without_end_is_refused(self, site: Served) -> None:
        """413, and nothing stored."""
        answer = site.client().post("/chat/messages", content=b"x" * 1_100_000)
        assert answer.status_code == 413
        assert site.messages() == []

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 200),
            ({}, 200),
        ],
    )
    def test_only_our_own_page_may_post(self, site: Served, headers: dict[str, str], status: int) -> None:
        """Another site can neither write in a person's name nor give them a session of its own."""
        client = site.client(headers=headers)
        assert say(client, "hello there").status_code == status
        form = {"id": "a" * 32, "text": "hello", "start": "x" * 43}
        assert client.post("/chat", data=form).status_code == (303 if status == 200 else status)
        assert client.post("/chat/seen", json={"outbox": 1}).status_code == status


class TestButtons:
    """Answers that a person presses."""

    def test_talk_to_a_person_hands_over(self, site: Served) -> None:
        """The button works as a first message too."""
        client = site.client()
        answer = client.post("/chat/messages", json={"id": str(uuid.uuid4()), "button": "person"})
        assert answer.status_code == 200
        [message] = site.messages()
        assert (message.kind, message.text, message.button) == (
            "button", site.line("talk_to_person"), "fc:person",
        )  # fmt: skip
        eventually(lambda: site.rows(Conversation)[0].state == "waiting")

    def test_an_offered_answer_counts_and_only_from_its_own_person(self, site: Served) -> None:
        """The words on it come from the record, not from the page."""
        client, other = site.client(), site.client()
        say(other, "hello there")
        say(client, "my ex is stalking me")
        told = eventually(lambda: [one for one in follow(client, 1) if one[1]["buttons"]])[0][1]
        button = told["buttons"][0]
        body = {"id": str(uuid.uuid4()), "button": button["token"], "text": "something else"}
        assert other.post("/chat/messages", json=body).status_code == 400
        assert client.post("/chat/messages", json=body).status_code == 200
        assert site.messages()[-1].text == button["title"]


class TestStoreDown:
    """The database is away."""

    def test_danger_gets_its_words_in_the_answer_and_the_message_is_taken_later(self, site: Served) -> None:
        """503 with the words; the same id is accepted once the store is back."""
        client = site.client()
        identity = str(uuid.uuid4())
        site.break_store()
        answer = say(client, P1, identity)
        plain = say(client, "hello there")
        pressed = client.post("/chat/messages", json={"id": str(uuid.uuid4()), "button": "person"})
        site.mend_store()
        assert answer.status_code == 503
        assert answer.json()["retry"] is True
        assert answer.json()["words"].startswith(site.line("block_999"))
        assert {"text": "999", "href": "tel:999"} in answer.json()["parts"]
        for one in (plain, pressed):
            assert one.status_code == 503
            assert one.json()["words"] == site.line("store_down")
        assert say(client, P1, identity).status_code == 200
        assert [row.text for row in site.messages()] == [P1]
        assert len(site.people()) == 1

    def test_does_not_end_a_stream(self, site: Served) -> None:
        """The page is told what comes afterwards on the same line."""
        client = site.client()
        say(client, QUESTION)
        follow(client, 1)
        found = []
        with client.stream("GET", "/chat/stream?after=now") as response:
            lines = response.iter_lines()
            for line in lines:
                if line.startswith("event: status"):
                    break
            site.break_store()
            # The first beats may be of before, or due by the clock; after so many it has looked in vain.
            for _ in range(4):
                next(line for line in lines if line == "event: beat")
            site.mend_store()
            with httpx.Client(
                base_url=site.base, trust_env=False, cookies=client.cookies, timeout=PATIENCE_SECONDS
            ) as again:
                say(again, QUESTION)
            for line in lines:
                if line.startswith("data: {") and "side" in line:
                    found.append(json.loads(line[6:]))
                    break
        assert found[0]["side"] == "assistant"


class TestTheStream:
    """GET /chat/stream."""

    def test_is_refused_without_a_session(self, site: Served) -> None:
        """204 tells the browser not to ask again."""
        assert site.client().get("/chat/stream").status_code == 204

    def test_a_place_is_checked(self, site: Served) -> None:
        """It goes into a query."""
        client = site.client()
        say(client, QUESTION)
        for wrong in ("x", "1", "1.2.3", "1.-2", "9" * 40 + ".1", "1.1 or 1=1"):
            answer = client.get("/chat/stream", params={"after": wrong})
            assert answer.status_code == 400

    def test_an_answer_wakes_the_page(self, site: Served) -> None:
        """It is told after the commit, so that it need not wait for its next own look."""
        client = site.client()
        with (
            mock.patch.object(stream, "POLL_SECONDS", 60.0),
            mock.patch.object(stream, "BEAT_SECONDS", 60.0),
        ):
            for number in range(3):
                say(client, f"{QUESTION} {number}")
                assert len(follow(client, number + 1)) == number + 1

    def test_goes_on_where_it_was_with_nothing_twice_or_left_out(self, any_site: Served) -> None:
        """Every row once, in the order in which it was committed."""
        client = any_site.client()
        for number in range(4):
            say(client, f"{QUESTION} {number}")
            eventually(lambda number=number: sum(1 for r in any_site.outbox() if r.state == "sent") > number)
        everything = follow(client, 4)
        ids = [told["id"] for _, told in everything]
        assert ids == sorted(set(ids))
        second = everything[1][0]
        assert follow(client, 2, headers={"Last-Event-ID": second}) == everything[2:]
        assert follow(client, 2, after=second) == everything[2:]

    def test_a_place_from_before_a_restore_begins_anew(self, any_site: Served) -> None:
        """A page that saw more than the restored database holds must not wait for ever."""
        client = any_site.client()
        say(client, QUESTION)
        everything = follow(client, 1)
        assert follow(client, 1, headers={"Last-Event-ID": "999999999.999999999"}) == everything

    def test_staff_are_named_by_their_desk_and_notes_never_come(self, site: Served) -> None:
        """No officer's name and no private note reaches the page."""
        client = site.client()
        client.post("/chat/messages", json={"id": str(uuid.uuid4()), "button": "person"})
        eventually(lambda: [row.state for row in site.outbox()] == ["sent", "sent"])
        moderator = site.moderator()
        conversation_id = site.claim(moderator)
        site.run(site.gateway.core.desk.note(conversation_id, moderator, "a private thought"))
        site.reply(conversation_id, moderator, "Hello, how can I help?")
        assert len(site.rows(Note)) == 1
        told = [one for _, one in follow(client, 4)]
        assert [one["side"] for one in told] == ["assistant", "assistant", "notice", "staff"]
        assert told[-1]["desk"] == site.gateway.core.content.current.desk_name
        everything = json.dumps(told) + client.get("/chat/earlier").text
        assert "Mo Tester" not in everything
        assert "private thought" not in everything

    def test_a_page_sees_nobody_elses_messages(self, site: Served) -> None:
        """Two devices, two people."""
        one, two = site.client(), site.client()
        say(one, QUESTION)
        say(two, P1)
        assert {told["side"] for _, told in follow(two, 1)} == {"safety"}
        assert {told["side"] for _, told in follow(one, 1)} == {"assistant"}

    def test_what_is_shown_becomes_delivered_by_its_own_person_only(self, site: Served) -> None:
        """A receipt for another's row changes nothing."""
        client, other = site.client(), site.client()
        say(client, QUESTION)
        say(other, "hello there")
        [(_, told)] = follow(client, 1)

        def state() -> str:
            return next(str(row.state) for row in site.outbox() if row.id == told["id"])

        assert other.post("/chat/seen", json={"outbox": [told["id"]]}).status_code == 200
        assert state() == "sent"
        assert client.post("/chat/seen", json={"outbox": [told["id"], 10**15]}).status_code == 200
        assert state() == "delivered"
        for wrong in ({}, {"outbox": "1"}, {"outbox": []}, {"outbox": [True]}, {"outbox": [2**70]}):
            assert client.post("/chat/seen", json=wrong).status_code == 400


class TestWithoutScripts:
    """POST /chat, as a plain form."""

    @staticmethod
    def fields(page: str) -> dict[str, str]:
        """The hidden fields of the page's own form."""
        form = page.partition('id="composer"')[2].partition("</form>")[0]
        found = {}
        for part in form.split('<input type="hidden" name="')[1:]:
            name, _, rest = part.partition('" value="')
            found[name] = rest.partition('"')[0]
        return found

    def test_works_whole(self, site: Served) -> None:
        """A question, its answer, a reload, a person, a late reply."""
        client = site.client()
        fields = self.fields(client.get("/chat").text)
        answer = client.post("/chat", data={**fields, "text": QUESTION})
        assert answer.status_code == 303
        shown = client.get(answer.headers["location"]).text
        assert QUESTION in shown
        assert "You can also call" in shown
        again = client.post("/chat", data={**fields, "text": QUESTION})
        assert again.status_code == 303
        assert len(site.messages()) == 1
        fields = self.fields(shown)
        answer = client.post("/chat", data={**fields, "text": "first this", "button": "person"})
        assert [row.text for row in site.messages()] == [
            QUESTION, "first this", site.line("talk_to_person"),
        ]  # fmt: skip
        shown = client.get(answer.headers["location"]).text
        frame = shown.partition('<iframe class="replies"')[2].partition('src="')[2].partition('"')[0]
        frame = frame.replace("&amp;", "&")
        assert "No new replies" in client.get(frame).text
        moderator = site.moderator()
        site.reply(site.claim(moderator), moderator, "A late answer.")
        eventually(lambda: "A late answer." in client.get(frame).text)
        assert client.get(frame).headers["refresh"] == "15"

    def test_going_back_and_changing_the_words_counts_as_new(self, site: Served) -> None:
        """An old page in the browser's memory holds an id that was used."""
        client = site.client()
        fields = self.fields(client.get("/chat").text)
        client.post("/chat", data={**fields, "text": "hello there"})
        client.post("/chat", data={**fields, "text": "hello again"})
        assert [row.text for row in site.messages()] == ["hello there", "hello again"]

    def test_an_old_address_asks_first(self, site: Served) -> None:
        """An address from history shows nothing by itself."""
        client = site.client()
        say(client, "only for me")
        assert "only for me" in client.get(f"/chat?view=0.{int(time.time())}").text
        old = client.get(f"/chat?view=0.{int(time.time()) - 3600}").text
        assert "only for me" not in old
        assert "Show it?" in old

    def test_a_new_view_keeps_the_person(self, site: Served) -> None:
        """It hides what was said before, and nothing else changes."""
        client = site.client()
        say(client, "said before")
        page = client.get("/chat").text
        address = page.partition('id="earlier-no"')[2].partition('href="')[2].partition('"')[0]
        fields = self.fields(client.get(address).text)
        answer = client.post("/chat", data={**fields, "text": "said after"})
        shown = client.get(answer.headers["location"]).text
        assert "said after" in shown
        assert "said before" not in shown
        assert len(site.people()) == 1
        assert len(site.rows(Conversation)) == 1

    def test_keeps_the_text_when_it_cannot_be_taken(self, site: Served) -> None:
        """Nobody types a thing twice; the page itself says whom to call."""
        client = site.client()
        fields = self.fields(client.get("/chat").text)
        site.break_store()
        down = client.post("/chat", data={**fields, "text": P1})
        site.mend_store()
        assert down.status_code == 503
        assert "Do not wait for a reply here." in down.text
        assert P1 in down.text
        assert self.fields(down.text)["id"] == fields["id"]
        long = client.post("/chat", data={**fields, "text": "x" * 20_001})
        assert long.status_code == 413
        assert "x" * 20_001 in long.text
        empty = client.post("/chat", data={**fields, "text": "  "})
        assert empty.status_code == 400
        assert "Type your message." in empty.text
        assert client.post("/chat", data={**fields, "text": P1}).status_code == 303
        assert len(site.messages()) == 1

    def test_markup_is_shown_as_text(self, site: Served) -> None:
        """Autoescape is on."""
        client = site.client()
        fields = self.fields(client.get("/chat").text)
        text = "<b>bold</b> & <script>alert(1)</script>"
        answer = client.post("/chat", data={**fields, "text": text})
        shown = client.get(answer.headers["location"]).text
        assert "&lt;script&gt;" in shown
        assert "<b>bold" not in shown
