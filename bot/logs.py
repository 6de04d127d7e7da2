"""Logs: one JSON line for each event, never a message text, a token or personal data.

What may be logged is a list, `KEYS`: the rest is replaced by the word "withheld", so that a
careless line shows where it stands and nothing more. Lines of libraries: `bot/plainlogs.py`.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

from bot import metrics
from bot.plainlogs import JsonFormatter, trace_of

NUMBERS = frozenset({
    "alarm", "attempt", "attempts", "conversation", "count", "desk", "due", "failures", "number",
    "outbox", "public", "seconds", "seen", "staff", "status", "update",
})  # fmt: skip
"""Counts, ports and numbers of our own rows; `update` is Telegram's running number of its news."""
WORDS = frozenset({
    "at", "category", "channel", "channels", "do", "error", "file", "gateway", "grade", "items", "key", "kind", "model",
    "path", "reason", "release", "replica", "result", "revision", "route", "state", "url",
})  # fmt: skip
"""Names of our own: a type of error, a route, a kind. `path` is a path of alarms, `url` an address of
our own inside, never one of a platform, which would carry a token."""
KEYS = NUMBERS | WORDS | {"event", "level", "timestamp", "exception"}
"""What a line may hold; never what somebody wrote or is called."""

WITHHELD = "withheld"
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_LONGEST = 160
_MOST = 10
_LIKE_A_NUMBER = re.compile(r"(?<![0-9a-f])\+?\d[\d ]{5,}\d(?![0-9a-f])")
"""Seven digits and more in a row: a phone number or an account, not one of our counts."""


def only_known(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Keep what may be logged; put "withheld" in the place of the rest."""
    return {key: _allowed(key, value) for key, value in line.items()}


def _allowed(key: str, value: Any) -> Any:
    if key == "exception":
        return value
    if value is None or (isinstance(value, bool | int | float) and key in KEYS):
        return value
    if key in NUMBERS or key not in KEYS:
        return WITHHELD
    if isinstance(value, list | tuple | set):
        return [_allowed(key, one) for one in value][:_MOST]
    if not isinstance(value, str) or len(value) > _LONGEST or "\n" in value:
        return WITHHELD
    if key == "event":
        return value if _EVENT.fullmatch(value) else WITHHELD
    if key != "timestamp" and _LIKE_A_NUMBER.search(value):
        return WITHHELD
    return value


def _exception(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Types and places of an exception; its words may be what a person wrote."""
    given = line.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()[1]
    elif isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        line["exception"] = trace_of(given)
    return line


def _joined(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """The places of an exception as one text: the renderer for people takes no list."""
    trace = line.get("exception")
    if isinstance(trace, list):
        line["exception"] = "\n".join(f"{one['type']}: {' < '.join(reversed(one['at']))}" for one in trace)
    return line


def _count(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    metrics.LOG_LINES.labels(str(line.get("level", ""))).inc()
    return line


def set_up_logs(level: str = "INFO", *, plain: bool = False) -> None:
    """Log JSON lines to standard error; with `plain`, lines for a person, warnings only."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    if plain:
        number = max(number, logging.WARNING)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _count,
        _exception,
        only_known,
    ]
    handler = logging.StreamHandler(sys.stderr)
    if plain:
        processors += [_joined, structlog.dev.ConsoleRenderer(colors=False)]
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s"))
    else:
        processors.append(structlog.processors.JSONRenderer(ensure_ascii=False))
        handler.setFormatter(JsonFormatter())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries below a warning say nothing that a force needs, and httpx would name every address.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.lastResort = None
    # Where a library's own line cannot be written, Python would print it with all that it holds.
    logging.raiseExceptions = False
