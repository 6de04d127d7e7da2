"""Lengths of time in words short enough for a list."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.store.record import now


def due_in(at: datetime | None) -> str:
    """How long until then, or since, in words short enough for a list."""
    if at is None:
        return ""
    left = at - now()
    minutes = int(abs(left).total_seconds() // 60)
    if minutes < 1:
        words = "under 1 min"
    elif minutes < 60:
        words = f"{minutes} min"
    else:
        hours, rest = divmod(minutes, 60)
        words = f"{hours} h {rest} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
    return f"due in {words}" if left > timedelta() else f"late by {words}"


def how_long(seconds: float) -> str:
    """A length of time in words."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "under 1 min"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def left_until(at: datetime | None) -> str:
    """How long is left until then, rounded up: with nothing left it is over."""
    if at is None:
        return ""
    minutes = max(0, -int(-(at - now()).total_seconds() // 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
