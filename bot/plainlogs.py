"""One JSON line for what a library says, without anything that somebody wrote.

Libraries put what they handle into their messages: addresses with tokens in them, a person's id,
parameters of a query. So a line names the place in the library's source, and shows its sentence only
where that stands in the source word for word. An exception is shown as its type and where it was.

Only the standard library: Rasa's processes use it too (`deploy/logging.yml`).
"""

from __future__ import annotations

import json
import linecache
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent.parent)
FRAMES = 12


def _place(file: str) -> str:
    """A file without the folders that only say how this machine is laid out."""
    if file.startswith(ROOT + "/") and "site-packages" not in file:
        return file.removeprefix(ROOT + "/")
    return "/".join(Path(file).parts[-3:])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def trace_of(error: BaseException) -> list[dict[str, Any]]:
    """An exception and what led to it: types and places, never their words or values."""
    return [
        {
            "type": type(one).__name__,
            "at": [
                f"{_place(frame.filename)}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(one.__traceback__)[-FRAMES:]
            ],
        }
        for one in _chain(error)
    ]


def _sentence(record: logging.LogRecord) -> str | None:
    """The message's own words, if they are a constant of the library's source."""
    said = record.msg
    if not isinstance(said, str) or not said.strip():
        return None
    return said if said in "".join(linecache.getlines(record.pathname)) else None


class JsonFormatter(logging.Formatter):
    """Formats every record of Python's logging; see the module."""

    def format(self, record: logging.LogRecord) -> str:
        """One line (see parent class)."""
        line: dict[str, Any] = {
            "event": "library",
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "logger": record.name,
            "at": f"{_place(record.pathname)}:{record.lineno} {record.funcName}",
        }
        if (said := _sentence(record)) is not None:
            line["said"] = said
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = trace_of(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)
