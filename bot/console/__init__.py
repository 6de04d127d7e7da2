"""The desk: the pages that staff work with, on a listener that a force never publishes.

In: requests of signed-in staff. Out: pages, fragments of pages, and one stream of events for each
browser. Everything that changes a conversation goes through `core.desk`; nothing imports this room
but the composer.
"""

from __future__ import annotations

from pathlib import Path

from sanic import Blueprint

from bot.console import (
    access,
    alarms,
    conversation,
    figures,
    handling,
    labels,
    link,
    measures,
    overview,
    queue,
    replies,
    reviews,
    samples,
    search,
    second_factor,
    shift_end,
    signin,
    staff,
    stream,
    surges,
)
from bot.console.visit import Console, Routes
from bot.core import Core

__all__ = ["blueprint", "routes"]

STATIC = Path(__file__).parent / "static"


def routes(core: Core) -> Routes:
    """Every route of the desk with who may use it, on a new blueprint."""
    found = Routes(Console(core))
    for room in (
        signin,
        second_factor,
        link,
        staff,
        queue,
        shift_end,
        measures,
        surges,
        alarms,
        conversation,
        handling,
        replies,
        access,
        search,
        labels,
        overview,
        samples,
        reviews,
        figures,
        stream,
    ):
        room.add(found)
    found.blueprint.static("/desk/static", STATIC, name="static", use_modified_since=True)
    return found


def blueprint(core: Core) -> Blueprint:
    """The desk's routes, ready for the desk listener."""
    return routes(core).blueprint
