"""The token is in every address of the Bot API, and in nothing that anybody may read."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from bot.store.tables import Attempt, Audit, Event, Message, Outbox
from tests.support.databases import SqliteTemplates
from tests.support.world import P1, PLAIN
from tests.telegram.serving import SECRET, TOKEN, telegram_side

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
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.mark.parametrize("mode", ["webhook", "poll"])
def test_no_log_and_no_record_holds_the_token_or_peoples_words(
    sqlite_templates: SqliteTemplates, mode: str
) -> None:
    """Whatever Telegram answers, and whatever level is set."""
    with everything_logged() as logged, telegram_side(sqlite_templates.fresh(), mode) as side:
        ann = side.person()
        side.inject(ann.says(WORDS), ann.says(PLAIN))
        side.stored(ann, 2)
        for kind in ("400", "403", "429", "500", "502", "503", "cut", "garbage"):
            side.http.post(
                "/control/faults",
                json=[
                    {"method": m, "kind": kind, "seconds": 1} for m in ("sendMessage", "getUpdates", "getMe")
                ],
            )
            person = side.person()
            side.inject(person.says(WORDS))
            side.stored(person)
            side.until(
                lambda who=person: any(r.attempts for r in side.outbox(who)),  # type: ignore[misc]
                "an attempt",
            )
            side.run(side.first.telegram.reachable())
        broken = ann.message(text=WORDS, message_id=900)
        broken["message"]["entities"] = 7
        side.inject(broken)
        side.set_state(token="1:another")
        side.inject(ann.says(P1))
        side.run(side.first.telegram.reachable())
        tables = (Attempt, Audit, Event, Outbox)
        record = str([side.rows(table) for table in tables])
        assert WORDS in str(side.rows(Message))
        said = logged.getvalue()

    assert "telegram" in said
    for text in (said, record):
        assert TOKEN not in text
        assert TOKEN.partition(":")[2] not in text
        assert SECRET not in text
        assert WORDS not in text
    assert str(ann.chat) not in said
