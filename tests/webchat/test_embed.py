"""The chat on other pages, over HTTP: whose pages may hold it, and messages that come without a cookie."""

from __future__ import annotations

import gzip
import json
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bot.channels.webchat import session
from bot.channels.webchat.context import sign
from bot.metrics import CHAT_PAGES
from bot.store.tables import Conversation
from tests.support.databases import SqliteTemplates
from tests.webchat.serving import Served, served
from tests.webchat.test_requests import P1, QUESTION, say

pytestmark = pytest.mark.integration

WWW = "https://www.force.example"
BLOG = "https://blog.force.example:8443"
KEY = "a key of thirty-two letters or more"
SETTINGS = {"webchat_origins": (WWW, BLOG), "webchat_page_key": KEY}
TOPIC = "report antisocial behaviour"
FOREIGN = [
    "https://evil.example", "http://www.force.example", "https://www.force.example:444", "https://force.example",
    "https://www.force.example.evil.example", "https://evil.example/https://www.force.example", "null", "",
    "https://blog.force.example", "https://www.force.example@evil.example", "https://" + "x" * 500,
]  # fmt: skip


@pytest.fixture
def listed(sqlite_templates: SqliteTemplates) -> Iterator[Served]:
    """A gateway whose chat may stand on two other origins."""
    url = sqlite_templates.fresh()
    with served(url, **SETTINGS) as found:
        yield found
    sqlite_templates.drop(url)


@pytest.fixture
def any_listed(database_url: str) -> Iterator[Served]:
    """The same on each kind of database."""
    with served(database_url, **SETTINGS) as found:
        yield found


def framed(site: Served, token: str | None = None, **headers: str) -> httpx.Client:
    """The frame of one person: what it sends, and no cookie."""
    sent = {
        "X-Chat-Token": token or session.new_token(),
        "Sec-Fetch-Site": "same-origin",
        "Origin": site.base,
    }
    return site.client(headers={**sent, **headers})


def policy(answer: httpx.Response, name: str) -> str:
    """One directive of a content security policy."""
    parts = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    [found] = [part for part in parts if part.split(" ")[0] == name]
    return found


def first_line(client: httpx.Client) -> dict[str, Any]:
    """The first line that the stream brings. It beats every second, so that this ends whatever happens."""
    is_message = False
    deadline = time.monotonic() + 60
    with client.stream("GET", "/chat/stream?after=0.0") as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("event: "):
                is_message = line == "event: message"
            elif line.startswith("data: ") and is_message:
                return dict(json.loads(line[6:]))
            assert time.monotonic() < deadline, "nothing came"
    raise AssertionError("the stream ended")


def signed(topic: str = TOPIC, days: float = 30, key: str = KEY) -> str:
    return sign(key, topic, datetime.now(UTC) + timedelta(days=days))


class TestWhosePages:
    """The script and the frame."""

    @pytest.mark.parametrize("origin", [WWW, BLOG])
    def test_a_listed_page_gets_the_script(self, listed: Served, origin: str) -> None:
        """For this origin by name, so that no cache hands it to another."""
        answer = listed.client().get("/chat/widget.js", headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert answer.headers["content-type"].startswith("text/javascript")
        assert listed.line("chat_widget_open") in answer.text

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_a_foreign_page_is_refused_and_told_why(self, listed: Served, origin: str) -> None:
        """The sentence names the setting: whoever embeds it reads it in the browser's tools."""
        answer = listed.client().get("/chat/widget.js", headers={"Origin": origin})
        assert answer.status_code == 403
        assert "FRONTCOUNTER_WEBCHAT_ORIGINS" in answer.json()["error"]
        assert "access-control-allow-origin" not in answer.headers
        assert "Chat with us" not in answer.text

    def test_our_own_page_needs_no_list(self, site: Served) -> None:
        """Neither by name nor unnamed."""
        for headers in ({}, {"Origin": site.base}):
            assert site.client().get("/chat/widget.js", headers=headers).status_code == 200
        assert site.client().get("/chat/widget.js", headers={"Origin": WWW}).status_code == 403

    def test_the_frame_names_exactly_the_list(self, listed: Served) -> None:
        """And the older header, which knows no list, is not beside it."""
        answer = listed.client().get(
            "/chat/frame", headers={"Sec-Fetch-Dest": "iframe", "Referer": WWW + "/"}
        )
        assert answer.status_code == 200
        assert policy(answer, "frame-ancestors") == f"frame-ancestors 'self' {BLOG} {WWW}"
        assert "x-frame-options" not in answer.headers
        assert "set-cookie" not in answer.headers
        assert policy(answer, "default-src") == "default-src 'none'"

    def test_no_other_page_of_ours_may_be_framed(self, listed: Served, site: Served) -> None:
        """The list is for the frame alone; without a list it is as closed as the rest."""
        for path in ("/chat", "/privacy", "/chat/replies", "/chat/static/webchat.js"):
            answer = listed.client().get(path)
            assert policy(answer, "frame-ancestors") == "frame-ancestors 'self'"
            assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        alone = site.client().get("/chat/frame")
        assert policy(alone, "frame-ancestors") == "frame-ancestors 'self'"
        assert alone.headers["x-frame-options"] == "SAMEORIGIN"

    def test_a_frame_on_a_foreign_page_is_refused_where_the_browser_names_it(self, listed: Served) -> None:
        """Where it does not, `frame-ancestors` keeps it empty (see the browser's tests)."""
        headers = {"Sec-Fetch-Dest": "iframe", "Referer": "https://evil.example/"}
        answer = listed.client().get("/chat/frame", headers=headers)
        assert answer.status_code == 403
        assert "FRONTCOUNTER_WEBCHAT_ORIGINS" in answer.json()["error"]

    def test_the_frame_holds_nothing_of_anybody(self, listed: Served) -> None:
        """Not even of whoever has a cookie of the chat's own page."""
        client = listed.client()
        say(client, "only for me")
        shown = client.get("/chat/frame").text
        assert "only for me" not in shown
        assert 'data-known="no"' in shown
        assert shown.index("call") < shown.index("automated assistant")

    def test_what_a_page_loads_is_packed_and_kept(self, listed: Served) -> None:
        """Packed for who can unpack it, whole for who cannot, and asked for again by its tag."""
        for path in ("/chat/widget.js", "/chat/static/frame.js", "/chat/static/webchat.js"):
            plain = listed.client().get(path, headers={"Accept-Encoding": "identity"})
            assert "content-encoding" not in plain.headers
            with listed.client().stream("GET", path, headers={"Accept-Encoding": "gzip"}) as packed:
                body = b"".join(packed.iter_raw())
            assert packed.headers["content-encoding"] == "gzip"
            assert gzip.decompress(body) == plain.content
            assert len(body) < len(plain.content) / 2
            assert "Accept-Encoding" in packed.headers["vary"]
            again = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
            assert listed.client().get(path, headers=again).status_code == 304


class TestMessages:
    """What the frame sends: the token in a header."""

    def test_is_stored_once_answered_and_never_given_a_cookie(self, any_listed: Served) -> None:
        """A known question, sent three times with one id."""
        client, identity = framed(any_listed), str(uuid.uuid4())
        for _ in range(3):
            answer = say(client, QUESTION, identity)
            assert (answer.status_code, answer.json()) == (200, {"ok": True})
            assert "set-cookie" not in answer.headers
        assert [row.text for row in any_listed.messages()] == [QUESTION]
        line = first_line(client)
        assert line["text"] == any_listed.gateway.core.content.current.answer("contact-101-wait")
        assert client.post("/chat/seen", json={"outbox": [line["id"]]}).status_code == 200
        assert [row.state for row in any_listed.outbox()] == ["delivered"]
        earlier = client.get("/chat/earlier").json()["lines"]
        assert [one["side"] for one in earlier] == ["person", "assistant"]
        [person] = any_listed.people()
        assert person.platform_id == session.person_of(client.headers["X-Chat-Token"])

    def test_five_messages_three_times_each_in_any_order_are_five(self, any_listed: Served) -> None:
        """Repeats and shuffles on four lines at once: nothing lost, nothing doubled, one person."""
        token = session.new_token()
        bodies = [{"id": f"message-{number}", "text": f"{QUESTION} {number}"} for number in range(5)]
        sent = bodies * 3
        random.Random(6).shuffle(sent)

        def post(body: dict[str, str]) -> int:
            headers = {"X-Chat-Token": token, "Sec-Fetch-Site": "same-origin"}
            with httpx.Client(
                base_url=any_listed.base, trust_env=False, timeout=60, headers=headers
            ) as client:
                return client.post("/chat/messages", json=body).status_code

        with ThreadPoolExecutor(4) as lines:
            assert set(lines.map(post, sent)) == {200}
        assert sorted(row.text for row in any_listed.messages()) == [body["text"] for body in bodies]
        any_listed.settle()
        assert len(any_listed.people()) == 1
        turns = [row.turn for row in any_listed.outbox()]
        assert turns
        assert len(turns) == len(set(turns))

    def test_a_cookie_beside_the_token_counts_for_nothing(self, listed: Served) -> None:
        """A frame on a page of the same site gets the cookie too: still it is another chat."""
        client = listed.client()
        say(client, "on the chat's own page")
        client.headers["X-Chat-Token"] = session.new_token()
        answer = say(client, "in the frame")
        assert "set-cookie" not in answer.headers
        assert [
            line["text"] for line in client.get("/chat/earlier").json()["lines"] if line["side"] == "person"
        ] == ["in the frame"]
        assert len(listed.people()) == 2

    @pytest.mark.parametrize("token", ["x", "y" * 42, "y" * 44, "y" * 42 + "!", ""])
    def test_what_is_no_token_is_refused(self, listed: Served, token: str) -> None:
        """400 and nothing stored; never the cookie's person instead."""
        client = listed.client()
        say(client, "mine")
        client.headers["X-Chat-Token"] = token
        assert say(client, "whose?").status_code == 400
        assert client.get("/chat/earlier").status_code == 400
        assert client.get("/chat/stream").status_code == 400
        assert len(listed.messages()) == 1

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": WWW},
        ],
    )  # fmt: skip
    def test_no_other_page_may_post_listed_or_not(self, listed: Served, headers: dict[str, str]) -> None:
        """The frame is ours; the page around it has no say in what is sent."""
        assert say(framed(listed, **headers), "hello there").status_code == 403
        assert listed.messages() == []

    def test_no_page_may_even_ask_whether_it_may(self, listed: Served) -> None:
        """A browser asks before it sends our header from elsewhere: nobody gets leave."""
        asks = {
            "Origin": WWW, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-chat-token,content-type",
        }  # fmt: skip
        for path in ("/chat/messages", "/chat/stream", "/chat/earlier", "/chat/seen"):
            answer = listed.client().options(path, headers=asks)
            assert not [name for name in answer.headers if name.startswith("access-control-")]

    def test_a_person_is_in_reach_and_staff_are_heard(self, listed: Served) -> None:
        """The button as a first message, and a moderator's reply."""
        client = framed(listed)
        answer = client.post("/chat/messages", json={"id": str(uuid.uuid4()), "button": "person"})
        assert answer.status_code == 200
        listed.answer_as_staff("Hello, how can I help?")
        lines = client.get("/chat/earlier").json()["lines"]
        assert "Hello, how can I help?" in [line["text"] for line in lines]
        assert "Mo Tester" not in json.dumps(lines)

    def test_danger_gets_its_words_while_the_assistant_is_away(self, listed: Served) -> None:
        """From the door, at once."""
        listed.rasa.down = True
        client = framed(listed)
        assert say(client, P1).status_code == 200
        line = first_line(client)
        assert line["side"] == "safety"
        assert line["text"].startswith(listed.line("block_999"))
        assert {"text": "999", "href": "tel:999"} in line["parts"]

    def test_danger_gets_its_words_while_the_store_is_down(self, listed: Served) -> None:
        """In the answer itself; the same id is taken later, once."""
        client, identity = framed(listed), str(uuid.uuid4())
        listed.break_store()
        answer = say(client, P1, identity)
        listed.mend_store()
        assert answer.status_code == 503
        assert answer.json()["words"].startswith(listed.line("block_999"))
        assert "set-cookie" not in answer.headers
        assert say(client, P1, identity).status_code == 200
        assert [row.text for row in listed.messages()] == [P1]


class TestThePageAround:
    """What a page with the chat says of itself."""

    def counted(self, result: str) -> float:
        return float(CHAT_PAGES.labels(result)._value.get())

    def test_is_kept_for_staff_and_changes_nothing_that_is_said(self, any_listed: Served) -> None:
        """Two people write the same, one of them from a page of danger: they are told the same."""
        topic = "someone is going to kill me with a knife"
        for page in (signed(topic), None):
            for text in (QUESTION, "purple monkey dishwasher"):
                client = framed(any_listed)
                say(client, text, page=page)
                any_listed.settle()
        rows = any_listed.rows(Conversation)
        assert [row.page for row in rows] == [topic, topic, None, None]
        ways = [(row.state, row.grade, row.category, row.reasons and row.reasons[0]["net"]) for row in rows]
        assert ways[:2] == ways[2:]
        by_chat: dict[int, list[str]] = {}
        for row in any_listed.outbox():
            by_chat.setdefault(row.conversation_id, []).append(row.text)
        texts = [by_chat.get(row.id, []) for row in rows]
        assert any(texts)
        assert texts[:2] == texts[2:]
        assert "knife" not in json.dumps([any_listed.rasa.turns, any_listed.rasa.understood])

    def test_the_newest_page_counts_and_a_message_without_one_changes_nothing(self, listed: Served) -> None:
        """A person goes on to another page of the force."""
        client = framed(listed)
        say(client, "hello there", page=signed("lost property"))
        say(client, "hello again", page=signed(TOPIC))
        say(client, "and again")
        assert listed.rows(Conversation)[0].page == TOPIC

    @pytest.mark.parametrize(
        ("page", "why"),
        [
            (lambda: signed(key="another key of thirty-two letters"), "signature"),
            (lambda: signed()[:-1] + "_", "signature"),
            (lambda: signed(days=-1), "expired"),
            (lambda: "report antisocial behaviour", "form"),
            (lambda: "x" * 5000, "form"),
            (lambda: "\u202e.\0", "form"),
        ],
    )
    def test_a_forged_or_old_one_is_noted_and_never_an_error(
        self, listed: Served, page: Any, why: str
    ) -> None:
        """The person is answered as ever, and staff are shown nothing."""
        before = self.counted(why)
        client = framed(listed)
        answer = say(client, QUESTION, page=page())
        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert listed.rows(Conversation)[0].page is None
        assert self.counted(why) == before + 1
        assert first_line(client)["side"] == "assistant"

    @pytest.mark.parametrize("page", [7, True, {"topic": "x"}, ["x"], "", None])
    def test_what_is_no_word_at_all_is_left_out(self, listed: Served, page: object) -> None:
        """Whatever stands there, the message is taken."""
        assert say(framed(listed), "hello there", page=page).status_code == 200
        assert listed.rows(Conversation)[0].page is None

    def test_without_a_key_nobody_is_believed(self, site: Served) -> None:
        """A force that signs nothing is shown nothing."""
        assert say(site.client(), "hello there", page=signed()).status_code == 200
        assert site.rows(Conversation)[0].page is None
