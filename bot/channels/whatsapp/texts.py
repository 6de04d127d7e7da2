"""The force's approved texts: `whatsapp.yml`, each word for word as Meta has approved it.

developers.facebook.com/documentation/business-messaging/whatsapp/templates. A text of ours is plain words
(the template's body), with places that are numbered ({{1}}) or named ({{reference}}), never both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml

from bot.errors import ContentError
from bot.messages import PLACE, ApprovedText, Fill, Place

FILE: Final = "whatsapp.yml"
LONGEST_BODY: Final = 1024
LONGEST_TITLE: Final = 60
LONGEST_VALUE: Final = 200
MOST: Final = 50
_FILLS: Final[tuple[Fill, ...]] = ("reference", "desk", "force")
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_PLACE_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,19}|[1-9][0-9]?")
_KNOWN: Final = {"title", "name", "language", "body", "places"}


def read_texts(force: Path) -> tuple[ApprovedText, ...]:
    """The force's approved texts, in the order of the file; a force may have none.

    Raises:
        ContentError: the first thing that is wrong, with its line.
    """
    fault = next(_faults(force / FILE), None)
    if fault is not None:
        raise ContentError(fault)
    loaded = _load(force / FILE) or {}
    return tuple(_text(key, body) for key, body in (loaded.get("texts") or {}).items())


def faults(force: Path) -> list[str]:
    """Everything that is wrong in the file; each names the line and what to do."""
    return list(_faults(force / FILE))


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None


def _text(key: str, body: Mapping[str, Any]) -> ApprovedText:
    given = body.get("places") or {}
    # In the order in which they stand in the words: that is how Meta counts them.
    order = dict.fromkeys(found[1] for found in PLACE.finditer(body["body"]))
    named = {str(name): value for name, value in given.items()}
    return ApprovedText(
        key,
        body["title"],
        body["name"],
        body["language"],
        body["body"].strip(),
        tuple(_place(name, named[name]) for name in order),
    )


def _place(name: str, value: Any) -> Place:
    if isinstance(value, str):
        return Place(name, cast(Fill, value))
    return Place(name, "", value["ask"], value.get("longest", 60))


# ---- what is wrong -------------------------------------------------------------------------------


def _faults(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    try:
        words = path.read_text("utf-8")
        node, loaded = yaml.compose(words, Loader=yaml.SafeLoader), yaml.safe_load(words)
    except (OSError, UnicodeDecodeError):
        yield f"{FILE}, line 1: the file cannot be read. Write it anew as UTF-8 text."
        return
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        yield f"{FILE}, line {mark.line + 1 if mark else 1}: this is not valid YAML. Mend that line."
        return
    if loaded is None:
        return
    texts = loaded.get("texts") if isinstance(loaded, dict) else None
    if not isinstance(loaded, dict) or set(loaded) != {"texts"} or not isinstance(texts, dict | None):
        yield f"{FILE}, line 1: write `texts:`, and under it one key for each approved text."
        return
    lines = _lines(node)
    for key, body in (texts or {}).items():
        for fault in _of_text(str(key), body):
            yield f"{FILE}, line {lines.get(str(key), 1)}, {key}: {fault}"
    if len(texts or {}) > MOST:
        yield f"{FILE}: {MOST} texts at most. Staff could not find one among more."


def _lines(node: yaml.Node | None) -> dict[str, int]:
    """The line of each text."""
    found: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode) and isinstance(node.value[0][1], yaml.MappingNode):
        for key, _ in node.value[0][1].value:
            found[str(key.value)] = key.start_mark.line + 1
    return found


def _of_text(key: str, body: Any) -> Iterator[str]:
    if not _KEY.fullmatch(key):
        yield "a key is of small letters, digits and _."
    if not isinstance(body, dict):
        yield "write title, name, language and body under it."
        return
    unknown = sorted(str(name) for name in set(body) - _KNOWN)
    if unknown:
        yield f"'{unknown[0]}' is not known here. Write title, name, language, body or places."
    for name, what in _PARTS.items():
        value = body.get(name)
        if not isinstance(value, str) or not what[0].fullmatch(value):
            yield f"'{name}' must be {what[1]}."
            return
    if len(body["body"].strip()) > LONGEST_BODY:
        yield f"the body is too long: {LONGEST_BODY} letters at most."
    yield from _of_places(body["body"], body.get("places") or {})


_PARTS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "title": (
        re.compile(rf"\S.{{0,{LONGEST_TITLE - 1}}}"),
        f"what staff read, {LONGEST_TITLE} letters at most",
    ),
    "name": (_NAME, "the template's name at Meta: small letters, digits and _"),
    "language": (_LANGUAGE, "the template's language at Meta, such as en_GB"),
    "body": (re.compile(r"(?s).*\S.*"), "the words, exactly as Meta has approved them"),
}


def _of_places(body: str, given: Any) -> Iterator[str]:
    if not isinstance(given, dict):
        yield "write under 'places' one line for each place of the body."
        return
    stand = list(dict.fromkeys(found[1] for found in PLACE.finditer(body)))
    if "{{" in PLACE.sub("", body) or "}}" in PLACE.sub("", body):
        yield "a place is written {{1}} or {{reference}}, without spaces."
    parts = PLACE.split(body.strip())
    if stand and not (parts[0].strip() and parts[-1].strip()):
        yield "Meta takes no text that begins or ends with a place. Put words around it."
    bad = [name for name in stand if not _PLACE_NAME.fullmatch(name)]
    if bad:
        yield f"a place is a number or a name of small letters: not '{bad[0]}'."
        return
    numbers = [name for name in stand if name.isdecimal()]
    if numbers and (
        len(numbers) != len(stand) or sorted(map(int, numbers)) != list(range(1, len(stand) + 1))
    ):
        yield "number all places from 1 on, or name all of them."
    named = {str(name): value for name, value in given.items()}
    for name in stand:
        if name not in named:
            yield f"say under 'places' what fills {{{{{name}}}}}."
    for name, value in named.items():
        if name not in stand:
            yield f"the body has no place {{{{{name}}}}}. Remove it from 'places'."
        elif not _is_filled(value):
            yield (
                f"{{{{{name}}}}} is filled by {', '.join(_FILLS)}, or by staff: "
                f"write `ask:` with what they are asked for, and `longest:` (1 to {LONGEST_VALUE})."
            )


def _is_filled(value: Any) -> bool:
    if isinstance(value, str):
        return value in _FILLS
    if not isinstance(value, dict) or set(value) - {"ask", "longest"}:
        return False
    ask, longest = value.get("ask"), value.get("longest", 60)
    good = isinstance(longest, int) and not isinstance(longest, bool) and 1 <= longest <= LONGEST_VALUE
    return good and isinstance(ask, str) and 0 < len(ask.strip()) <= LONGEST_TITLE
