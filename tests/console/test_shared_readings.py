"""Two who see the same and ask at the same moment share a reading; each is shown only what is theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from bot.console.lists import Lists
from bot.console.looks import Looks
from bot.handover.queue import sight_of
from tests.console.serving import TEAMS, Browser, Desk
from tests.support.world import P1, P1_OTHER, P2_HIDDEN, P3

pytestmark = pytest.mark.integration


def one_reading(
    monkeypatch: pytest.MonkeyPatch, of: type[Any], name: str, key: Callable[..., Hashable]
) -> dict[Hashable, Any]:
    """Let all who ask for the same be answered by the first reading, as those are who ask at once."""
    ask, kept = getattr(of, name), dict[Hashable, Any]()

    async def once(self: Any, *what: Any, **how: Any) -> Any:
        if key(*what) not in kept:
            kept[key(*what)] = await ask(self, *what, **how)
        return kept[key(*what)]

    monkeypatch.setattr(of, name, once)
    return kept


def mo_and_kim(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> tuple[Browser, Browser]:
    """Two moderators of the same teams."""
    monkeypatch.setitem(TEAMS, "kim", TEAMS["mo"])
    desk.hire("kim")
    return desk.browser("mo"), desk.browser("kim")


def mark(text: str) -> str:
    found = re.search(r'id="(?:rows|alarms)-mark" name="have" value="(\w+)"', text)
    assert found
    return found[1]


def tokens(text: str) -> set[str]:
    return set(re.findall(r'name="csrf" value="([^"]+)"', text))


def test_one_reading_of_the_lists_shows_each_reader_what_is_theirs(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = any_desk
    # Before anybody is there: a chat goes to a team that has somebody on shift, and that team is not asked why.
    hidden, calm, theirs = desk.say(f"{P2_HIDDEN} agrimony"), desk.say(P3, "bob"), desk.say(P3, "cat")
    mo, kim = mo_and_kim(desk, monkeypatch)
    assert kim.do(theirs, "claim", epoch=theirs.epoch).status_code == 204
    assert kim.post(f"/desk/c/{hidden.id}/reason", reason="She is at the front counter.").status_code == 200
    assert kim.do(calm, "viewing").status_code == 200
    own = {"mo": tokens(mo.get("/desk/queue").text), "kim": tokens(kim.get("/desk/queue").text)}
    kept = one_reading(monkeypatch, Lists, "shared", lambda actor, filters, **_: (sight_of(actor), filters))
    marks: dict[str, set[str]] = {"mo": set(), "kim": set()}
    for name, browser in (("mo", mo), ("kim", kim), ("mo", mo), ("kim", kim)):
        text = browser.get("/desk/queue/rows").text
        is_mo = name == "mo"
        assert hidden.reference in text
        assert ("agrimony" not in text) is is_mo
        assert ("you are asked why" in text) is is_mo
        assert ("Being read by Kim Tester" in text) is is_mo
        assert ("With somebody else (1)" in text) is is_mo
        assert ("Yours (1)" in text) is not is_mo
        assert tokens(text) == own[name]
        marks[name].add(mark(text))
    assert len(kept) == 1
    assert own["mo"] != own["kim"]
    assert [len(one) for one in marks.values()] == [1, 1]
    assert marks["mo"] != marks["kim"]


def test_one_reading_of_the_alarms_rings_only_where_it_has_to(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = any_desk
    mo, kim = mo_and_kim(desk, monkeypatch)
    row = desk.say(P1)
    assert mo.do(row, "claim", epoch=row.epoch).status_code == 204
    desk.say("he has stabbed someone")
    waits = desk.say(P1_OTHER, "bob")
    own = {"mo": tokens(mo.get("/desk/queue").text), "kim": tokens(kim.get("/desk/queue").text)}
    kept = one_reading(monkeypatch, Looks, "danger", lambda sight: sight)
    marks: dict[str, str] = {}
    for name, browser in (("kim", kim), ("mo", mo), ("kim", kim), ("mo", mo)):
        text = browser.get("/desk/alarms").text
        assert f'id="alarm-{waits.id}"' in text
        assert (f'id="alarm-{row.id}"' in text) is (name == "mo")
        assert tokens(text) == own[name]
        assert marks.setdefault(name, mark(text)) == mark(text)
    assert len(kept) == 1
    assert mo.get(f"/desk/alarms?have={marks['mo']}").status_code == 204
    assert mo.get(f"/desk/alarms?have={marks['kim']}").status_code == 200
