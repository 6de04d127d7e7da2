"""Find anything: chats by what was written in them, by who wrote, by what was made of them, and when.

What somebody looks for goes into the audit and nowhere else: the address of the page with the results
names the audit row, so no word reaches a log, a browser's history or a proxy. Everything that is shown,
and the fact that there is more, stands under `visible(actor)`; chats that ask for a reason are found by
words only once one was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sanic import HTTPResponse
from sqlalchemy import BigInteger, Row, cast, func, insert, literal, or_, select, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.pages import STATES
from bot.console.visit import ANSWERING, Routes, Visit, status_of
from bot.errors import RefusedError
from bot.handover.labels import clean, labels_of, listed
from bot.handover.queue import visible
from bot.handover.sensitive import Sensitive, reasons_needed
from bot.messages import ASIDE, GRADES, Actor
from bot.store import search
from bot.store.record import now
from bot.store.search import FOUND, Piece
from bot.store.tables import Audit, Conversation, Label, Message, Person, Staff

PAGE = 20
"""Chats on one page."""
WINDOWS = {"newest": 100, "best": 500}
"""How many texts with the words are looked at for one page, the newest first; then one looks further back.

So a word that is everywhere costs little more than one that is rare.
"""
EXCERPTS = 3
ACTION = "find"
ORDERS = {"newest": "Newest first", "best": "Best match first"}
SIDES = {
    "person": "The person",
    "assistant": "The assistant",
    "safety": "Safety words",
    "staff": "Staff",
    "notice": "Notice",
    "note": "Private note",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = {"words": 6000, "name": 200, "number": 64, "label": 64}


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/find", page, ANSWERING)
    routes.post("/desk/find", look, ANSWERING)


# ---- what is looked for --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for, as it was typed and chosen; empty says nothing."""

    words: str = ""
    name: str = ""
    number: str = ""
    """A chat reference or the force's incident number."""
    label: str = ""
    outcome: str = ""
    team: str = ""
    channel: str = ""
    grade: str = ""
    state: str = ""
    since: str = ""
    until: str = ""
    """Days, both counted in, as a browser sends them: 2026-11-23."""
    order: str = "newest"

    @classmethod
    def read(cls, visit: Visit) -> Wanted:
        """What the form says."""
        typed = {f.name: visit.field(f.name, _LONGEST.get(f.name, 64)).strip() for f in fields(cls)}
        return cls(**{**typed, "order": "best" if typed["order"] == "best" else "newest"})

    @classmethod
    def again(cls, detail: Mapping[str, Any]) -> Wanted:
        """What an audit row says."""
        return cls(**{f.name: str(detail[f.name]) for f in fields(cls) if f.name in detail})

    def detail(self) -> dict[str, str]:
        """Whatever is said, for the audit."""
        return {key: value for key, value in asdict(self).items() if value}

    @property
    def by_words(self) -> list[str]:
        """The words to look for in texts."""
        return search.words_of(self.words)

    def checked(self, known: Sequence[str]) -> Wanted:
        """The same, its label as labels are kept (`known` is the force's list).

        Raises:
            RefusedError: it asks for nothing, or cannot be understood; says what to do.
        """
        _day(self.since)
        _day(self.until)
        if self.words and not self.by_words:
            raise RefusedError("There is no word in what you wrote. Write at least one word.")
        if self.name and not search.words_of(self.name):
            raise RefusedError("There is no word in the name. Write at least one word.")
        if not set(self.detail()) - {"order"}:
            raise RefusedError("Write a word, or choose something to look for.")
        return replace(self, label=clean(self.label, known)) if self.label else self


def _day(written: str) -> date | None:
    """A day of the calendar.

    Raises:
        RefusedError: it is none of ours.
    """
    if not written:
        return None
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = date.min
    if not 2000 <= day.year <= 2100:
        raise RefusedError("A date is not right. Write it as day, month and year.")
    return day


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, zone).astimezone(UTC)


def _number(written: str) -> str:
    """A reference or an incident number as they are kept."""
    return " ".join(written.upper().split())


# ---- where a page begins -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where the last page ended. By key, so that the hundredth page costs what the first does."""

    at: datetime | None = None
    """The oldest text of the windows that are done with, and its id."""
    id: int = 0
    key: int | None = None
    """The time in microseconds, or the fit, of the last chat shown of this window."""
    chat: int = 0

    @classmethod
    def read(cls, written: str) -> Place:
        """The place in an address; anything else is the beginning."""
        parts = written.split("_")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) < 18 for part in parts):
            return cls()
        at, row_id, key, chat = map(int, parts)
        return cls(_time(at) if at else None, row_id, key if chat else None, chat)

    def __str__(self) -> str:
        """As it stands in an address."""
        return f"{_micro(self.at) if self.at else 0}_{self.id}_{self.key or 0}_{self.chat}"


def _micro(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(micro: int) -> datetime:
    try:
        return _EPOCH + micro * _MICROSECOND
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


# ---- looking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a chat that was found, cut to where the words are."""

    side: str
    at: datetime
    pieces: Sequence[Piece]


@dataclass(slots=True)
class Chat:
    """One chat that was found."""

    row: Row[Any]
    labels: Sequence[str] = ()
    lines: list[Line] = field(default_factory=list)
    more: int = 0
    """Texts in it with these words, beside those shown."""
    closed: bool = False
    """Its words are shown only once a reason was given."""


@dataclass(frozen=True, slots=True)
class Results:
    """One page of what was found."""

    chats: Sequence[Chat]
    after: str = ""
    """Where the next page begins; empty: there is none."""
    further: bool = False
    """The next page looks further back, and may show a chat again."""


@dataclass(frozen=True, slots=True)
class Looking:
    """One search, by one member of staff, as of one moment."""

    wanted: Wanted
    actor: Actor
    rule: Sensitive
    zone: ZoneInfo
    asked_at: datetime

    async def page(self, connection: AsyncConnection, place: Place) -> Results:
        """The page that begins there.

        Raises:
            RefusedError: it takes too long.
        """
        try:
            await search.in_bounds(connection)
            if self.wanted.by_words:
                return await self._by_words(connection, place)
            return await self._by_facts(connection, place)
        except DBAPIError as error:
            if search.is_out_of_time(error.orig):
                raise RefusedError("This search takes too long. Add a word or dates.") from error
            raise

    def _facts(self, connection: AsyncConnection) -> list[Any]:
        """What has to be true of a chat. The first condition is always whether the actor may see it."""
        wanted = self.wanted
        found: list[Any] = [visible(self.actor)]
        for column, value in (
            (Conversation.outcome, wanted.outcome),
            (Conversation.team, wanted.team),
            (Conversation.channel, wanted.channel),
            (Conversation.grade, wanted.grade),
            (Conversation.state, wanted.state),
        ):
            if value:
                found.append(column == value)
        if wanted.number:
            number = _number(wanted.number)
            found.append(or_(Conversation.reference == number, Conversation.incident == number))
        if wanted.label:
            found.append(Conversation.id.in_(select(Label.conversation_id).where(Label.name == wanted.label)))
        if wanted.name:
            named = search.people_named(connection, search.words_of(wanted.name))
            found.append(Conversation.person_id.in_(named))
        return found

    @property
    def _times(self) -> tuple[datetime | None, datetime | None]:
        """From when, and up to when: the first moment that no longer counts."""
        last = _day(self.wanted.until)
        return (
            _midnight(_day(self.wanted.since), self.zone),
            _midnight(last + timedelta(days=1) if last else None, self.zone),
        )

    def _of_time(self) -> list[Any]:
        """What has to be true of a text's time. What came after the question was asked is for the next one."""
        since, until = self._times
        found: list[Any] = [FOUND.c.at <= self.asked_at]
        if since:
            found.append(FOUND.c.at >= since)
        if until:
            found.append(FOUND.c.at < until)
        return found

    # By words: a window of texts, then the chats that they stand in.

    async def _by_words(self, connection: AsyncConnection, place: Place) -> Results:
        rows = await self._groups(connection, place)
        shown = rows[:PAGE]
        chats = await self._chats(connection, [row.conversation_id for row in shown])
        counts = {row.conversation_id: row.lines for row in shown}
        chats = [chat for chat in chats if not chat.closed]
        await self._add_lines(connection, chats, counts)
        if len(rows) > PAGE:
            last = shown[-1]
            after = Place(place.at, place.id, self._key(last), last.conversation_id)
            return Results(chats, str(after))
        if rows and rows[0].size == WINDOWS[self.wanted.order]:
            end = rows[0]
            return Results(chats, str(Place(end.last_at, end.last_id)), further=True)
        return Results(chats)

    def _key(self, row: Row[Any]) -> int:
        return int(row.score) if self.wanted.order == "best" else _micro(row.at)

    async def _groups(self, connection: AsyncConnection, place: Place) -> Sequence[Row[Any]]:
        best = self.wanted.order == "best"
        match = search.match(connection, self.wanted.by_words)
        # A whole number: a fraction would not come back from an address as the same one.
        score = cast(match.score * 1_000_000, BigInteger) if best else literal(0, BigInteger)
        texts = (
            select(FOUND.c.conversation_id, FOUND.c.id, FOUND.c.at, score.label("score"))
            .select_from(
                match.source.join(Conversation.__table__, Conversation.id == FOUND.c.conversation_id)
            )
            .where(match.condition, *self._facts(connection), *self._of_time())
            .order_by(FOUND.c.at.desc(), FOUND.c.id.desc())
            .limit(WINDOWS[self.wanted.order])
        )
        if place.at is not None:
            texts = texts.where(_before(FOUND.c.at, FOUND.c.id, place.at, place.id))
        window = texts.cte("texts")
        end = select(window).order_by(window.c.at, window.c.id).limit(1).subquery("end_of_texts")
        at, fit = func.max(window.c.at), func.max(window.c.score)
        key: Any = fit if best else at
        query = (
            select(
                window.c.conversation_id,
                at.label("at"),
                fit.label("score"),
                func.count().label("lines"),
                select(func.count()).select_from(window).scalar_subquery().label("size"),
                select(end.c.at).scalar_subquery().label("last_at"),
                select(end.c.id).scalar_subquery().label("last_id"),
            )
            .group_by(window.c.conversation_id)
            .order_by(key.desc(), window.c.conversation_id.desc())
            .limit(PAGE + 1)
        )
        if place.key is not None:
            was: Any = place.key if best else _time(place.key)
            query = query.having(_before(key, window.c.conversation_id, was, place.chat))
        return (await connection.execute(query)).all()

    async def _add_lines(
        self, connection: AsyncConnection, chats: Sequence[Chat], counts: Mapping[int, int]
    ) -> None:
        match = search.match(connection, self.wanted.by_words)
        order: Any = match.score if self.wanted.order == "best" else FOUND.c.at
        ranked = (
            select(
                FOUND.c.id,
                FOUND.c.conversation_id,
                FOUND.c.at,
                func.row_number()
                .over(partition_by=FOUND.c.conversation_id, order_by=order.desc())
                .label("place"),
            )
            .select_from(match.source)
            .where(
                match.condition,
                FOUND.c.conversation_id.in_([chat.row.id for chat in chats]),
                *self._of_time(),
            )
            .subquery("ranked")
        )
        rows = (
            await connection.execute(select(ranked).where(ranked.c.place <= EXCERPTS).order_by(ranked.c.at))
        ).all()
        texts = await search.texts_of(connection, [row.id for row in rows])
        rows = [row for row in rows if row.id in texts]
        cut = search.excerpts([texts[row.id][1] for row in rows], self.wanted.by_words)
        by_id = {chat.row.id: chat for chat in chats}
        for row, pieces in zip(rows, cut, strict=True):
            by_id[row.conversation_id].lines.append(Line(texts[row.id][0], row.at, pieces))
        for chat in chats:
            chat.more = max(0, counts[chat.row.id] - len(chat.lines))

    # By facts alone: chats, the one that began last first.

    async def _by_facts(self, connection: AsyncConnection, place: Place) -> Results:
        since, until = self._times
        query = select(Conversation.id, Conversation.opened_at).where(
            *self._facts(connection), Conversation.opened_at <= self.asked_at
        )
        if since:
            query = query.where(Conversation.last_inbound_at >= since)
        if until:
            query = query.where(Conversation.opened_at < until)
        if place.key is not None:
            query = query.where(
                _before(Conversation.opened_at, Conversation.id, _time(place.key), place.chat)
            )
        query = query.order_by(Conversation.opened_at.desc(), Conversation.id.desc()).limit(PAGE + 1)
        rows = (await connection.execute(query)).all()
        chats = await self._chats(connection, [row.id for row in rows[:PAGE]], last_words=True)
        if len(rows) <= PAGE:
            return Results(chats)
        last = rows[PAGE - 1]
        return Results(chats, str(Place(None, 0, _micro(last.opened_at), last.id)))

    # What both show of a chat.

    async def _chats(
        self, connection: AsyncConnection, ids: Sequence[int], *, last_words: bool = False
    ) -> list[Chat]:
        """These chats in this order; if asked, each with the person's last words."""
        query = (
            select(Conversation.__table__, Person.name.label("person_name"), Staff.name.label("owner_name"))
            .join(Person, Person.id == Conversation.person_id)
            .outerjoin(Staff, Staff.id == func.coalesce(Conversation.owner_id, Conversation.closed_owner_id))
            .where(Conversation.id.in_(ids), visible(self.actor))
        )
        rows = {row.id: row for row in await connection.execute(query)}
        closed = await reasons_needed(connection, rows.values(), self.actor, self.rule)
        labels = await labels_of(connection, rows)
        chats = [Chat(rows[one], labels.get(one, ()), closed=one in closed) for one in ids if one in rows]
        if last_words:
            await self._add_last_words(connection, [chat for chat in chats if not chat.closed])
        return chats

    async def _add_last_words(self, connection: AsyncConnection, chats: Sequence[Chat]) -> None:
        ids = [chat.row.id for chat in chats]
        last = select(func.max(Message.id)).where(
            Message.conversation_id.in_(ids), Message.kind.not_in(sorted(ASIDE))
        )
        query = select(Message.conversation_id, Message.text, Message.received_at).where(
            Message.id.in_(last.group_by(Message.conversation_id))
        )
        said = {row.conversation_id: row for row in await connection.execute(query)}
        for chat in chats:
            row = said.get(chat.row.id)
            if row is not None and row.text:
                chat.lines.append(Line("person", row.received_at, search.excerpts([row.text], [])[0]))


def _before(first: Any, second: Any, value: Any, row_id: int) -> Any:
    """(first, second) < (value, row_id), by an index where there is one."""
    return tuple_(first, second) < tuple_(literal(value, first.type), literal(row_id, BigInteger))


# ---- the pages -----------------------------------------------------------------------------------


async def look(visit: Visit) -> HTTPResponse:
    """Keep what is looked for in the audit, and go to the page that shows it."""
    wanted = Wanted.read(visit)
    try:
        wanted = wanted.checked(listed(visit.core.content.current.labels))
    except RefusedError as error:
        return _show(visit, wanted, status=status_of(error), problem=str(error))
    async with visit.core.store.write() as connection:
        # Not by `add_audit`: the address of the page is this row.
        kept = await connection.execute(
            insert(Audit)
            .values(
                at=now(), actor=visit.actor.name, staff_id=visit.actor.staff_id, action=ACTION,
                detail=wanted.detail(),
            )
            .returning(Audit.id)
        )  # fmt: skip
        audit_id = kept.scalar_one()
    return visit.go(f"/desk/find?of={audit_id}")


async def page(visit: Visit) -> HTTPResponse:
    """The form, and what was found: only for whoever asked."""
    of = visit.query("of")
    if not (of.isascii() and of.isdigit() and len(of) < 18):
        return _show(visit, Wanted())
    async with visit.core.store.snapshot() as connection:
        asked = await connection.execute(
            select(Audit.at, Audit.detail).where(
                Audit.id == int(of), Audit.action == ACTION, Audit.staff_id == visit.actor.staff_id
            )
        )
        row = asked.one_or_none()
        if row is None:
            return _show(visit, Wanted())
        wanted = Wanted.again(row.detail)
        looking = Looking(wanted, visit.actor, _rule(visit), _zone(visit), row.at)
        try:
            results = await looking.page(connection, Place.read(visit.query("after")))
        except RefusedError as error:
            return _show(visit, wanted, status=status_of(error), problem=str(error))
    return _show(visit, wanted, results=results, of=of, later=bool(visit.query("after")))


def _rule(visit: Visit) -> Sensitive:
    return Sensitive.of(visit.core.content.current.teams)


def _zone(visit: Visit) -> ZoneInfo:
    return ZoneInfo(str(visit.core.content.current.hours.get("timezone", "Europe/London")))


def _show(visit: Visit, wanted: Wanted, *, status: int = 200, **values: Any) -> HTTPResponse:
    content = visit.core.content.current
    return visit.page(
        "search.html",
        status,
        tab="find",
        wanted=wanted,
        chosen=bool(set(wanted.detail()) - {"words", "order"}),
        orders=list(ORDERS.items()),
        grades=[(grade, grade) for grade in GRADES],
        states=list(STATES.items()),
        channels=list(visit.console.pages.channels.items()),
        teams=[(key, team["name"]) for key, team in content.teams.get("teams", {}).items()],
        outcomes=[(key, outcome["title"]) for key, outcome in content.outcomes.items()],
        known_labels=listed(content.labels),
        sides=SIDES,
        **values,
    )
