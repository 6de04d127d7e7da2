"""What cannot have changed on a page is not fetched anew, and whatever may have changed is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.dialects import postgresql

from bot.console.concerns import unaltered
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
ALERT: tuple[str, dict[str, Any]] = ("alert", {"grade": "P2", "owner": None})


def test_what_the_assistant_talks_about_is_in_no_list() -> None:
    assert parts(RECEIVED, ("turn.done", {}), ("outbox.queued", {}), state="bot") == {"queue", "banner"}
    assert parts(("outbox.state", {"state": "read"}), state="human", owner=SOMEBODY) == {"queue", "banner"}


def test_whatever_moves_a_chat_brings_the_lists_anew() -> None:
    assert "queue" not in parts(RECEIVED)
    assert "queue" not in parts(("conversation.owner", {"was": SOMEBODY, "owner": None}), state="bot")
    assert "queue" not in parts(("a kind of later", {}), state="bot")


@pytest.mark.parametrize(
    "told",
    [
        parts(RECEIVED, ALERT, grade="P1"),
        parts(RECEIVED, state="human", owner=ME),
        parts(("conversation.owner", {"was": ME, "owner": SOMEBODY}), state="human", owner=SOMEBODY),
        parts(RECEIVED, role="supervisor"),
        parts(("conversation.grade", {})),
        parts(("a kind of later", {})),
    ],
)
def test_the_banner_comes_anew_where_it_may_say_something_else(told: set[str]) -> None:
    assert "banner" not in told


def test_a_p2_that_waits_leaves_the_banner_of_a_moderator() -> None:
    assert parts(RECEIVED, ALERT, ("conversation.escalated", {"moved": True}), grade="P2") == {"banner"}


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
