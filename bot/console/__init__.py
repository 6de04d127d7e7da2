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
    approvals,
    comments,
    conversation,
    figures,
    handling,
    knowledge,
    labels,
    link,
    measures,
    overview,
    practice,
    preferences,
    presence,
    preview,
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
    unsent,
)
from bot.console.visit import Console, Routes
from bot.core import Core
from bot.practice import Practice

__all__ = ["blueprint", "routes"]

STATIC = Path(__file__).parent / "static"


def routes(core: Core, made_up: Practice | None = None) -> Routes:
    """Every route of the desk with who may use it, on a new blueprint; those of practice only in one."""
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
        approvals,
        comments,
        access,
        search,
        labels,
        overview,
        samples,
        reviews,
        figures,
        preferences,
        preview,
        presence,
        unsent,
        stream,
        knowledge,
    ):
        room.add(found)
    if made_up is not None:
        practice.add(found, made_up)
    found.blueprint.static("/desk/static", STATIC, name="static", use_modified_since=True)
    return found


def blueprint(core: Core, made_up: Practice | None = None) -> Blueprint:
    """The desk's routes, ready for the desk listener."""
    return routes(core, made_up).blueprint
