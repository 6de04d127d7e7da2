"""Figures of the service, counted from the record: how many, how soon, with what outcome.

Nothing personal can be in them: every word that leaves here is from a list of ours (grades, categories,
outcomes, agencies, channels), never a column's own text. What nobody may know of is not counted either:
each count is of the conversations that the reader may see (`visible`).

Times are cut at the hours, days and weeks of the force's clock. The database counts by hours of UTC,
which both kinds of it can; whole hours are then added up. So a zone's difference to UTC has to be whole
hours, as it is in the United Kingdom.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import case, exists, extract, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import RefusedError
from bot.handover.queue import visible
from bot.messages import GRADES, Actor
from bot.store.record import is_sqlite
from bot.store.tables import Audit, Conversation, Message, Outbox

STEPS: Final = {"hour": 3, "day": 92, "week": 371}
"""What a chart can be cut into, and how many days it may then hold."""
SENT_STATES: Final = ("sent", "delivered", "read")
KINDS: Final = {
    "assistant": "From the assistant", "safety": "Safety words", "staff": "From staff", "notice": "Notices",
}  # fmt: skip
SMALL: Final = 5
FEW: Final = f"<{SMALL}"
OTHER: Final = "Something else"
SILENT: Final = "Ended with the assistant"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is counted: whole days on the force's clock, the first and the last one included."""

    by: str
    first: date
    last: date
    team: str = ""
    channel: str = ""


def choose(
    by: str, first: str, last: str, *, team: str = "", channel: str = "", today: date, days: int = 14
) -> Chosen:
    """Read what a form says; without dates, the newest fortnight.

    Raises:
        RefusedError: something in it cannot be; says what to do.
    """
    by = by or "day"
    if by not in STEPS:
        raise RefusedError("Choose hour, day or week.")
    try:
        until = date.fromisoformat(last) if last else today
        since = date.fromisoformat(first) if first else until - timedelta(days=min(days, STEPS[by]) - 1)
    except (ValueError, OverflowError) as error:
        raise RefusedError("Write the dates as day, month and year.") from error
    if not 2000 <= since.year <= until.year <= 2200 or since > until:
        raise RefusedError("The first day has to be before the last one.")
    if (until - since).days >= STEPS[by]:
        raise RefusedError(f"By {by}, choose {STEPS[by]} days at most.")
    return Chosen(by, since, until, team, channel)


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods of a chart: when each begins, and what it is called."""

    starts: Sequence[datetime]
    ends: datetime
    labels: Sequence[str]

    def of(self, moment: datetime) -> int:
        """The number of the period in which a moment lies."""
        return max(0, bisect_right(self.starts, moment) - 1)


def periods(chosen: Chosen, zone: ZoneInfo) -> Periods:
    """Cut the days into periods. A day of a clock change has 23 or 25 hours."""

    def begins(day: date) -> datetime:
        return datetime.combine(day, time(), zone).astimezone(UTC)

    first, after = begins(chosen.first), begins(chosen.last + timedelta(days=1))
    days = [chosen.first + timedelta(days=number) for number in range((chosen.last - chosen.first).days + 1)]
    if chosen.by == "hour":
        starts = [first + timedelta(hours=n) for n in range(int((after - first).total_seconds() // 3600))]
        labels = [f"{start.astimezone(zone):%a %-d %b, %H:%M}" for start in starts]
    elif chosen.by == "day":
        starts, labels = [begins(day) for day in days], [f"{day:%a %-d %b}" for day in days]
    else:
        mondays = [day for day in days if day == chosen.first or day.weekday() == 0]
        starts, labels = [begins(day) for day in mondays], [f"Week of {day:%-d %b}" for day in mondays]
    return Periods(starts, after, labels)


@dataclass(frozen=True, slots=True)
class Table:
    """One figure: rows of whole numbers under named columns."""

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int | None]]]
    over_time: bool = False
    """Its rows are periods."""
    in_seconds: bool = False
    by_category: bool = False
    """Small counts are hidden where this leaves the desk."""
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not any(value for _, values in self.rows for value in values)

    @property
    def totals(self) -> list[int]:
        """The sum of each column."""
        return [sum(values[place] or 0 for _, values in self.rows) for place in range(len(self.columns))]


@dataclass(frozen=True, slots=True)
class Names:
    """The words that may be shown for what the record holds."""

    categories: Mapping[str, str]
    outcomes: Mapping[str, str]
    agencies: Mapping[str, str]


@dataclass(slots=True)
class _Counting:
    connection: AsyncConnection
    actor: Actor
    chosen: Chosen
    periods: Periods
    names: Names
    tables: list[Table] = field(default_factory=list)

    def of_chat(self) -> list[Any]:
        """The conditions on the conversation."""
        found: list[Any] = [visible(self.actor)]
        if self.chosen.team:
            found.append(Conversation.team == self.chosen.team)
        if self.chosen.channel:
            found.append(Conversation.channel == self.chosen.channel)
        return found

    def within(self, column: Any) -> list[Any]:
        """The conditions on a time."""
        return [column >= self.periods.starts[0], column < self.periods.ends]

    async def rows(self, query: Any) -> list[Any]:
        """Run a query."""
        return list((await self.connection.execute(query)).all())

    def hour(self, column: Any) -> Any:
        """The hour of UTC that a time lies in; `read_hour` reads what comes back."""
        if is_sqlite(self.connection):
            return func.strftime(literal_column("'%Y-%m-%d %H'"), column)
        # Written out: PostgreSQL takes two parameters of the same value for two different groups.
        in_utc = func.timezone(literal_column("'UTC'"), column)
        return func.to_char(in_utc, literal_column("'YYYY-MM-DD HH24'"))

    def period(self, hour: str) -> int:
        """The number of the period of an hour as `hour` gives it."""
        return self.periods.of(datetime.strptime(hour, "%Y-%m-%d %H").replace(tzinfo=UTC))

    def seconds(self, since: Any, until: Any) -> Any:
        """The seconds between two times."""
        if is_sqlite(self.connection):
            return (func.julianday(until) - func.julianday(since)) * 86400.0
        return extract("epoch", until - since)

    def over_time(
        self, key: str, title: str, columns: Sequence[str], cells: Mapping[tuple[int, int], int]
    ) -> None:
        """Add a table whose rows are the periods; `cells` is by period and column."""
        rows = [
            (label, [cells.get((place, column), 0) for column in range(len(columns))])
            for place, label in enumerate(self.periods.labels)
        ]
        self.tables.append(Table(key, title, columns, rows, over_time=True))

    def by_name(self, key: str, title: str, column: str, found: Mapping[str, int], note: str = "") -> None:
        """Add a table of one count for each of some names, the largest first."""
        rows = [(name, [count]) for name, count in sorted(found.items(), key=lambda one: (-one[1], one[0]))]
        self.tables.append(Table(key, title, [column], rows, by_category=True, note=note))


async def read_figures(
    connection: AsyncConnection, actor: Actor, chosen: Chosen, zone: ZoneInfo, names: Names
) -> list[Table]:
    """Count everything for one choice."""
    counting = _Counting(connection, actor, chosen, periods(chosen, zone), names)
    await _messages(counting)
    await _chats(counting)
    await _handed_over(counting)
    await _first_replies(counting)
    await _outcomes(counting)
    await _agencies(counting)
    await _times(counting)
    return counting.tables


async def _messages(counting: _Counting) -> None:
    """Messages in, and everything that was sent, by who said it."""
    cells: dict[tuple[int, int], int] = {}

    def add(hour: str, column: int, number: int) -> None:
        place = (counting.period(hour), column)
        cells[place] = cells.get(place, 0) + number

    hour = counting.hour(Message.received_at)
    for row in await counting.rows(
        select(hour, func.count())
        .select_from(Message)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(*counting.within(Message.received_at), *counting.of_chat())
        .group_by(hour)
    ):
        add(row[0], 0, row[1])
    sent = func.coalesce(Outbox.sent_at, Outbox.created_at)
    hour = counting.hour(sent)
    kinds = list(KINDS)
    for row in await counting.rows(
        select(hour, Outbox.kind, func.count())
        .select_from(Outbox)
        .join(Conversation, Conversation.id == Outbox.conversation_id)
        .where(Outbox.state.in_(SENT_STATES), *counting.within(sent), *counting.of_chat())
        .group_by(hour, Outbox.kind)
    ):
        if row[1] in KINDS:
            add(row[0], 1 + kinds.index(row[1]), row[2])
    counting.over_time("messages", "Messages in and out", ["Messages in", *KINDS.values()], cells)


LEFT: Final = ("escalate", "outside_reply", "answered_outside", "claim", "reopen")


async def _chats(counting: _Counting) -> None:
    """Chats begun, and how many of them the assistant has kept so far."""
    left = exists().where(Audit.conversation_id == Conversation.id, Audit.action.in_(LEFT))
    hour = counting.hour(Conversation.opened_at)
    inner = (
        select(hour.label("hour"), case((left, 1), else_=0).label("person"))
        .where(*counting.within(Conversation.opened_at), *counting.of_chat())
        .subquery()
    )
    cells: dict[tuple[int, int], int] = {}
    for row in await counting.rows(
        select(inner.c.hour, inner.c.person, func.count()).group_by(inner.c.hour, inner.c.person)
    ):
        place = (counting.period(row[0]), int(row[1]))
        cells[place] = cells.get(place, 0) + row[2]
    columns = ["Answered by the assistant alone", "Reached a person"]
    counting.over_time("chats", "Chats begun", columns, cells)


def _moved() -> list[Any]:
    """The condition that an audit row is a hand-over from the assistant to the queue."""
    return [
        Audit.action == "escalate",
        Audit.detail[("state", 0)].as_string() == "bot",
        Audit.detail[("state", 1)].as_string() == "waiting",
    ]


async def _handed_over(counting: _Counting) -> None:
    """Hand-overs by grade over time, and by category."""
    hour = counting.hour(Audit.at).label("hour")
    grade = Audit.detail[("grade", 1)].as_string().label("grade")
    category = Audit.detail[("categories", 0)].as_string().label("category")
    inner = (
        select(hour, grade, category)
        .join(Conversation, Conversation.id == Audit.conversation_id)
        .where(*_moved(), *counting.within(Audit.at), *counting.of_chat())
        .subquery()
    )
    cells: dict[tuple[int, int], int] = {}
    categories: dict[str, int] = {}
    for row in await counting.rows(
        select(inner.c.hour, inner.c.grade, inner.c.category, func.count()).group_by(
            inner.c.hour, inner.c.grade, inner.c.category
        )
    ):
        column = GRADES.index(row[1]) if row[1] in GRADES else len(GRADES) - 1
        place = (counting.period(row[0]), column)
        cells[place] = cells.get(place, 0) + row[3]
        name = counting.names.categories.get(row[2], OTHER)
        categories[name] = categories.get(name, 0) + row[3]
    counting.over_time("handed_over", "Handed over to a person", list(GRADES), cells)
    counting.by_name("categories", "Handed over, by category", "Hand-overs", categories)


async def _first_replies(counting: _Counting) -> None:
    """How long people waited for the first reply of a person, by the grade at the hand-over."""
    next_action = func.lead(Audit.action).over(partition_by=Audit.conversation_id, order_by=Audit.id)
    next_at = func.lead(Audit.at).over(partition_by=Audit.conversation_id, order_by=Audit.id)
    is_reply = Audit.action == "reply"
    moved = _moved()
    inner = (
        select(
            Audit.action,
            Audit.at,
            Audit.detail[("grade", 1)].as_string().label("grade"),
            next_action.label("next_action"),
            counting.seconds(Audit.at, next_at).label("seconds"),
        )
        .join(Conversation, Conversation.id == Audit.conversation_id)
        # A reply may come after the last day, never before the first.
        .where(
            Audit.action.in_(("escalate", "reply")),
            Audit.at >= counting.periods.starts[0],
            is_reply | (moved[1] & moved[2]),
            *counting.of_chat(),
        )
        .subquery()
    )
    waits: dict[str, list[int]] = {grade: [] for grade in GRADES}
    for row in await counting.rows(
        select(inner.c.grade, inner.c.seconds).where(
            inner.c.action == "escalate",
            inner.c.next_action == "reply",
            inner.c.at < counting.periods.ends,
        )
    ):
        waits[row[0] if row[0] in waits else GRADES[-1]].append(round(max(0.0, float(row[1]))))
    rows = [(grade, [_middle(waits[grade]), percentile(waits[grade], 90)]) for grade in GRADES]
    columns = ["Half of them within", "Nine in ten within"]
    counting.tables.append(
        Table("first_reply", "Wait for the first reply of a person", columns, rows, in_seconds=True)
    )
    counts = [(grade, [len(waits[grade])]) for grade in GRADES]
    counting.tables.append(Table("first_replies", "First replies counted", ["First replies"], counts))


def _middle(values: Sequence[int]) -> int | None:
    return round(median(values)) if values else None


def percentile(values: Iterable[int], share: int) -> int | None:
    """The smallest value that so many per cent do not exceed (nearest rank); None where there are none."""
    ordered = sorted(values)
    return ordered[ceil(share / 100 * len(ordered)) - 1] if ordered else None


async def _outcomes(counting: _Counting) -> None:
    found: dict[str, int] = {}
    known = {**counting.names.outcomes, "silent": SILENT}
    for row in await counting.rows(
        select(Conversation.outcome, func.count())
        .where(*counting.within(Conversation.closed_at), *counting.of_chat())
        .group_by(Conversation.outcome)
    ):
        name = known.get(row[0], OTHER)
        found[name] = found.get(name, 0) + row[1]
    counting.by_name("outcomes", "Chats closed, by outcome", "Chats", found)


async def _agencies(counting: _Counting) -> None:
    """Where people were sent."""
    agency = Audit.detail["agency"].as_string().label("agency")
    inner = (
        select(agency)
        .join(Conversation, Conversation.id == Audit.conversation_id)
        .where(Audit.action == "close", *counting.within(Audit.at), *counting.of_chat())
        .subquery()
    )
    found: dict[str, int] = {}
    for row in await counting.rows(
        select(inner.c.agency, func.count()).where(inner.c.agency.is_not(None)).group_by(inner.c.agency)
    ):
        name = counting.names.agencies.get(row[0], OTHER)
        found[name] = found.get(name, 0) + row[1]
    counting.by_name("agencies", "People sent to another agency", "Chats", found)


async def _times(counting: _Counting) -> None:
    """How long the chats closed in these days were with the assistant, waited, and were with a person."""
    closed = [*counting.within(Conversation.closed_at), *counting.of_chat()]
    state = Audit.detail[("state", 1)].as_string()
    later = func.lead(Audit.at).over(partition_by=Audit.conversation_id, order_by=Audit.id)
    first = func.row_number().over(partition_by=Audit.conversation_id, order_by=Audit.id)
    inner = (
        select(
            state.label("state"),
            counting.seconds(Audit.at, later).label("seconds"),
            first.label("number"),
            counting.seconds(Conversation.opened_at, Audit.at).label("before"),
        )
        .join(Conversation, Conversation.id == Audit.conversation_id)
        .where(state.is_not(None), *closed)
        .subquery()
    )
    spent = {"bot": 0.0, "waiting": 0.0, "human": 0.0}
    for row in await counting.rows(
        select(
            inner.c.state,
            func.sum(inner.c.seconds),
            func.sum(case((inner.c.number == 1, inner.c.before), else_=0.0)),
        ).group_by(inner.c.state)
    ):
        if row[0] in spent:
            spent[row[0]] += float(row[1] or 0.0)
        spent["bot"] += float(row[2] or 0.0)
    number = (await counting.rows(select(func.count()).select_from(Conversation).where(*closed)))[0][0]
    words = {"bot": "With the assistant", "waiting": "Waiting", "human": "With a person"}
    rows = [(words[key], [round(spent[key] / number) if number else None]) for key in spent]
    counting.tables.append(
        Table("times", "Where the time of a closed chat went", ["On average"], rows, in_seconds=True)
    )


# ---- leaving the desk ----------------------------------------------------------------------------


def hidden_small(rows: Sequence[tuple[str, Sequence[int | None]]]) -> list[tuple[str, list[str]]]:
    """The rows as text, small counts as "<5".

    Where only one would be hidden, the smallest of the others is as well: or the sum tells it.
    """
    counts = [values[0] or 0 for _, values in rows]
    hidden = {place for place, count in enumerate(counts) if 0 < count < SMALL}
    others = sorted((count, place) for place, count in enumerate(counts) if count >= SMALL)
    shielded = {others[0][1]} if len(hidden) == 1 and others else set()
    return [
        (
            name,
            [FEW if place in hidden else "hidden" if place in shielded else str(count)],
        )
        for place, ((name, _), count) in enumerate(zip(rows, counts, strict=True))
    ]


_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(_STARTS_A_FORMULA) else value


def as_csv(tables: Sequence[Table], chosen: Chosen, times: Periods) -> str:
    """All figures, one number a line: figure, by, period, group, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["figure", "by", "period", "group", "value"])
    for table in tables:
        rows: Sequence[tuple[str, Sequence[Any]]] = (
            hidden_small(table.rows) if table.by_category else table.rows
        )
        title = f"{table.title} (seconds)" if table.in_seconds else table.title
        for place, (name, values) in enumerate(rows):
            for column, value in zip(table.columns, values, strict=True):
                period = times.starts[place].strftime("%Y-%m-%dT%H:%MZ") if table.over_time else ""
                if table.over_time:
                    group = column
                else:
                    group = name if len(table.columns) == 1 else f"{name}, {column}"
                cells = [title, chosen.by if table.over_time else "", period, group]
                shown = "" if value is None else str(value)
                writer.writerow([safe_cell(cell) for cell in (*cells, shown)])
    return out.getvalue()
