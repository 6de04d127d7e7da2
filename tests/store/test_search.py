"""The index of "Find anything": it follows every text, in the same transaction, and never breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.assurance import rows
from bot.store import Store, search
from bot.store.migrate import alembic_config, migrate
from bot.store.record import now
from bot.store.search import FOUND, Piece, excerpts, id_of, match, people_named, words_of
from bot.store.tables import Conversation, Message, Note, Outbox, Person, Staff
from tests.assurance.conftest import Keys, empty_url, keys  # noqa: F401  fixtures
from tests.assurance.test_backup import backed_up, lively, restored
from tests.support.world import World

pytestmark = pytest.mark.integration

FOLLOWED = {"message", "outbox", "note", "person"}
NASTY = (
    '"', "'", '""', "* AND *", "NEAR(a b)", "a OR NOT b", "text:knife", "-knife", "^knife", "kni*", "(", "))((",
    "{a b}:c", "a & b | !c", "a <-> b", ":*", "\\", "\\'", "%_%", "🔪", "🔪 knife", "NOT", "AND", "\u202eknife",
    "naïve", "हिन्दी", "ไทย", "ٱلْعَرَبِيَّة", "中文", "a" * 6000, "a b " * 1500, "\ud7ff", "ﬁ", "²", "1e5 -7 3.14", "a@b.c", "/etc/x",
    "<b>knife</b>", "&amp;", "\x02\x03", "_",
)  # fmt: skip


@pytest.fixture
async def filled(store: Store) -> Store:
    """A store with one person, one chat and one member of staff, whose ids are all 7."""
    async with store.write() as connection:
        await make_chat(connection)
    return store


async def make_chat(connection: AsyncConnection) -> None:
    moment = now()
    await connection.execute(
        insert(Person).values(
            id=7, channel="test", platform_id="ann", name="Ann O'Neill", blocked=False, created_at=moment
        )
    )
    await connection.execute(
        insert(Staff).values(
            id=7, username="mo", name="Mo", role="moderator", password_hash="x", created_at=moment
        )
    )
    await connection.execute(
        insert(Conversation).values(
            id=7, reference="FC-1", person_id=7, channel="test", state="bot", opened_at=moment,
            last_inbound_at=moment,
        )
    )  # fmt: skip


def message(row_id: int, words: str) -> Any:
    return insert(Message).values(
        id=row_id, conversation_id=7, person_id=7, channel="test", platform_id=f"m{row_id}", kind="text",
        text=words, platform_time=now(), received_at=now(),
    )  # fmt: skip


def reply(row_id: int, words: str) -> Any:
    return insert(Outbox).values(
        id=row_id, conversation_id=7, channel="test", kind="staff", text=words, epoch=0, not_before=now(),
        created_at=now(),
    )  # fmt: skip


def note(row_id: int, words: str) -> Any:
    return insert(Note).values(id=row_id, conversation_id=7, staff_id=7, text=words, created_at=now())


async def find(connection: AsyncConnection, words: str, *, beginnings: bool = False) -> set[int]:
    """The ids in the index of what holds these words."""
    found = match(connection, words_of(words), beginnings=beginnings)
    query = select(FOUND.c.id).select_from(found.source).where(found.condition)
    return set((await connection.execute(query)).scalars())


async def look(store: Store, words: str) -> set[int]:
    async with store.read() as connection:
        return await find(connection, words)


# ---- what is found -------------------------------------------------------------------------------


async def test_every_kind_of_text_is_found_from_the_transaction_that_wrote_it(filled: Store) -> None:
    async with filled.write() as connection:
        await connection.execute(message(1, "My bicycle was stolen from Elm/Street, <b>number 12</b>."))
        await connection.execute(reply(1, "Which bicycle?"))
        await connection.execute(note(1, "The bicycle is blue."))
        assert await find(connection, "bicycle") == {
            id_of("message", 1), id_of("reply", 1), id_of("note", 1),
        }  # fmt: skip
    assert await look(filled, "elm street 12") == {id_of("message", 1)}
    assert await look(filled, "blue bicycles") == {id_of("note", 1)}
    assert await look(filled, "bicycle red") == set()


@pytest.mark.parametrize(
    ("written", "asked", "is_found"),
    [
        ("He walked off", "walking", True),
        ("It will be on the fifth", "will", True),
        ("It is on", "is", True),
        ("KNIFE", "knife", True),
        ("a café in Zürich", "cafe zurich", True),
        ("a cafe", "Café", True),
        ("call 07700-900123 now", "900123", True),
        ("my plate is AB12 CDE", "ab12", True),
        ("ann@example.com", "example", True),
        ("I don't know", "don't", True),
        ("Zgubiłem dokumenty", "dokumenty", True),
        ("мой велосипед украли", "велосипед", True),
        ("knives", "fork", False),
    ],
)
async def test_words_are_found_alike_on_both_databases(
    filled: Store, written: str, asked: str, is_found: bool
) -> None:
    async with filled.write() as connection:
        await connection.execute(message(1, written))
    assert bool(await look(filled, asked)) is is_found


async def test_a_shown_name_is_found_by_the_beginning_of_its_words(filled: Store) -> None:
    async with filled.read() as connection:
        for asked, is_found in (
            ("ann", True),
            ("nei", True),
            ("o'ne", True),
            ("eill", False),
            ("ann bo", False),
        ):
            found = await connection.execute(people_named(connection, words_of(asked)))
            assert list(found.scalars()) == ([7] if is_found else []), asked
    async with filled.write() as connection:
        await connection.execute(message(1, "ann neill"))
        await connection.execute(update(Person).values(name="Bo"))
        found = await connection.execute(people_named(connection, ["ann"]))
        assert list(found.scalars()) == []
        await connection.execute(update(Person).values(name=None))
        assert await find(connection, "bo") == set()


# ---- it follows ----------------------------------------------------------------------------------


async def size(connection: AsyncConnection) -> tuple[int, int]:
    """How many rows the index has, and how many of them have words."""
    rows = (await connection.execute(select(func.count()).select_from(FOUND))).scalar_one()
    if connection.dialect.name != "sqlite":
        return rows, rows
    words = await connection.execute(text("SELECT count(*) FROM found_words"))
    return rows, words.scalar_one()


@pytest.mark.parametrize(
    ("make", "table", "kind"), [(message, Message, "message"), (reply, Outbox, "reply"), (note, Note, "note")]
)
async def test_what_is_changed_or_taken_away_is_found_no_more(
    filled: Store, make: Callable[[int, str], Any], table: Any, kind: str
) -> None:
    async with filled.write() as connection:
        await connection.execute(make(1, "a knife"))
        await connection.execute(make(2, "a knife too"))
        await connection.execute(make(3, ""))
    assert await look(filled, "knife") == {id_of(kind, 1), id_of(kind, 2)}
    async with filled.write() as connection:
        await connection.execute(update(table).where(table.id == 1).values(text="a spoon"))
    assert await look(filled, "knife") == {id_of(kind, 2)}
    assert await look(filled, "spoon") == {id_of(kind, 1)}
    async with filled.write() as connection:
        await connection.execute(update(table).where(table.id == 1).values(text=""))
        await connection.execute(delete(table).where(table.id == 2))
        assert await size(connection) == (1, 1)  # the shown name
    assert await look(filled, "spoon") == await look(filled, "knife") == set()


async def test_a_text_that_was_not_kept_is_not_found(filled: Store) -> None:
    async def half(row_id: int, *, quick: bool) -> None:
        async with filled.write(quick=quick) as connection:
            await connection.execute(message(row_id, "a knife"))
            raise ZeroDivisionError

    for quick in (False, True):
        with pytest.raises(ZeroDivisionError):
            await half(1, quick=quick)
    async with filled.write(quick=True) as connection:
        await connection.execute(message(2, "a knife"))
    assert await look(filled, "knife") == {id_of("message", 2)}


async def test_a_change_of_state_leaves_the_index_alone(filled: Store) -> None:
    async with filled.write() as connection:
        await connection.execute(reply(1, "a knife"))
        await connection.execute(update(FOUND).values(conversation_id=8))
        await connection.execute(update(Outbox).values(state="sent", text="a knife"))
        kept = await connection.execute(
            select(FOUND.c.conversation_id).where(FOUND.c.id == id_of("reply", 1))
        )
        assert kept.scalar_one() == 8


async def test_emptying_every_table_empties_the_index(filled: Store) -> None:
    async with filled.write() as connection:
        for make in (message, reply, note):
            await connection.execute(make(1, "a knife"))
        await rows.empty_all(connection)
        assert await size(connection) == (0, 0)


async def test_every_text_has_its_triggers(store: Store) -> None:
    """A migration that makes a table anew on SQLite would lose them without a word."""
    query = (
        "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'found%'"
        if store.is_sqlite
        else "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'found%'"
    )
    async with store.read() as connection:
        names = list((await connection.execute(text(query))).scalars())
    assert set(names) == FOLLOWED
    assert len(names) == len(FOLLOWED) * (3 if store.is_sqlite else 2)


async def test_a_text_longer_than_postgresql_can_index_is_kept(filled: Store) -> None:
    long = " ".join(f"w{number}" for number in range(400_000))
    async with filled.write() as connection:
        await connection.execute(message(1, long))
        await connection.execute(message(2, "x" * 3_000_000))
    assert await look(filled, "w17") == {id_of("message", 1)}


async def test_a_restored_database_finds_what_the_old_one_found(
    world: World,
    empty_url: str,  # noqa: F811  a fixture
    keys: Keys,  # noqa: F811  a fixture
    tmp_path: Path,
) -> None:
    await lively(world)
    async with world.store.read() as connection:
        query = select(FOUND).order_by(FOUND.c.id)
        before = [tuple(row) for row in await connection.execute(query)]
        hits = await find(connection, "desk")
    assert before
    assert hits
    await backed_up(world.store, tmp_path / "one.backup", keys)
    async with restored(empty_url, tmp_path / "one.backup", keys) as store, store.read() as connection:
        assert [tuple(row) for row in await connection.execute(query)] == before
        assert await find(connection, "desk") == hits
        assert await size(connection) == (len(before), len(before))


# ---- what was there before -----------------------------------------------------------------------


@pytest.fixture
async def old_store(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> AsyncIterator[Store]:
    """A store of the version before the index."""
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    else:
        url = request.getfixturevalue("postgres_templates").fresh(empty=True)
    store = Store(url)
    async with store.write() as connection:
        await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "0005"))
    yield store
    await store.close()
    if kind == "postgresql":
        request.getfixturevalue("postgres_templates").drop(url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_was_written_before_the_index_is_found_after_an_upgrade(
    old_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with old_store.write() as connection:
        await make_chat(connection)
        for number in range(1, 24):
            await connection.execute(message(number, f"old words {number}" if number != 5 else ""))
        await connection.execute(note(3, "an old note"))
    pages: list[int | None] = []
    fill_page = search._fill_page

    async def page(connection: AsyncConnection, kind: int, below: int, _size: int) -> int | None:
        pages.append(await fill_page(connection, kind, below, 10))
        if pages == [14]:
            # Meanwhile somebody takes an old message away, changes one, and writes a new one.
            await connection.execute(delete(Message).where(Message.id == 8))
            await connection.execute(update(Message).where(Message.id == 9).values(text="new words"))
            await connection.execute(message(99, "new words"))
        return pages[-1]

    monkeypatch.setattr(search, "_fill_page", page)
    await migrate(old_store)
    assert pages[:4] == [14, 3, 1, None]
    places = {id_of("message", number) for number in (*range(1, 24), 99)}
    gone = {id_of("message", number) for number in (5, 8)}
    new = {id_of("message", number) for number in (9, 99)}
    assert await look(old_store, "words") == places - gone
    assert await look(old_store, "old") == (places - gone - new) | {id_of("note", 3)}
    async with old_store.read() as connection:
        assert len(set(await size(connection))) == 1
        assert (await connection.execute(text("SELECT count(*) FROM found_fill"))).scalar_one() == 0
    pages.clear()
    await migrate(old_store)
    assert pages == []


# ---- whatever is typed ---------------------------------------------------------------------------


@pytest.mark.parametrize("beginnings", [False, True])
async def test_no_words_break_a_search_or_reach_the_databases_syntax(filled: Store, beginnings: bool) -> None:
    async with filled.write() as connection:
        await connection.execute(message(1, "a knife or a fork, not a spoon"))
        for typed in NASTY:
            if words_of(typed):
                await find(connection, typed, beginnings=beginnings)
        # Operators are words: this would find the message if they worked.
        assert await find(connection, "knife OR cup", beginnings=beginnings) == set()
        assert await find(connection, "knife NOT spoon", beginnings=beginnings) == {id_of("message", 1)}
        assert await find(connection, '"fork a"', beginnings=beginnings) == {id_of("message", 1)}
        assert await find(connection, "knif*") == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    typed=st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=200)
)
async def test_any_text_that_is_kept_is_found_by_its_own_words(filled: Store, typed: str) -> None:
    words = words_of(typed)
    async with filled.write() as connection:
        await connection.execute(delete(Message))
        await connection.execute(message(1, typed))
        if words and typed.isascii():
            assert id_of("message", 1) in await find(connection, typed)
        elif words:
            await find(connection, typed)
            await find(connection, typed, beginnings=True)
    assert excerpts([typed], words)[0] or not words


def test_words_are_told_from_signs() -> None:
    assert words_of("  Don't   PANIC, don't! 🔪 \u202e(x)* ") == ["Don", "t", "PANIC", "don", "x"]
    assert words_of('"" \x00 -- ::: 🔪 %') == []
    assert words_of("हिन्दी") == ["हिन्दी"]
    assert len(words_of(" ".join(map(str, range(100))))) == search.MOST_WORDS
    assert len(words_of("a" * 6000)[0]) == search.LONGEST_WORD


# ---- excerpts ------------------------------------------------------------------------------------


def said(pieces: Sequence[Piece]) -> str:
    return "".join(f"[{piece.text}]" if piece.found else piece.text for piece in pieces)


def test_an_excerpt_shows_the_words_where_they_are() -> None:
    long = "word " * 200 + "he was walking with\na <b>knife</b> home " + "word " * 200
    first, second, third = excerpts([long, "no such thing", "Knives, a KNIFE!"], ["knife", "walked"])
    assert "he was [walking] with a <b>[knife]</b> home" in said(first)
    assert said(first).startswith("…")
    assert said(first).endswith("…")
    assert len(said(first)) < 250
    assert said(second) == "no such thing"
    assert said(third) == "Knives, a [KNIFE]!"


def test_an_excerpt_is_whole_where_the_text_is_short_and_never_lets_marks_in() -> None:
    assert said(excerpts(["\x02a\x03 knife \x02"], ["knife"])[0]) == "a [knife]"
    assert excerpts([""], ["knife"]) == [[]]
    assert excerpts([], ["knife"]) == []
    assert 80 < len(said(excerpts(["x" * 1000], [])[0])) < 250


def test_an_excerpt_of_a_search_for_everything_in_a_long_text() -> None:
    (pieces,) = excerpts(["knife " * 1000], ["knife"])
    assert len(said(pieces)) < 400
    assert any(piece.found for piece in pieces)


async def test_who_said_it_comes_with_the_text(filled: Store) -> None:
    async with filled.write() as connection:
        for make in (message, reply, note):
            await connection.execute(make(5, make.__name__))
        ids = [id_of(kind, 5) for kind in ("message", "reply", "note")]
        assert await search.texts_of(connection, [*ids, id_of("note", 6)]) == {
            ids[0]: ("person", "message"), ids[1]: ("staff", "reply"), ids[2]: ("note", "note"),
        }  # fmt: skip
