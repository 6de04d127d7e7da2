"""The lists of the queue page, read once for all whose pages ask at the same moment.

What waits, what others have and every count is the same for all who see the same and filter the same:
one reading serves them. What somebody has is read for all of them together. A row's HTML is made once
for as long as nothing in it changes, and that of a list once for all who see the same.

A page carries the first part of each list, and the rest when asked: nobody reads two hundred rows, and a
hundred pages fetch them at each change. P1 and P2 that wait are always in the first part, and so are the P1
that others have. The first P2 that others have are in it, as many as in the whole list.

Nothing is kept that was read: each page is given what was read after it asked (`Together`), by a query
that stands under `visible` for just its role and its teams (`sight_of`). Only HTML is kept, and found by
all that goes into it.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.console.pages import Pages
from bot.console.reading import last_words, what_can
from bot.core import Core
from bot.handover.approval import list_open
from bot.handover.labels import labels_of
from bot.handover.measures import count_due
from bot.handover.queue import (
    Filters,
    any_surge,
    count_facets,
    count_owned,
    grades_of,
    list_queue,
    sight_of,
)
from bot.handover.sensitive import Sensitive, given_reasons
from bot.handover.shift import is_on_shift
from bot.handover.surges import Card, list_cards
from bot.handover.viewing import readers_of_all
from bot.messages import URGENT, Actor
from bot.store.together import Lanes, Pace, Together

SHOWN = {"mine": 100, "waiting": 200, "others": 50}
"""How many rows of each list a page carries when asked for all; it says how many more there are."""
FIRST = {"waiting": 40, "others": 15}
"""How many it carries by itself. What its reader has is always shown."""
BESIDE_URGENT = 10
"""So many others are shown below however many P1 and P2 wait."""
MOST_URGENT = 1000
PAUSE_SECONDS = 1.0
"""Between two readings for pages that refresh by themselves. P1 and P2 do not wait for it."""
HURRY_SECONDS = 2.0
"""How long after such a message the pages of a gateway may still come for it."""
KEPT_SECONDS = 10
"""How long a row's HTML may serve: a page counts its minutes on from there by itself."""
MOST_KEPT = 20_000

Key = tuple[Actor, Filters, bool]
"""Whose sight, what the list is narrowed to, and whether all of it is wanted."""

_NO_CHANGE = re.compile(r'(<time [^>]*data-(?:since|due)="[^"]*">|name="csrf" value=")[^<"]*')
"""What is no reason to fetch a page again: times that it counts on by itself, and what stands for the form's
token, which is another one at each gateway."""
_INDENT = re.compile(r"\s*\n\s*")


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a page, and a mark that changes with what it says."""

    html: Markup
    mark: str

    @classmethod
    def of(cls, html: str) -> Section:
        """The piece with its mark. `html` comes from a template that escapes."""
        said = _NO_CHANGE.sub(r"\1", html)
        return cls(Markup(html), hashlib.blake2b(said.encode(), digest_size=9).hexdigest())  # noqa: S704


@dataclass(slots=True)
class Shared:
    """What all pages of one key show."""

    grades: frozenset[str]
    staffed: frozenset[tuple[str, str | None]]
    """Grade and team of those P1 and P2 that wait for others who are there: not to be taken from them."""
    waiting: Sequence[Row[Any]]
    owned: Sequence[Row[Any]]
    """The first of those that anybody has: enough to leave out whatever one reader has."""
    owned_count: int
    facets: Sequence[Row[Any]]
    cards: Sequence[Card]
    labels: dict[int, list[str]]
    asked: frozenset[int]
    """Those whose words are shown only to who has said why."""
    given: dict[int, set[int]]
    """Who has, by conversation: ids of staff."""
    readers: dict[int, list[tuple[int, str]]]
    """Who looks on where: id and name."""
    replies: int
    """How many replies wait for one of the teams as a second person, each reader's own ones included."""
    reviews: int
    pieces: dict[tuple[int, bool, int], Markup] = field(default_factory=dict)
    """HTML of rows, by conversation, whether its words are left out, and who of its readers asks."""
    sections: dict[Hashable, Section] = field(default_factory=dict)
    """The same of whole lists, by all that tells one page from another."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What the page makes of the facets, once."""


@dataclass(frozen=True, slots=True)
class Mine:
    """What one reader has."""

    rows: Sequence[Row[Any]]
    count: int
    labels: dict[int, list[str]]


class Lists:
    """Reads and renders them."""

    def __init__(self, core: Core, pages: Pages) -> None:
        self._core, self._pages = core, pages
        self._shared = Lanes(self._read_shared)
        self._pace = Pace(PAUSE_SECONDS)
        self._refreshed = Lanes(self._read_shared, self._pace)
        self._mine = Together(self._read_mine)
        self._kept: dict[str, Markup] = {}
        self._kept_at = 0

    async def shared(
        self, actor: Actor, filters: Filters, *, whole: bool = False, refresh: bool = False
    ) -> Shared:
        """What `actor` sees as do all with the same role and teams.

        `whole` is more than the first part of each list. `refresh`: nobody waits for it, a page asks by
        itself; such readings leave a pause between them, unless there is danger (`hurry`).
        """
        lanes = self._refreshed if refresh else self._shared
        return await lanes.ask((sight_of(actor), filters, whole))

    def hurry(self) -> None:
        """Somebody in danger is new in the lists: no page waits."""
        self._pace.hurry(HURRY_SECONDS)

    async def mine(self, actor: Actor, filters: Filters) -> Mine:
        """What `actor` has."""
        return await self._mine.ask((sight_of(actor), filters, actor.staff_id or 0))

    # ---- reading ---------------------------------------------------------------------------------

    async def _read_shared(self, key: Key) -> Shared:
        actor, filters, whole = key
        rule = Sensitive.of(self._core.content.current.teams)
        async with self._core.store.read() as connection:
            facets = await count_facets(connection, actor)
            waiting: list[Row[Any]] = []
            owned: list[Row[Any]] = []
            if filters.state in ("", "waiting"):
                most = _most_waiting(whole, facets, filters)
                waiting = await list_queue(
                    connection, actor, filters=filters, state="waiting", limit=most, grouped=True
                )
            if filters.state in ("", "others"):
                owned = await _list_owned(connection, actor, filters, _most_others(whole))
            any_card = not filters.is_set and await any_surge(connection)
            rows = [*waiting, *owned]
            asked = frozenset(row.id for row in rows if rule.asks(row, actor))
            grades = await grades_of(connection, actor)
            return Shared(
                grades,
                await _staffed(connection, grades, waiting),
                waiting,
                owned,
                (await count_owned(connection, actor, filters))[1],
                facets,
                await list_cards(connection, actor) if any_card else [],
                await labels_of(connection, [row.id for row in rows]),
                asked,
                await given_reasons(connection, asked),
                await readers_of_all(connection, actor),
                len(await list_open(connection, actor, self._core.approvals.rule)),
                await count_due(connection, actor) if actor.role == "supervisor" else 0,
            )

    async def _read_mine(self, keys: Iterable[tuple[Actor, Filters, int]]) -> dict[Any, Mine]:
        owners: dict[tuple[Actor, Filters], list[int]] = {}
        wanted = list(keys)
        for sight, filters, staff_id in wanted:
            owners.setdefault((sight, filters), []).append(staff_id)
        rows: dict[tuple[Actor, Filters, int], list[Row[Any]]] = {key: [] for key in wanted}
        counts: dict[tuple[Actor, Filters, int], int] = {}
        async with self._core.store.read() as connection:
            for (sight, filters), staff in owners.items():
                limit = (SHOWN["mine"] + 1) * len(staff)
                found = await list_queue(
                    connection, sight, filters=filters, state="mine", owners=staff, limit=limit
                )
                for row in found:
                    rows[sight, filters, row.owner_id].append(row)
                for staff_id in staff:
                    key = (sight, filters, staff_id)
                    counts[key] = len(rows[key])
                    if len(found) == limit:
                        # Somebody has so many that rows of the others may be missing.
                        one = Actor("", staff_id, sight.role, sight.teams)
                        rows[key] = await list_queue(
                            connection, one, filters=filters, state="mine", limit=SHOWN["mine"]
                        )
                        counts[key] = (await count_owned(connection, one, filters))[0]
            ids = [row.id for found in rows.values() for row in found]
            labels = await labels_of(connection, ids)
        return {
            key: Mine(found[: SHOWN["mine"]], counts[key], {row.id: labels.get(row.id, []) for row in found})
            for key, found in rows.items()
        }

    # ---- HTML --------------------------------------------------------------------------------------

    def section(
        self,
        shared: Shared,
        rows: Sequence[Row[Any]],
        actor: Actor,
        beside: Hashable,
        render: Callable[[list[Markup]], str],
    ) -> Section:
        """A list of what all see, as `actor` sees it: made once for all who see just the same.

        `render` is given its rows, and puts nothing of `actor` beside them but what is in `beside`.
        """
        keys = beside, tuple(self._as_seen(shared, row, actor) for row in rows)
        found = shared.sections.get(keys)
        if found is None:
            html = render([self._row(shared, row, actor) for row in rows])
            found = shared.sections[keys] = Section.of(html)
        return found

    @staticmethod
    def _as_seen(shared: Shared, row: Row[Any], actor: Actor) -> tuple[int, bool, int]:
        """What tells a row as `actor` sees it from the same row as others do."""
        me = actor.staff_id or 0
        asks = row.id in shared.asked and not (
            me in (row.owner_id, row.closed_owner_id) or me in shared.given.get(row.id, ())
        )
        reads = not asks and any(me == reader for reader, _ in shared.readers.get(row.id, ()))
        return row.id, asks, me if reads else 0

    def _row(self, shared: Shared, row: Row[Any], actor: Actor) -> Markup:
        key = self._as_seen(shared, row, actor)
        piece = shared.pieces.get(key)
        if piece is None:
            looking = [] if key[1] else _others(shared.readers.get(row.id, []), row, actor.staff_id or 0)
            labels = shared.labels.get(row.id, [])
            one = described(row, sight_of(actor), shared, key[1], labels, looking)
            piece = shared.pieces[key] = self._piece(one, 0)
        return piece

    def own_row(self, shared: Shared, mine: Mine, row: Row[Any], actor: Actor) -> Markup:
        """One row of what `actor` has."""
        me = actor.staff_id or 0
        looking = _others(shared.readers.get(row.id, []), row, me)
        one = described(row, actor, shared, False, mine.labels.get(row.id, []), looking)
        return self._piece(one, me)

    def _piece(self, one: dict[str, Any], reader: int) -> Markup:
        """The HTML of a row: made anew when anything that goes into it differs, and every few seconds."""
        moment = int(time.monotonic()) // KEPT_SECONDS
        if moment != self._kept_at or len(self._kept) > MOST_KEPT:
            self._kept, self._kept_at = {}, moment
        # The row as a tuple: a row's own words for itself leave out the middle of what is long.
        rest = {name: value for name, value in one.items() if name != "row"}
        key = f"{reader} {tuple(one['row'])!r} {rest!r}"
        piece = self._kept.get(key)
        if piece is None:
            session = SimpleNamespace(staff_id=reader)
            made = self._pages.piece("parts/row.html", one=one, session=session, csrf=self._pages.stand_in)
            made = _INDENT.sub("\n", made)
            piece = self._kept[key] = Markup(made)  # noqa: S704  made by a template that escapes
        return piece


def _most_others(whole: bool) -> int:
    """How many of those that somebody else has are shown, whatever their grades."""
    return SHOWN["others"] if whole else min(FIRST["others"], SHOWN["others"])


def first_others(shared: Shared, actor: Actor, whole: bool) -> list[Row[Any]]:
    """Those of others that a page of `actor` shows: every P1, and no P2 left out that the whole list would show."""
    others = [row for row in shared.owned if row.owner_id != actor.staff_id]
    grades = Counter(row.grade for row in others)
    urgent = max(grades["P1"], min(grades["P1"] + grades["P2"], SHOWN["others"]))
    return others[: max(_most_others(whole), urgent)]


def _most_waiting(whole: bool, facets: Sequence[Row[Any]], filters: Filters) -> int:
    """How many of those that wait are shown: all P1 and P2, and some others in any case."""
    most = SHOWN["waiting"] if whole else min(FIRST["waiting"], SHOWN["waiting"])
    urgent = sum(one.waiting for one in facets if one.grade in URGENT and filters.fits(one))
    return max(most, min(urgent + BESIDE_URGENT, MOST_URGENT)) if urgent else most


async def _list_owned(
    connection: AsyncConnection, actor: Actor, filters: Filters, most: int
) -> list[Row[Any]]:
    """The first of those that anybody has: enough for `first_others`, whoever asks."""
    few, many = most + SHOWN["mine"] // 4, SHOWN["others"] + SHOWN["mine"]
    rows = await list_queue(connection, actor, filters=filters, state="others", limit=few)
    if len(rows) < few:
        return rows
    if rows[-1].grade == "P1":
        many = MOST_URGENT
    elif rows[-1].grade != "P2" and few - max(Counter(row.owner_id for row in rows).values()) >= most:
        return rows
    return await list_queue(connection, actor, filters=filters, state="others", limit=many)


def _others(looking: Iterable[tuple[int, str]], row: Row[Any], me: int) -> list[str]:
    return [name for staff_id, name in looking if staff_id not in (row.owner_id, me)]


def described(
    row: Row[Any],
    actor: Actor,
    shared: Shared,
    asks: bool,
    labels: Sequence[str],
    readers: Sequence[str],
) -> dict[str, Any]:
    """A row with what `actor` can do with it. `asks`: its words are left out until a reason is given."""
    can = what_can(row, actor)
    return {
        "row": row,
        "can": can,
        "may_take": _may_take(row, shared),
        "movable": row.grade not in URGENT and (row.state == "waiting" or can.own),
        "last": last_words(row),
        **why_here(row),
        "labels": labels,
        "readers": readers,
        # Words of a sensitive chat are shown to those only who may read it.
        **({"last": "", "words": [], "asks": True} if asks else {}),
    }


def _may_take(row: Row[Any], shared: Shared) -> bool:
    """As a claim is checked (`handover.ownership.claim`): danger waits for nobody who is not there."""
    if row.grade is None or row.state != "waiting" or row.grade in shared.grades:
        return True
    return row.grade in URGENT and (row.grade, row.team) not in shared.staffed


async def _staffed(
    connection: AsyncConnection, grades: frozenset[str], waiting: Iterable[Row[Any]]
) -> frozenset[tuple[str, str | None]]:
    """The pairs of grade and team that readers with these grades leave to somebody who is there."""
    pairs = {(row.grade, row.team) for row in waiting if row.grade in URGENT and row.grade not in grades}
    return frozenset([pair for pair in pairs if await is_on_shift(connection, *pair)])


def why_here(row: Any) -> dict[str, Any]:
    """The newest reason of the grade it has: the words that fired and every net that found it."""
    reasons = list(row.reasons or ())
    of_grade = [reason for reason in reasons if reason.get("category") == row.category] or reasons
    words: list[str] = []
    for reason in of_grade:
        if reason.get("net") != "understanding":
            words.extend(word for word in reason.get("words", ()) if word not in words)
    return {
        "words": words[:6],
        "nets": list(dict.fromkeys(reason.get("net", "") for reason in reasons)),
    }
