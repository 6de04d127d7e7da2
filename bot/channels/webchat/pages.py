"""The pages that do not change with a chat: accessibility, privacy, about this assistant.

Their words stand in the force's `pages.yml`, read once at the start, so that they can be opened
while the database is away. Contacts and hours come from the words in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.assistant.content import load_yaml
from bot.errors import ContentError

FILE = "pages.yml"
PATHS = {"privacy": "/privacy", "accessibility": "/accessibility", "about": "/about-this-assistant"}
"""Where each page is, in the order of the links at the foot of every page."""
FORCE_PATHS = {"privacy": "privacy_notice_path", "accessibility": "accessibility_statement_path"}
"""The keys of `force.yml` that may lead to the force's own pages instead."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or the lines of a list."""

    lines: tuple[str, ...]
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading (none before the first) and what stands under it."""

    heading: str | None
    text: str
    fixed: str | None = None
    """Why these words may not be made plainer."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One page, its facts and contacts not yet filled in."""

    title: str
    link: str
    sections: Sequence[Section]


@dataclass(frozen=True, slots=True)
class Notices:
    """The pages of one force and the facts that only this force can know."""

    pages: Mapping[str, Notice]
    facts: Mapping[str, str]
    unchecked: Sequence[str]
    """Names of the facts that nobody at the force has confirmed (`verify: true`)."""

    def fill(self, text: str, **known: object) -> str:
        """Put the facts where they are named.

        Raises:
            ContentError: a name that is neither a fact nor known.
        """
        try:
            return text.format(**{**self.facts, **known})
        except (KeyError, IndexError, ValueError) as error:
            raise ContentError(f"{FILE}: there is no fact {error}. Add it, or mend the name.") from error


def load_notices(force: Path) -> Notices:
    """Read the force's pages.

    Raises:
        ContentError: the file is missing or wrong; says what to mend.
    """
    loaded = load_yaml(force / FILE)
    try:
        facts = {str(name): str(fact["say"]) for name, fact in loaded["facts"].items()}
        unchecked = [str(name) for name, fact in loaded["facts"].items() if fact.get("verify", True)]
        pages = {name: _notice(loaded["pages"][name]) for name in PATHS}
    except (AttributeError, KeyError, TypeError) as error:
        raise ContentError(f"{FILE}: {error!r} is missing or wrong. Mend it.") from error
    return Notices(pages, facts, unchecked)


def blocks(text: str) -> list[Block]:
    """A section's text as paragraphs and lists."""
    found = []
    for part in text.strip().split("\n\n"):
        lines = tuple(line.strip() for line in part.splitlines() if line.strip())
        if lines and all(line.startswith("- ") for line in lines):
            found.append(Block(tuple(line[2:] for line in lines), is_list=True))
        elif lines:
            found.append(Block((" ".join(lines),)))
    return found


def address(name: str, force: Mapping[str, Any]) -> str:
    """Where the links to a page lead: here, or to a page of the force's own."""
    return str(force.get(FORCE_PATHS.get(name, "")) or PATHS[name])


def _notice(loaded: Mapping[str, Any]) -> Notice:
    sections = [Section(one.get("heading"), str(one["text"]), one.get("fixed")) for one in loaded["sections"]]
    return Notice(str(loaded["title"]), str(loaded["link"]), sections)
