"""Who writes too fast is asked to wait; who is in danger never is."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator
from unittest import mock

import pytest

from bot.channels.webchat import routes
from bot.channels.webchat.limits import REMEMBERED, Limits
from bot.store.tables import Message
from tests.support.databases import SqliteTemplates
from tests.webchat.serving import Served, served
from tests.webchat.test_requests import P1, QUESTION, say

P2 = "my ex is stalking me"


@pytest.fixture
def slow_site(sqlite_templates: SqliteTemplates) -> Iterator[Served]:
    """Three messages a minute for one person, and five for one address; no time goes by for them."""
    url = sqlite_templates.fresh()
    still = functools.partial(Limits, clock=lambda: 0.0)
    with (
        mock.patch.object(routes, "Limits", still),
        served(url, chat_per_person=3, chat_per_address=5) as found,
    ):
        yield found
    sqlite_templates.drop(url)


@pytest.mark.integration
class TestOverHttp:
    """What the page is told."""

    def test_one_person(self, slow_site: Served) -> None:
        client = slow_site.client()
        start = "s" * 43
        answers = [say(client, f"{QUESTION} {number}", start=start) for number in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused = answers[-1]
        said = slow_site.gateway.core.content.current.line("slow_down")
        assert refused.json()["words"] == said
        assert "999" in said
        assert {"text": "999", "href": "tel:999"} in refused.json()["parts"]
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert len(slow_site.rows(Message)) == 3

    def test_one_address(self, slow_site: Served) -> None:
        """Another device is another person, and still the same address."""
        clients = [slow_site.client() for _ in range(6)]
        answers = [say(client, QUESTION) for client in clients]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]

    def test_the_address_that_our_proxy_writes_counts_only_where_there_is_one(
        self, slow_site: Served, sqlite_templates: SqliteTemplates
    ) -> None:
        def asked(site: Served) -> list[int]:
            clients = [site.client() for _ in range(6)]
            for number, client in enumerate(clients):
                client.headers["X-Real-IP"] = f"192.0.2.{number}"
            return [say(client, QUESTION).status_code for client in clients]

        assert asked(slow_site) == [200] * 5 + [429]
        url = sqlite_templates.fresh()
        with served(url, chat_per_address=1, behind_proxy=True) as site:
            assert asked(site) == [200] * 6
            assert asked(site) == [429] * 6
        sqlite_templates.drop(url)

    def test_danger_is_always_taken(self, slow_site: Served) -> None:
        client = slow_site.client()
        start = "s" * 43
        for number in range(4):
            say(client, f"{QUESTION} {number}", start=start)
        assert [say(client, text, start=start).status_code for text in (P1, P2, QUESTION)] == [200, 200, 429]
        texts = [row.text for row in slow_site.rows(Message)]
        assert texts[3:] == [P1, P2]

    def test_the_form_keeps_what_was_typed(self, slow_site: Served) -> None:
        client = slow_site.client()
        fields = {"start": "s" * 43, "view": ""}
        answers = [
            client.post("/chat", data={**fields, "id": uuid.uuid4().hex, "text": f"{QUESTION} {number}"})
            for number in range(4)
        ]
        assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
        page = answers[-1].text
        assert slow_site.gateway.core.content.current.line("slow_down").split(". ")[0] in page
        assert f"{QUESTION} 3" in page
        danger = client.post("/chat", data={**fields, "id": uuid.uuid4().hex, "text": P1})
        assert danger.status_code == 303


class Clock:
    """Time, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.unit
class TestBuckets:
    """A minute's worth at once, then the even pace."""

    def test_it_fills_again(self) -> None:
        clock = Clock()
        limits = Limits(6, 1000, clock=clock)
        assert [limits.wait_seconds("ann", "a") for _ in range(6)] == [0.0] * 6
        assert limits.wait_seconds("ann", "a") == pytest.approx(10.0)
        assert limits.wait_seconds("bob", "a") == 0.0
        clock.now += 4
        assert limits.wait_seconds("ann", "a") == pytest.approx(6.0)
        clock.now += 6.01
        assert limits.wait_seconds("ann", "a") == 0.0
        assert limits.wait_seconds("ann", "a") > 9

    def test_a_refused_message_counts_nowhere(self) -> None:
        """Who is refused by their own limit does not use up the address."""
        limits = Limits(1, 2, clock=Clock())
        assert limits.wait_seconds("ann", "a") == 0.0
        for _ in range(5):
            assert limits.wait_seconds("ann", "a") > 0
        assert limits.wait_seconds("bob", "a") == 0.0
        assert limits.wait_seconds("cat", "a") > 0

    def test_the_second_half_of_an_address_does_not_count(self) -> None:
        limits = Limits(10, 1, clock=Clock())
        assert limits.wait_seconds("ann", "2001:db8:1:2::1") == 0.0
        assert limits.wait_seconds("bob", "2001:db8:1:2:ffff::9") > 0
        assert limits.wait_seconds("cat", "2001:db8:1:3::1") == 0.0

    def test_an_ipv4_address_that_a_listener_of_ipv6_shows_counts_by_itself(self) -> None:
        limits = Limits(10, 1, clock=Clock())
        assert limits.wait_seconds("ann", "::ffff:192.0.2.1") == 0.0
        assert limits.wait_seconds("bob", "::ffff:192.0.2.1") > 0
        assert limits.wait_seconds("cat", "::ffff:192.0.2.2") == 0.0

    def test_a_moment_of_standing_still_refuses_nobody(self) -> None:
        """The only bucket is full again before it was looked at: a busy machine stops for longer."""
        steps = iter(range(0, 10_000, 10))
        limits = Limits(600, 12_000, clock=lambda: float(next(steps)))
        assert [limits.wait_seconds("ann", "a") for _ in range(3)] == [0.0] * 3

    def test_it_does_not_grow_for_ever(self) -> None:
        limits = Limits(10, 10**9, clock=Clock())
        for number in range(REMEMBERED + 100):
            limits.wait_seconds(f"person {number}", "a")
        assert len(limits._people._held) == REMEMBERED
