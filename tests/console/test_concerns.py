"""What cannot have changed on a page is not fetched anew, and whatever may have changed is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.dialects import postgresql

from bot.console.concerns import is_pressing, unaltered
from bot.handover.queue import sight_of, visible
from bot.messages import Actor

pytestmark = pytest.mark.unit
ME, SOMEBODY = 1, 2


def parts(
    *events: tuple[str, dict[str, Any]], state: str = "waiting", grade: str = "P3", owner: int | None = None,
    role: str = "moderator",
) -> set[str]:  # fmt: skip
    """The parts that stay as they are for a moderator."""
    chat = cast(Any, SimpleNamespace(state=state, grade=grade, owner_id=owner))
    rows = cast(Any, [SimpleNamespace(kind=kind, data=data) for kind, data in events])
    return set(unaltered(rows, chat, ME, role))


RECEIVED: tuple[str, dict[str, Any]] = ("message.received", {"message": 1})
ALL = {"queue", "banner", "own"}
ALERT: tuple[str, dict[str, Any]] = ("alert", {"grade": "P2", "owner": None})


def test_what_the_assistant_talks_about_is_in_no_list() -> None:
    assert parts(RECEIVED, ("turn.done", {}), ("outbox.queued", {}), state="bot") == ALL
    assert parts(("outbox.state", {"state": "read"}), state="human", owner=SOMEBODY) == ALL
    # What was hidden under a post is seen on the chat's page, and how many wait by supervisors.
    assert parts(("comment.changed", {"comment": 1})) == ALL
    assert parts(("comment.changed", {"comment": 1}), role="supervisor") == {"queue", "banner"}


def test_whatever_moves_a_chat_brings_the_lists_anew() -> None:
    assert "queue" not in parts(RECEIVED)
    assert "queue" not in parts(("conversation.owner", {"was": SOMEBODY, "owner": None}), state="bot")
    assert "queue" not in parts(("a kind of later", {}), state="bot")


@pytest.mark.parametrize(
    "told",
    [
        parts(RECEIVED, ALERT, grade="P1"),
        parts(RECEIVED, ALERT, grade="P1", state="human", owner=SOMEBODY, role="supervisor"),
        parts(("conversation.owner", {"owner": SOMEBODY}), grade="P1", state="human", owner=SOMEBODY),
        parts(RECEIVED, grade="P2", state="human", owner=ME),
        parts(RECEIVED, ALERT, grade="P2", state="human", owner=SOMEBODY, role="supervisor"),
        parts(("conversation.grade", {})),
        parts(("a kind of later", {})),
    ],
)
def test_the_alarms_come_anew_where_they_may_say_something_else(told: set[str]) -> None:
    assert "banner" not in told


@pytest.mark.parametrize(
    "told",
    [
        parts(RECEIVED, state="human", owner=ME),
        parts(RECEIVED, ALERT, grade="P1", state="human", owner=ME),
        parts(("conversation.owner", {"was": ME, "owner": SOMEBODY}), state="human", owner=SOMEBODY),
        parts(("alert", {"reason": "given", "to": ME}), state="human", owner=SOMEBODY),
        parts(("conversation.owner", {"owner": SOMEBODY, "offered": "team"}), state="human", owner=SOMEBODY),
        parts(("conversation.approval", {})),
        parts(RECEIVED, role="supervisor"),
        parts(("outbox.state", {}), role="supervisor"),
        parts(("conversation.grade", {})),
        parts(("a kind of later", {})),
    ],
)
def test_what_one_reader_owes_comes_anew_where_it_may_be_something_else(told: set[str]) -> None:
    assert "own" not in told


def test_a_p2_that_waits_leaves_the_banner_of_a_moderator() -> None:
    escalated: tuple[str, dict[str, Any]] = ("conversation.escalated", {"moved": True})
    assert parts(RECEIVED, ALERT, escalated, grade="P2") == {"banner", "own"}
    # A P1 rings, and is nothing that somebody else owes.
    assert parts(RECEIVED, ALERT, escalated, grade="P1") == {"own"}


@pytest.mark.parametrize(
    ("kinds", "grade", "state", "pressing"),
    [
        ({"message.received"}, "P1", "waiting", True),
        ({"message.received", "turn.done"}, "P2", "human", True),
        ({"conversation.escalated", "alert"}, "P2", "waiting", True),
        ({"conversation.owner"}, "P2", "waiting", True),
        ({"conversation.owner"}, "P1", "human", False),
        ({"outbox.state"}, "P1", "waiting", False),
        ({"conversation.escalated"}, "P3", "waiting", False),
        ({"message.received"}, None, "bot", False),
    ],
)
def test_danger_waits_for_no_pause(kinds: set[str], grade: str | None, state: str, pressing: bool) -> None:
    chat = cast(Any, SimpleNamespace(state=state, grade=grade, owner_id=None))
    assert is_pressing(kinds, chat) is pressing


@pytest.mark.parametrize("role", ["moderator", "supervisor", "comms", "admin"])
def test_those_with_the_same_role_and_teams_see_the_same(role: str) -> None:
    """One reading answers them all: so nothing else may decide what is seen."""

    def asked(actor: Actor) -> str:
        found = visible(actor).compile(
            dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}  # type: ignore[no-untyped-call]
        )  # fmt: skip
        return str(found)

    teams = frozenset({"digital_desk", "safeguarding"})
    mo, jo = Actor("Mo", 1, role, teams), Actor("Jo", 2, role, teams)
    assert sight_of(mo) == sight_of(jo)
    assert asked(mo) == asked(jo) == asked(sight_of(mo))
    assert sight_of(mo) != sight_of(Actor("Mo", 1, role, teams | {"intelligence"}))
