"""The index of "Find anything": which texts hold the words that somebody looks for.

In: words as a person types them. Out: conditions for a query, and the places to mark. The database
keeps the index itself, by triggers, in the transaction that writes the text (`migrations/found.py`).

One row of `found` stands for one text: a message, a reply, a note, or the name that somebody shows.
The words that staff type never reach the databases' own search syntax: each stands in quotes, or
goes through `plainto_tsquery`.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Float,
    MetaData,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    inspect,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.engine import Store
from bot.store.record import is_sqlite
from bot.store.tables import Base, Id, Message, Note, Outbox, Person, UtcDateTime

MOST_WORDS = 16
"""Words of one search that count; the others are left out."""
LONGEST_WORD = 64
PATIENCE_MILLISECONDS = 4000
"""A search that takes longer than this is given up: it must not hold up the desk."""
FILL_PAGE = 500
_TIMED_OUT = "57014"
"""SQLSTATE query_canceled (PostgreSQL's manual, appendix A)."""

# A schema of its own: a backup leaves the index out, and a restore makes it anew by the triggers.
_own = MetaData()
FOUND = Table(
    "found",
    _own,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id),
    Column("at", UtcDateTime, nullable=False),
)
_FILL = Table("found_fill", _own, Column("kind", Id, primary_key=True), Column("below", Id))

KINDS: dict[str, int] = {"message": 0, "reply": 1, "note": 2, "name": 3}
"""The two lowest bits of an id in the index say what it stands for; the others are the row's own id."""
_SOURCES: dict[int, tuple[type[Base], str, str]] = {
    0: (Message, "text", "received_at"),
    1: (Outbox, "text", "created_at"),
    2: (Note, "text", "created_at"),
    3: (Person, "name", "created_at"),
}
_FROM, _TO = "\x02", "\x03"


def is_kept_apart(name: str | None, kind: str, _parents: Any) -> bool:
    """Alembic's `include_name`: what of the database the classes describe. The index describes itself."""
    return not (kind == "table" and name is not None and name.startswith("found"))


def words_of(written: str) -> list[str]:
    """The words of what somebody typed: no punctuation, no signs, none twice."""
    cut = "".join(char if _is_in_word(char) else " " for char in written)
    words = [word[:LONGEST_WORD] for word in cut.split() if any(map(str.isalnum, word))]
    return list(dict.fromkeys(words))[:MOST_WORDS]


def _is_in_word(char: str) -> bool:
    # Vowel signs of Hindi or Thai are marks, and stand within their words.
    return char.isalnum() or unicodedata.category(char) in ("Mn", "Mc")


@dataclass(frozen=True, slots=True)
class Match:
    """How a query over `FOUND` asks for words: what to join, the condition, how well a row fits."""

    source: Any
    condition: Any
    score: Any


def match(connection: AsyncConnection, words: Sequence[str], *, beginnings: bool = False) -> Match:
    """Rows of the index that hold all of these words.

    `beginnings` takes what begins with them too; one letter stands for itself, or it would be half of all.
    """
    if is_sqlite(connection):
        asked = " ".join(f'"{word}"' + "*" * (beginnings and len(word) > 1) for word in words)
        hits = (
            select(literal_column("rowid", Id).label("place"), literal_column("rank", Float).label("fit"))
            .select_from(text("found_words"))
            .where(literal_column("found_words").op("MATCH")(asked))
            .subquery("matching")
        )
        return Match(FOUND.join(hits, hits.c.place == FOUND.c.id), True, -hits.c.fit)
    lexemes: Any = literal_column("found.words")
    if beginnings:
        parts = (f"'{word}'" + ":*" * (len(word) > 1) for word in words)
        query: Any = func.to_tsquery(text("'found_english'"), " & ".join(parts))
    else:
        query = func.found_query(cast(" ".join(words), Text))
    return Match(FOUND, lexemes.op("@@")(query), func.ts_rank(lexemes, query))


async def in_bounds(connection: AsyncConnection) -> None:
    """Have this transaction give up what takes too long, and plan for the words that are asked for.

    Whether to go by time or by the words' own index depends on how common they are; a plan made for
    any words is good for none.
    """
    if not is_sqlite(connection):
        await connection.execute(
            select(
                func.set_config("statement_timeout", str(PATIENCE_MILLISECONDS), True),
                func.set_config("plan_cache_mode", "force_custom_plan", True),
                func.set_config("jit", "off", True),
            )
        )


def is_out_of_time(error: BaseException | None) -> bool:
    """Whether this is the driver's word for a search that was given up."""
    return str(getattr(error, "sqlstate", "") or "") == _TIMED_OUT


def id_of(kind: str, row_id: int) -> int:
    """The id in the index of a row."""
    return row_id * 4 + KINDS[kind]


def people_named(connection: AsyncConnection, words: Sequence[str]) -> Any:
    """The ids of people whose shown name has words that begin like these."""
    found = match(connection, words, beginnings=True)
    return (
        select(FOUND.c.id.op(">>")(literal_column("2")))
        .select_from(found.source)
        # By this condition, not by the id: names have an index of their own (`found_by_name`).
        .where(found.condition, FOUND.c.conversation_id.is_(None))
    )


async def texts_of(connection: AsyncConnection, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """What is written where the index points, and who says it: person, note, or the kind of a reply."""
    found: dict[int, tuple[str, str]] = {}
    wanted = sorted(set(ids))
    for number, side in ((0, literal("person")), (1, Outbox.__table__.c.kind), (2, literal("note"))):
        own = [one >> 2 for one in wanted if one & 3 == number]
        if own:
            table: Any = _SOURCES[number][0].__table__
            rows = await connection.execute(select(table.c.id, side, table.c.text).where(table.c.id.in_(own)))
            found |= {row[0] * 4 + number: (row[1], row[2]) for row in rows}
    return found


# ---- excerpts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an excerpt: plain text, and whether it is what was looked for."""

    text: str
    found: bool = False


def excerpts(texts: Sequence[str], words: Sequence[str], *, around: int = 90) -> list[list[Piece]]:
    """The beginning of the first place in each text that holds one of these words, the words told apart.

    An index in memory finds them as the database's own does: `walked` for `walking`.
    """
    clean = [re.sub(r"[\x00-\x1f\x7f\s]+", " ", one).strip() for one in texts]
    if not words or not texts:
        return [_cut(one, around) for one in clean]
    asked = " OR ".join(f'"{word}"' for word in words)
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(
            "CREATE VIRTUAL TABLE one USING fts5(text, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        memory.executemany("INSERT INTO one (rowid, text) VALUES (?, ?)", list(enumerate(clean)))
        rows = memory.execute(
            "SELECT rowid, highlight(one, 0, ?, ?) FROM one WHERE one MATCH ?", (_FROM, _TO, asked)
        )
        marked = dict(rows.fetchall())
    return [_cut(marked.get(place, one), around) for place, one in enumerate(clean)]


def _cut(marked: str, around: int) -> list[Piece]:
    first = max(marked.find(_FROM), 0)
    plain_end = first + 2 * around
    start = 0 if first <= around else marked.rfind(" ", 0, first - around // 2) + 1
    start = max(start, first - around)
    end = len(marked) if plain_end >= len(marked) else max(marked.rfind(" ", 0, plain_end), first + around)
    pieces = [Piece("…")] if start else []
    is_found = False
    for part in re.split(f"([{_FROM}{_TO}])", marked[start:end]):
        if part in (_FROM, _TO):
            is_found = part == _FROM
        elif part:
            pieces.append(Piece(part, is_found))
    return [*pieces, Piece("…")] if end < len(marked) else pieces


# ---- what was there before the index -------------------------------------------------------------


async def fill(store: Store, *, page: int = FILL_PAGE) -> None:
    """Index what was written before the index was there, newest first, a little at a time.

    Each page is a transaction of its own: a long one would hold up the events that pages wait for.
    """
    while True:
        async with store.write() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("found_fill")):
                return
            query = select(_FILL.c.kind, _FILL.c.below).order_by(_FILL.c.kind).limit(1)
            if not is_sqlite(connection):
                query = query.with_for_update()
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return
            least = await _fill_page(connection, row.kind, row.below, page)
            if least is None:
                await connection.execute(delete(_FILL).where(_FILL.c.kind == row.kind))
            else:
                await connection.execute(update(_FILL).where(_FILL.c.kind == row.kind).values(below=least))


async def _fill_page(connection: AsyncConnection, kind: int, below: int, page: int) -> int | None:
    """Index one page of rows. Returns the least id of it; None: there was none left."""
    source, words, at = _SOURCES[kind]
    table: Any = source.__table__
    query = select(table.c.id).where(table.c.id < below).order_by(table.c.id.desc()).limit(page)
    if not is_sqlite(connection):
        # Nobody may take a text away between our reading it and our indexing it.
        query = query.with_for_update(read=True)
    ids: list[int] = list((await connection.execute(query)).scalars())
    if not ids:
        return None
    place = table.c.id * 4 + literal_column(str(kind))
    is_new = ~select(FOUND.c.id).where(FOUND.c.id == place).exists()
    rows = select(place).where(and_(table.c.id.in_(ids), table.c[words] != "", is_new))
    if is_sqlite(connection):
        fts = Table("found_words", MetaData(), Column("rowid", Id), Column("text", Text))
        await connection.execute(
            fts.insert().from_select(
                ["rowid", "text"], rows.add_columns(func.substr(table.c[words], 1, 20_000))
            )
        )
        target, more = FOUND, []
    else:
        target = Table("found", MetaData(), *(Column(c.name, c.type) for c in FOUND.c), Column("words", Text))
        more = [func.found_lexemes(table.c[words])]
    where = table.c.conversation_id if "conversation_id" in table.c else literal(None, Id)
    await connection.execute(
        target.insert().from_select(
            ["id", "conversation_id", "at", *(["words"] if more else [])],
            rows.add_columns(where, table.c[at], *more),
        )
    )
    return min(ids)
