"""Nobody reads a key, a mark of a person or their words in a log, a record of attempts or an answer."""

from __future__ import annotations

import pytest

from bot.store.tables import Attempt, Audit, Event, Message, Outbox
from tests.meta.test_secrets import WORDS, everything_logged
from tests.platforms.site import OTHER_SECRET, SECRET, headers_of
from tests.support.world import P1, PLAIN
from tests.webhook.serving import site_side

pytestmark = pytest.mark.integration


def test_no_log_and_no_record_holds_a_key_or_peoples_words(sqlite_url: str) -> None:
    """Whatever the site sends or answers, and whatever level is set."""
    with everything_logged() as logged, site_side(sqlite_url) as side:
        ann = side.person("a-thread-of-hers")
        ann.id = "member-of-the-board-77"
        key = "member-of-the-board-77 a-thread-of-hers"
        side.inject(ann.says(WORDS), ann.says(PLAIN))
        side.stored(key, 2)
        for kind in ("400", "429", "500", "301", "cut", "garbage"):
            side.fault(kind)
            person = side.person()
            side.inject(person.says(WORDS))
            side.stored(person.id)
            side.until(
                lambda who=person: any(r.attempts for r in side.outbox(who.id)),  # type: ignore[misc]
                "an attempt",
            )
            side.fault(kind)
            side.run(side.site.reachable())
        answers = [
            side.post(side.body({**ann.says(WORDS), "sent_at": WORDS}, {WORDS: 1}, {"type": WORDS})),
            side.post(side.body(ann.says(WORDS)), headers_of(b"other")),
            side.post(side.body(ann.says(WORDS)), headers_of(side.body(ann.says(WORDS)), OTHER_SECRET)),
            side.post(b'{"version":1,"events":"' + WORDS.encode() + b'"}'),
        ]
        assert [answer.status_code for answer in answers] == [400, 401, 401, 400]
        first = ann.says(P1)
        side.inject(first)
        side.stored(key, 3)
        answers.append(side.post(side.body({**first, "text": WORDS})))
        assert answers[-1].status_code == 409
        side.taken()
        record = str([side.rows(table) for table in (Attempt, Audit, Event)])
        details = str([(row.detail, row.state) for row in side.rows(Outbox)])
        assert WORDS in str(side.rows(Message))
        said = logged.getvalue()

    assert "site-forum" in said
    for text in (said, record, details, *(answer.text for answer in answers)):
        for secret in (SECRET, SECRET.removeprefix("whsec_"), WORDS):
            assert secret not in text
    assert "member-of-the-board-77" not in said + record + details
    assert "a-thread-of-hers" not in said + record + details
    assert "/front-counter" not in said
