"""Logs: one structured line for each event, never a message text, a token or personal data."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logs(level: str = "INFO", *, plain: bool = False) -> None:
    """Log JSON lines to standard error; with `plain`, lines for a person, warnings only."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    if plain:
        number = max(number, logging.WARNING)
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if plain:
        processors.append(
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        )
    else:
        processors += [
            # Local variables hold what people wrote: a trace shows lines of code only.
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
