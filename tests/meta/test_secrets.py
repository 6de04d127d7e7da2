"""Nobody reads a token, an id of a person's or their words in a log or a record of attempts."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from bot.store.tables import Attempt, Audit, Event, Message, Outbox
from tests.meta.serving import NAMES, meta_side
from tests.platforms.graph import events
from tests.support.world import P1, PLAIN

pytestmark = pytest.mark.integration

WORDS = "the secret words of ann"


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that any library or room of ours would write at the lowest level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    # The driver's own log of every statement has what a test looks up by hand.
    statements = logging.getLogger("aiosqlite")
    statements.setLevel(logging.INFO)
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    try:
        yield stream
    finally:
        structlog.configure(**before)
        statements.setLevel(logging.NOTSET)
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.mark.parametrize("name", NAMES)
def test_no_log_and_no_record_holds_a_secret_or_peoples_words(name: str, sqlite_url: str) -> None:
    """Whatever Meta answers, and whatever level is set."""
    with everything_logged() as logged, meta_side(name, sqlite_url) as side:
        ann = side.person()
        side.inject(ann.says(WORDS), ann.says(PLAIN))
        side.stored(ann.id, 2)
        for kind in ("100:1", "551:1", "613:1", "500", "503", "cut", "garbage", "10:2018300"):
            side.faults(
                {"path": "me/messages", "kind": kind}, {"path": "sender_action", "kind": kind},
                {"path": "me", "kind": kind},
            )  # fmt: skip
            person = side.person()
            side.inject(person.says(WORDS))
            side.stored(person.id)
            side.until(
                lambda who=person: any(r.attempts for r in side.outbox(who.id)),  # type: ignore[misc]
                "an attempt",
            )
            side.run(side.platform.reachable())
        odd = ann.message(text=WORDS)
        odd["timestamp"] = 10**400
        side.inject(ann.is_told(WORDS), ann.sends(events.IMAGE, text=WORDS))
        assert side.post(side.body(odd, {"sender": WORDS, "message": [WORDS]})).status_code == 200
        assert side.post(side.body(ann.says(WORDS)), "sha256=0").status_code == 403
        side.taken()
        side.set_state(token="another")
        side.inject(ann.says(P1))
        side.stored(ann.id, 5)
        side.run(side.platform.reachable())
        record = str([side.rows(table) for table in (Attempt, Audit, Event)])
        details = str([(r.detail, r.state) for r in side.rows(Outbox)])
        assert WORDS in str(side.rows(Message))
        said = logged.getvalue()

    assert name in said
    for text in (said, record, details):
        for secret in (side.app.token, side.app.app_secret, side.app.verify_token, WORDS):
            assert secret not in text
    assert ann.id not in said
    assert "appsecret_proof" not in said
