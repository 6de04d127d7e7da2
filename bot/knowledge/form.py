"""YAML as we write it: one form for each value, and a file that is there keeps its comments.

Block style for long texts, keys in the order given, quotes only where needed, letters of every script
as they are. What was written is read again before it is handed out, so no text can break a file.
PyYAML writes; the few decisions that it leaves open are made here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from bot.errors import ContentError

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover  the C library is missing on this platform
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

RASA_KEYS: Final = ("rules", "stories", "nlu", "responses")
"""Rasa takes a file of `data/` for stories, or for examples, if any line begins with one of these and a
colon, however far it is indented (`is_key_in_yaml` in rasa/shared/utils/io.py). So no line of a text may:
such a text is written in quotes, on one line."""
_STARTS: Final = tuple(f"{key}:" for key in RASA_KEYS)
_WIDEST_LIST: Final = 100
"""Letters of a list of short words that stands on one line."""
_NEVER_WRAP: Final = 2**31

_PLAIN: Final = re.compile(r"[^\W\d_](?:[\w '’.,;()&/£%+–-]*[\w'’.,;()&/£%+–-])?")
"""Text that needs no quotes under any version of YAML; with a comma, out of a list."""
_NOT_PLAIN: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPED: Final = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]')
"""What must be escaped within quotes. YAML 1.1 takes U+0085, U+2028 and U+2029 for line breaks."""
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NOT_IN_BLOCK: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def written(value: Any) -> str:
    """The value as YAML.

    Raises:
        ContentError: it cannot be written so that it reads the same.
    """
    for quoted in (False, True):
        text = _dumped(value, quoted=quoted)
        if _reads(text, value):
            return text
    raise ContentError("A text cannot be written as YAML. Take odd signs out of it, then repeat.")


def rewritten(source: str, value: Any) -> str:
    """The YAML of a file with this value in it: what is the same stays as it stands, comments and all.

    Raises:
        ContentError: the value cannot be written so that it reads the same.
    """
    try:
        node = yaml.compose(source, Loader=yaml.SafeLoader)
        old = yaml.load(source, Loader=_Loader)
        if isinstance(node, yaml.MappingNode) and isinstance(old, Mapping) and isinstance(value, Mapping):
            lines = source.split("\n")
            # From the last line to the first. Of two at one place the outer one goes in first, below the other.
            edits = list(_edits(lines, node, old, value))[::-1]
            for start, end, put in sorted(edits, key=lambda edit: edit[:2], reverse=True):
                lines[start:end] = put
            text = "\n".join(lines).rstrip("\n") + "\n"
            if _reads(text, value):
                return text
    except (yaml.YAMLError, RecursionError):
        pass
    # An anchor used from afar, a mapping on one line: rare, and worth no more than its comments.
    return written(value)


def same(one: Any, other: Any) -> bool:
    """Whether two values say the same once the database has had them: keys are text, days are text."""
    return bool(plain(one) == plain(other))


def starts_as_rasas_own(text: str) -> bool:
    """Whether a line of a text begins as a part of Rasa's files does."""
    return any(line.lstrip().startswith(_STARTS) for line in re.split(r"\r\n|\r|\n", text))


def can_be_block(text: str) -> bool:
    """Whether a text can stand as a block, line by line, and every reader of YAML takes it alike."""
    return bool(
        text.strip()
        and not text[0].isspace()
        and not _NOT_IN_BLOCK.search(text)
        and " \n" not in text
        and not text.endswith(" ")
        and not starts_as_rasas_own(text)
    )


def plain(value: Any) -> Any:
    """The value as the database gives it back."""
    if isinstance(value, Mapping):
        return {_key(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def _key(key: Any) -> str:
    """A key as JSON has it."""
    return key if isinstance(key, str) else json.dumps(key, default=str).strip('"')


def _reads(text: str, value: Any) -> bool:
    try:
        return same(yaml.load(text, Loader=_Loader), value)
    except yaml.YAMLError:
        return False


# ---- writing --------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    quoted = False
    """Every text stands in quotes, on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        """A value that stands twice is written twice."""
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """PyYAML's own escapes emoji, and breaks the line."""
        self.write_indicator(f'"{_ESCAPED.sub(_escape, text)}"', True)


class _QuotedDumper(_Dumper):
    quoted = True


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    number = ord(letter)
    return _SHORT.get(letter) or (f"\\x{number:02X}" if number < 256 else f"\\u{number:04X}")


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style: str | None = '"'
    if not dumper.quoted:
        if "\n" in text and can_be_block(text):
            style = "|"
        elif _PLAIN.fullmatch(text) and text.casefold() not in _NOT_PLAIN:
            style = None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _mapping(dumper: _Dumper, value: Mapping[str, Any]) -> yaml.Node:
    node = dumper.represent_mapping("tag:yaml.org,2002:map", list(value.items()), flow_style=not value)
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.style == "|" or (key.style is None and key.value in RASA_KEYS):
                key.style = '"'
    return node


def _list(dumper: _Dumper, value: Sequence[Any]) -> yaml.Node:
    on_one_line = all(
        isinstance(one, int | float) or (isinstance(one, str) and "\n" not in one) for one in value
    ) and sum(len(str(one)) + 4 for one in value) <= _WIDEST_LIST  # fmt: skip
    node = dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=on_one_line)
    for item in node.value:
        if on_one_line and "," in item.value:
            item.style = '"'
    return node


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


def _dumped(value: Any, *, quoted: bool = False) -> str:
    return str(
        yaml.dump(
            value,
            Dumper=_QuotedDumper if quoted else _Dumper,
            allow_unicode=True,
            default_flow_style=False,
            sort_keys=False,
            width=_NEVER_WRAP,
        )
    )


# ---- changing what is there ---------------------------------------------------------------------


def _edits(
    lines: Sequence[str], node: yaml.MappingNode, old: Mapping[Any, Any], new: Mapping[str, Any]
) -> Iterator[tuple[int, int, list[str]]]:
    """First line, line after the last one, and what takes their place: for each key that differs."""
    had = {_key(key): value for key, value in old.items()}
    column, end = 0, 0
    for key, value in node.value:
        name = str(key.value)
        start, end = key.start_mark.line, _end(lines, key, value)
        column = key.start_mark.column
        if name not in new:
            yield start, end, []
        elif name in had and same(had[name], new[name]):
            continue
        elif _is_block(value) and isinstance(new[name], Mapping) and new[name]:
            yield from _edits(lines, value, had[name], new[name])
        elif _is_list_of_blocks(value) and _fits(new[name], len(value.value)):
            for item, before, after in zip(value.value, had[name], new[name], strict=True):
                yield from _edits(lines, item, before, after)
        else:
            put = _put(lines[start][:column], {name: new[name]})
            if len(put) == 1 == end - start:
                put[0] += _remark(lines[start], value)
            yield start, end, put
    names = {str(key.value) for key, _ in node.value}
    if added := {name: inner for name, inner in new.items() if name not in names}:
        yield end, end, _put(" " * column, added)


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and not node.flow_style and bool(node.value)


def _is_list_of_blocks(node: yaml.Node) -> bool:
    return (
        isinstance(node, yaml.SequenceNode)
        and not node.flow_style
        and bool(node.value)
        and all(map(_is_block, node.value))
    )


def _fits(value: Any, count: int) -> bool:
    """Whether it is a list of so many mappings."""
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(one, Mapping) and one for one in value)
    )


def _put(before: str, value: Mapping[str, Any]) -> list[str]:
    """The lines of a value; `before` is what stands before its key: spaces, or a list's hyphen."""
    first, *rest = _dumped(dict(value)).rstrip("\n").split("\n")
    return [before + first, *(" " * len(before) + line if line else "" for line in rest)]


def _remark(line: str, value: yaml.Node) -> str:
    """The comment behind a value, with the spaces before it."""
    rest = line[value.end_mark.column :]
    return rest.rstrip() if rest.lstrip().startswith("#") else ""


def _end(lines: Sequence[str], key: yaml.Node, value: yaml.Node) -> int:
    """The line after the last line of a value; comments and empty lines that follow are not its own."""
    end = key.end_mark.line + 1
    if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
        end = max(end, _end(lines, *value.value[-1]))
    elif isinstance(value, yaml.SequenceNode) and not value.flow_style and value.value:
        end = max(end, _end(lines, value.value[-1], value.value[-1]))
    else:
        mark = value.end_mark
        end = max(end, mark.line + (mark.column > 0))
    while end > key.end_mark.line + 1 and end <= len(lines) and not lines[end - 1].strip():
        end -= 1
    return end
