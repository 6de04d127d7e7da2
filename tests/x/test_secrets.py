"""Nobody reads a key, an id of a person's or their words in a log or a record of attempts."""

from __future__ import annotations

import json

import pytest

from bot.store.tables import Attempt, Audit, Bookmark, Event, Message, Outbox, Standing
from tests.meta.test_secrets import WORDS, everything_logged
from tests.platforms.x import App, events
from tests.platforms.x.server import BEARER
from tests.support.world import P1, PLAIN
from tests.x.serving import x_side

pytestmark = pytest.mark.integration


def test_no_log_and_no_record_holds_a_secret_or_peoples_words(sqlite_url: str) -> None:
    """Whatever X answers, and whatever level is set."""
    app = App(client_secret="loopback-client_secret_of_oauth_2")
    with everything_logged() as logged, x_side(sqlite_url, _app=app) as side:
        ann = side.person()
        side.inject(ann.says(WORDS), ann.says(PLAIN))
        side.stored(ann.id, 2)
        for kind in ("403", "code:349", "429", "500", "503", "cut", "garbage", "401"):
            side.faults(*({"path": path, "kind": kind} for path in ("send", "2/users/me", "2/dm_events")))
            person = side.person()
            side.inject(person.says(WORDS))
            side.stored(person.id)
            side.until(
                lambda who=person: any(r.attempts for r in side.outbox(who.id)),  # type: ignore[misc]
                "an attempt",
            )
            side.run(side.platform.reachable())
        body = json.loads(side.body(ann.sends(events.PHOTO, WORDS), ann.is_told(WORDS)))
        odd = body["data"]["payload"]["direct_message_events"]
        odd[0]["message_create"]["message_data"]["entities"] = WORDS
        odd += [{"message_create": WORDS}, {"id": WORDS, "message_create": {"sender_id": WORDS}}]
        assert side.post(json.dumps(body).encode()).status_code == 200
        assert side.post(side.body(ann.says(WORDS)), "sha256=0").status_code == 403
        side.inject(ann.says(WORDS, group=True), ann.is_told(WORDS))
        side.taken()
        side.set_state(token="another")
        side.inject(ann.says(P1))
        side.until(lambda: any(m.text == P1 for m in side.messages(ann.id)), "the danger")
        side.run(side.platform.reachable())
        record = str([side.rows(table) for table in (Attempt, Audit, Event, Bookmark, Standing)])
        details = str([(r.detail, r.state) for r in side.rows(Outbox)])
        assert WORDS in str(side.rows(Message))
        said = logged.getvalue()

    assert "x." in said
    for text in (said, record, details):
        for secret in (
            app.consumer_key, app.app_secret, app.access_token, app.access_secret, app.client_secret, BEARER, WORDS,
        ):  # fmt: skip
            assert secret not in text
    assert ann.id not in said
    assert "oauth_signature" not in said
