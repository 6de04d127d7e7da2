"""Figures: they add up, they hold nothing personal, and nobody's sealed chats are counted for others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import JSON, String, Text, func, insert, select, update

from bot.assurance.figures import (
    FEW,
    OTHER,
    Chosen,
    Names,
    Table,
    as_csv,
    choose,
    hidden_small,
    percentile,
    periods,
    read_figures,
    safe_cell,
)
from bot.errors import RefusedError
from bot.messages import Actor
from bot.store.record import add_audit, now
from bot.store.tables import Audit, Base, Conversation, Message, Outbox, Person
from tests.console.conftest import any_desk  # noqa: F401  a fixture
from tests.console.serving import Desk
from tests.support.passwords import light_passwords  # noqa: F401  a fixture
from tests.support.world import P1, P3, PLAIN, World

pytestmark = pytest.mark.integration

LONDON = ZoneInfo("Europe/London")
TODAY = Chosen("day", date(2026, 11, 24), date(2026, 11, 24))
SUE = Actor("Sue", 1, "supervisor", frozenset({"digital_desk", "control_room"}))
STRANGE = "Ж"
"""A letter that no word of ours has."""


def names(world: World) -> Names:
    content = world.core.content.current
    return Names(
        {key: one.name for key, one in world.core.screen.categories.items()},
        {key: str(one["title"]) for key, one in content.outcomes.items()},
        {key: str(one.get("name", key)) for key, one in content.contacts.items()},
    )


async def figures(world: World, chosen: Chosen = TODAY, actor: Actor = SUE) -> dict[str, Table]:
    async with world.store.read() as connection:
        found = await read_figures(connection, actor, chosen, LONDON, names(world))
    return {table.key: table for table in found}


def sums(table: Table) -> dict[str, int]:
    return dict(zip(table.columns, table.totals, strict=True))


def column(table: Table) -> dict[str, int | None]:
    return {name: values[0] for name, values in table.rows}


# ---- periods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "first", "last", "count", "begins"),
    [
        ("hour", date(2026, 10, 25), date(2026, 10, 25), 25, "2026-10-24T23:00"),  # the clocks go back
        ("hour", date(2026, 3, 29), date(2026, 3, 29), 23, "2026-03-29T00:00"),  # the clocks go forward
        ("day", date(2026, 10, 24), date(2026, 10, 26), 3, "2026-10-23T23:00"),
        ("week", date(2026, 11, 5), date(2026, 11, 24), 4, "2026-11-05T00:00"),  # a Thursday, then Mondays
    ],
)
def test_periods_follow_the_forces_clock(by: str, first: date, last: date, count: int, begins: str) -> None:
    found = periods(Chosen(by, first, last), LONDON)
    assert len(found.starts) == len(found.labels) == count
    assert f"{found.starts[0]:%Y-%m-%dT%H:%M}" == begins
    assert found.of(found.starts[-1]) == count - 1
    assert found.of(found.starts[-1] - timedelta(seconds=1)) == max(0, count - 2)


def test_a_choice_that_cannot_be_is_refused() -> None:
    today = date(2026, 11, 24)
    assert choose("", "", "", today=today).first == date(2026, 11, 11)
    for by, first, last in (
        ("minute", "", ""), ("day", "2026-11-24", "2026-11-01"), ("day", "x", ""), ("day", "2020-01-01", ""),
        ("hour", "2026-11-01", "2026-11-24"), ("day", "0001-01-01", "0001-01-02"), ("week", "", "0001-01-01"),
    ):  # fmt: skip
        with pytest.raises(RefusedError):
            choose(by, first, last, today=today)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([], 90) is None
    assert percentile([7], 90) == 7
    assert percentile(range(1, 11), 90) == 9
    assert percentile([1, 1, 1, 1, 1, 1, 1, 1, 1, 100], 90) == 1


# ---- counting ---------------------------------------------------------------------------------------


async def test_the_figures_add_up_to_the_messages_on_record(world: World) -> None:
    mo = await world.hire("mo")
    await world.sit(mo)
    await world.say(PLAIN, "ann")
    await world.say(P1, "bob")
    row = await world.owned(mo, P3, "cas")
    world.move(minutes=5)
    await world.core.desk.reply(row.id, mo, "A person answers.")
    await world.settle()
    found = await figures(world)
    messages = sums(found["messages"])
    assert messages["Messages in"] == len(await world.rows(Message)) == 3
    sent = [one for one in await world.rows(Outbox) if one.state in ("sent", "delivered", "read")]
    assert sum(messages.values()) - messages["Messages in"] == len(sent)
    assert messages["From staff"] == 1
    assert messages["From the assistant"] == sum(one.kind == "assistant" for one in sent) > 0
    assert messages["Safety words"] == sum(one.kind == "safety" for one in sent) > 0
    assert sums(found["handed_over"]) == {"P1": 1, "P2": 0, "P3": 1, "P4": 0}
    assert sums(found["chats"]) == {"Answered by the assistant alone": 1, "Reached a person": 2}
    assert sum(value or 0 for value in column(found["categories"]).values()) == 2
    waits = {grade: values for grade, values in found["first_reply"].rows}
    assert waits["P3"] == [300, 300]
    assert waits["P1"] == [None, None]


async def test_the_first_reply_counts_from_the_hand_over_and_only_the_first(world: World) -> None:
    mo = await world.hire("mo")
    await world.sit(mo)
    for person, minutes in (("ann", 1), ("bob", 3), ("cas", 30)):
        row = await world.owned(mo, P3, person)
        world.move(minutes=minutes)
        await world.core.desk.reply(row.id, mo, "Hello.")
        world.move(minutes=9)
        await world.core.desk.reply(row.id, mo, "Hello again.")
    found = await figures(world)
    waits = {grade: values for grade, values in found["first_reply"].rows}
    assert waits["P3"] == [180, 1800]
    assert column(found["first_replies"])["P3"] == 3


async def test_outcomes_signposting_and_the_way_of_the_time(world: World) -> None:
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.owned(mo, PLAIN, "ann")
    world.move(minutes=10)
    outcome = world.core.content.current.outcomes["signposted_other_agency"]
    groups = set(outcome["agency"])
    agency = next(
        key for key, one in world.core.content.current.contacts.items() if one.get("group") in groups
    )
    await world.core.desk.close(row.id, mo, "signposted_other_agency", agency=agency)
    found = await figures(world)
    assert column(found["outcomes"]) == {"Sent to another agency": 1}
    name = world.core.content.current.contacts[agency]["name"]
    assert column(found["agencies"]) == {name: 1}
    assert column(found["times"]) == {"With the assistant": 0, "Waiting": 0, "With a person": 600}


async def test_team_channel_and_days_narrow_the_figures(world: World) -> None:
    await world.say(PLAIN, "ann")
    await world.say(P1, "bob")
    world.move(hours=24)
    await world.say(PLAIN, "cas")
    assert sums((await figures(world))["messages"])["Messages in"] == 2
    both = Chosen("hour", date(2026, 11, 24), date(2026, 11, 25))
    table = (await figures(world, both))["messages"]
    assert sums(table)["Messages in"] == 3
    assert [label for label, values in table.rows if values[0]] == ["Tue 24 Nov, 12:00", "Wed 25 Nov, 12:00"]
    team = Chosen("day", date(2026, 11, 24), date(2026, 11, 25), team="control_room")
    assert sums((await figures(world, team))["messages"])["Messages in"] == 1
    other = Chosen("day", date(2026, 11, 24), date(2026, 11, 25), channel="webchat")
    assert sums((await figures(world, other))["messages"])["Messages in"] == 0


@pytest.mark.parametrize(("team", "sealed"), [("intelligence", False), ("professional_standards", True)])
async def test_what_one_may_not_know_of_is_not_counted(world: World, team: str, sealed: bool) -> None:
    row = await world.say(P3, "ann")
    async with world.store.write() as connection:
        await connection.execute(
            update(Conversation)
            .where(Conversation.id == row.id)
            .values(team=team, sealed=sealed, state="closed", closed_at=now(), outcome="answered")
        )
        await add_audit(connection, SUE_AT_WORK, "reply", row.id)
        await add_audit(connection, SUE_AT_WORK, "close", row.id, agency="X", state=["waiting", "closed"])
    for table in (await figures(world)).values():
        assert table.is_empty, table.key
    member = Actor("Pat", 2, "supervisor", frozenset({team}))
    seen = await figures(world, actor=member)
    assert sums(seen["messages"])["Messages in"] == 1
    assert column(seen["outcomes"]) == {"Question answered": 1}
    assert column(seen["agencies"]) == {OTHER: 1}
    assert not seen["handed_over"].is_empty


SUE_AT_WORK = Actor("Sue", None, "supervisor")


# ---- what leaves ------------------------------------------------------------------------------------


def lines(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def as_text(tables: Sequence[Table]) -> str:
    return as_csv(tables, TODAY, periods(TODAY, LONDON))


def test_no_cell_is_a_formula() -> None:
    for start in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"):
        assert safe_cell(start) == f"'{start}"
    odd = Table("x", "=cmd|' /C calc'!A0", ["@count"], [("-name", [9]), ("plain", [7])])
    for row in lines(as_text([odd]))[1:]:
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert lines(as_text([odd]))[1] == ["'=cmd|' /C calc'!A0", "", "", "'-name", "9"]


def test_small_counts_by_category_are_hidden_and_cannot_be_worked_out() -> None:
    rows = [("a", [40]), ("b", [9]), ("c", [4]), ("d", [0])]
    assert hidden_small(rows) == [("a", ["40"]), ("b", ["hidden"]), ("c", [FEW]), ("d", ["0"])]
    assert hidden_small([("a", [9]), ("b", [3]), ("c", [1])]) == [("a", ["9"]), ("b", [FEW]), ("c", [FEW])]
    assert hidden_small([("a", [9]), ("b", [5])]) == [("a", ["9"]), ("b", ["5"])]
    table = Table("x", "By category", ["Chats"], [("a", [3]), ("b", [2])], by_category=True)
    assert [row[4] for row in lines(as_text([table]))[1:]] == [FEW, FEW]
    plain = Table("x", "By grade", ["Chats"], [("P1", [3])])
    assert [row[4] for row in lines(as_text([plain]))[1:]] == ["3"]


def _text_columns() -> list[tuple[Any, Any]]:
    return [
        (table, column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, String | Text | JSON)
        and not column.foreign_keys
        and not column.primary_key
    ]


async def test_no_text_of_any_column_comes_out(world: World) -> None:
    """Each text column in turn holds a letter that no word of ours has; all the rest stays as it was."""
    mo = await world.hire("mo")
    await world.sit(mo)
    row = await world.owned(mo, P3, "ann")
    world.move(minutes=1)
    await world.core.desk.reply(row.id, mo, "Hello.")
    await world.core.desk.note(row.id, mo, "A note.")
    await world.settle()
    await world.say(P1, "bob")
    plain = await world.owned(mo, PLAIN, "cas")
    await world.core.desk.close(plain.id, mo, "answered")
    before = await figures(world)
    assert not any(before[key].is_empty for key in ("messages", "handed_over", "outcomes", "first_reply"))
    tried = 0
    for table, changed in _text_columns():
        async with world.store.read() as connection:
            keys = list(table.primary_key.columns)
            kept = (await connection.execute(select(*keys, changed.label("old")))).all()
        if not kept:
            continue
        tried += 1
        await _write(world, table, keys, changed, [(row, _strange(changed, n)) for n, row in enumerate(kept)])
        found = list((await figures(world)).values())
        for shown in (as_text(found), str(found)):
            assert STRANGE not in shown, (table.name, changed.name)
        await _write(world, table, keys, changed, [(row, row.old) for row in kept])
    assert tried > 40
    assert as_text(list((await figures(world)).values())) == as_text(list(before.values()))


def _strange(column: Any, number: int) -> Any:
    if isinstance(column.type, JSON):
        return {
            "agency": STRANGE, "state": ["bot", "waiting"], "grade": [STRANGE, STRANGE],
            "categories": [STRANGE], STRANGE: STRANGE,
        }  # fmt: skip
    words = f"{STRANGE}{number} Anna, 07700 900123"
    return words[: column.type.length] if column.type.length else words


async def _write(world: World, table: Any, keys: Any, column: Any, rows: Any) -> None:
    async with world.store.write() as connection:
        for row, value in rows:
            where = [key == row[place] for place, key in enumerate(keys)]
            await connection.execute(update(table).where(*where).values({column: value}))


PERSONAL = ("Zephyrine Quillfeather", "07700 900123", "zq@mail.example", "NE1 4ST", "12 Nonesuch Lane")


def test_neither_the_page_nor_the_download_holds_anything_personal(any_desk: Desk) -> None:  # noqa: F811
    said = f"{PLAIN} I am {', '.join(PERSONAL)}"
    any_desk.say(said, "07700 900123", name=PERSONAL[0])
    any_desk.say(f"{P3}, {said}", "zq@mail.example", name=PERSONAL[0])
    mo, sue = any_desk.browser("mo"), any_desk.browser("sue")
    row = any_desk.chat("zq@mail.example")
    mo.do(row, "claim", epoch=row.epoch)
    mo.do(row, "note", note=said)
    mo.do(row, "reply", text=said)
    strange = {"at": now(), "actor": PERSONAL[0], "conversation_id": row.id}
    any_desk.change(
        insert(Audit).values(
            **strange, action="close",
            detail={"agency": PERSONAL[0], "done": said, "state": ["human", "closed"]},
        )
    )  # fmt: skip
    any_desk.change(
        update(Conversation)
        .where(Conversation.id == row.id)
        .values(outcome="Zephyrine", closed_at=now(), team="Quillfeather", incident="NP-20261123-0456")
    )
    page, download = sue.get("/desk/figures"), sue.get("/desk/figures.csv")
    assert page.status_code == download.status_code == 200
    people = [one.reference for one in any_desk.rows(Conversation)] + [
        one.name for one in any_desk.rows(Person) if one.name
    ]
    for words in (*PERSONAL, *people, "Zephyrine", "Quillfeather", "Mo Tester", "0456", PLAIN):
        assert words not in page.text
        assert words not in download.text
    assert "Sue Tester" in page.text  # she is signed in
    assert "Sue Tester" not in download.text
    rows = lines(download.text)
    assert rows[0] == ["figure", "by", "period", "group", "value"]
    assert sum(int(one[4]) for one in rows if one[3] == "Messages in") == 2
    assert ["Chats closed, by outcome", "", "", OTHER, FEW] in rows
    assert download.headers["content-type"] == "text/csv; charset=utf-8"
    assert download.headers["content-disposition"].startswith("attachment; filename=")
    (audit,) = any_desk.audit("figures.download")
    assert audit.actor == "Sue Tester"


def test_the_page_draws_each_figure_beside_its_table_and_says_what_is_wrong(any_desk: Desk) -> None:  # noqa: F811
    any_desk.say(P3)
    sue = any_desk.browser("sue")
    page = sue.get("/desk/figures").text
    assert page.count('<svg class="desk-chart"') == page.count('class="govuk-details desk-figure__table"') > 2
    for by in ("hour", "day", "week"):
        assert sue.get(f"/desk/figures?by={by}").status_code == 200
    for wrong in ("?by=minute", "?first=2026-11-24&last=2026-11-01", "?first=x", "?last=99999-01-01"):
        assert sue.get(f"/desk/figures{wrong}").status_code == 422
        assert sue.get(f"/desk/figures.csv{wrong}").status_code == 422
    odd = sue.get("/desk/figures?team=%3Cb%3E&channel=%27%22")
    assert odd.status_code == 200
    assert "<b>" not in odd.text
    assert any_desk.browser("mo").get("/desk/figures.csv").status_code == 403


async def test_the_database_counts_what_python_counts(world: World) -> None:
    """The same by another way, over a night on which the clocks go back."""
    row = await world.say(PLAIN, "ann")
    begin = datetime(2026, 10, 24, 21, 30, tzinfo=UTC)
    moments = [begin + timedelta(minutes=20 * number) for number in range(90)]
    async with world.store.write() as connection:
        for number, at in enumerate(moments):
            await connection.execute(
                insert(Message).values(
                    conversation_id=row.id, person_id=row.person_id, channel="test", platform_id=f"x{number}",
                    kind="text", text="x", platform_time=at, received_at=at, handled=True,
                )
            )  # fmt: skip
    for by in ("hour", "day"):
        chosen = Chosen(by, date(2026, 10, 24), date(2026, 10, 26))
        table = (await figures(world, chosen))["messages"]
        expected: dict[int, int] = {}
        cut = periods(chosen, LONDON)
        for at in moments:
            expected[cut.of(at)] = expected.get(cut.of(at), 0) + 1
        assert {n: values[0] for n, (_, values) in enumerate(table.rows) if values[0]} == expected
    async with world.store.read() as connection:
        total = (await connection.execute(select(func.count()).select_from(Message))).scalar_one()
    assert total == len(moments) + 1
