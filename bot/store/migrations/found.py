"""How the index of "Find anything" follows a table: what the migrations 0006 to 0011 share.

One row of `found` stands for one row of text: a message (0), a reply (1), a note (2) or the name
that somebody of the public shows (3). Its id is four times the id of that row, plus that number.
Triggers keep it in the transaction that writes the text, whoever writes: a gateway of the version
before, a restore, an erasure. On PostgreSQL the words are a column; on SQLite they are in
`found_words` (FTS5), under the same id.

Like a migration, this does not change once it has run anywhere.
"""

# ruff: noqa: S608  the names in these statements are all of this file and its migrations

from __future__ import annotations

import string
import unicodedata

from alembic import op

LONGEST = 20_000
"""Letters of one text that are indexed. PostgreSQL refuses words of more than a megabyte, and a
trigger must never be what keeps a message out."""


def _folds() -> tuple[str, str]:
    """Letters and what they are indexed as: accents away, punctuation to spaces.

    PostgreSQL's parser takes `Elm/Street` for a file and `<b>` for a tag; after this it sees words.
    """
    marks = string.punctuation + "‘’“”–—…·«»"
    letters = {}
    for code in range(0xC0, 0x180):
        plain = unicodedata.normalize("NFD", chr(code))[0]
        if plain.isascii():
            letters[chr(code)] = plain
    return marks + "".join(letters), " " * len(marks) + "".join(letters.values())


def make_words() -> None:
    """The way in which PostgreSQL makes words of a text: English, and no word is left out."""
    source, plain = (part.replace("'", "''") for part in _folds())
    op.execute(
        "CREATE TEXT SEARCH DICTIONARY found_stem (TEMPLATE = pg_catalog.snowball, Language = english)"
    )
    op.execute("CREATE TEXT SEARCH CONFIGURATION found_english (COPY = pg_catalog.english)")
    op.execute(
        "ALTER TEXT SEARCH CONFIGURATION found_english ALTER MAPPING REPLACE english_stem WITH found_stem"
    )
    for name, result, call in (
        ("found_lexemes", "tsvector", "to_tsvector"),
        ("found_query", "tsquery", "plainto_tsquery"),
    ):
        op.get_bind().exec_driver_sql(
            f"CREATE FUNCTION {name}(words text) RETURNS {result} LANGUAGE sql IMMUTABLE PARALLEL SAFE AS "
            f"$$ SELECT {call}('found_english', translate(left(words, {LONGEST}), '{source}', '{plain}')) $$"
        )


def drop_words() -> None:
    """Take that back."""
    op.execute("DROP FUNCTION found_query(text)")
    op.execute("DROP FUNCTION found_lexemes(text)")
    op.execute("DROP TEXT SEARCH CONFIGURATION found_english")
    op.execute("DROP TEXT SEARCH DICTIONARY found_stem")


def follow(table: str, number: int, *, words: str, at: str, conversation: str = "conversation_id") -> None:
    """Let the index follow a table from now on; `found_fill` holds what was there before.

    Args:
        table: the table.
        number: what its rows are told apart by, 0 to 3.
        words: the column with the text.
        at: the column that says when it was written.
        conversation: the column that says where it stands, or NULL.
    """
    if op.get_bind().dialect.name == "sqlite":
        _follow_on_sqlite(table, number, words, at, conversation)
    else:
        _follow_on_postgresql(table, number, words, at, conversation)
    op.execute(
        f"INSERT INTO found_fill (kind, below) SELECT {number}, max(id) + 1 FROM {table} HAVING max(id) > 0"
    )


def unfollow(table: str, number: int) -> None:
    """Take that back."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for end in ("added", "changed", "removed") if sqlite else ("kept", "emptied"):
        op.execute(f"DROP TRIGGER found_{table}_{end}" + ("" if sqlite else f" ON {table}"))
    if sqlite:
        op.execute(f"DELETE FROM found_words WHERE rowid IN (SELECT id FROM found WHERE id & 3 = {number})")
    else:
        for end in ("keep", "empty"):
            op.execute(f"DROP FUNCTION found_{end}_{table}()")
    op.execute(f"DELETE FROM found WHERE id & 3 = {number}")
    op.execute(f"DELETE FROM found_fill WHERE kind = {number}")


def _follow_on_postgresql(table: str, number: int, words: str, at: str, conversation: str) -> None:
    where = "NULL" if conversation == "NULL" else f"NEW.{conversation}"
    run = op.get_bind().exec_driver_sql
    run(
        f"""
        CREATE FUNCTION found_keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP = 'UPDATE' THEN
            IF NEW.{words} IS NOT DISTINCT FROM OLD.{words} THEN RETURN NULL; END IF;
          END IF;
          IF TG_OP <> 'INSERT' THEN DELETE FROM found WHERE id = OLD.id * 4 + {number}; END IF;
          IF TG_OP <> 'DELETE' AND NEW.{words} <> '' THEN
            INSERT INTO found (id, conversation_id, at, words)
            VALUES (NEW.id * 4 + {number}, {where}, NEW.{at}, found_lexemes(NEW.{words}));
          END IF;
          RETURN NULL;
        END $$
        """
    )
    run(
        f"CREATE TRIGGER found_{table}_kept AFTER INSERT OR DELETE OR UPDATE OF {words} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION found_keep_{table}()"
    )
    run(
        f"""
        CREATE FUNCTION found_empty_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          DELETE FROM found WHERE id & 3 = {number};
          RETURN NULL;
        END $$
        """
    )
    run(
        f"CREATE TRIGGER found_{table}_emptied AFTER TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION found_empty_{table}()"
    )


def _follow_on_sqlite(table: str, number: int, words: str, at: str, conversation: str) -> None:
    where = "NULL" if conversation == "NULL" else f"new.{conversation}"
    run = op.get_bind().exec_driver_sql
    remove = "".join(
        f"DELETE FROM {of} WHERE {key} = old.id * 4 + {number}; "
        for of, key in (("found", "id"), ("found_words", "rowid"))
    )
    add = (
        f"INSERT INTO found (id, conversation_id, at) "
        f"SELECT new.id * 4 + {number}, {where}, new.{at} WHERE new.{words} <> ''; "
        f"INSERT INTO found_words (rowid, text) "
        f"SELECT new.id * 4 + {number}, substr(new.{words}, 1, {LONGEST}) WHERE new.{words} <> ''; "
    )
    run(f"CREATE TRIGGER found_{table}_added AFTER INSERT ON {table} BEGIN {add} END")
    run(f"CREATE TRIGGER found_{table}_removed AFTER DELETE ON {table} BEGIN {remove} END")
    run(
        f"CREATE TRIGGER found_{table}_changed AFTER UPDATE OF {words} ON {table} "
        f"WHEN new.{words} IS NOT old.{words} BEGIN {remove} {add} END"
    )
