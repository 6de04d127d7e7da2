"""Figures of the service: charts and their tables by hour, day or week, and the same as CSV."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sanic import HTTPResponse
from sanic.response import raw

from bot.assurance.figures import (
    STEPS,
    Chosen,
    Names,
    Table,
    as_csv,
    choose,
    periods,
    read_figures,
)
from bot.console.charts import chart_of, value_said
from bot.console.visit import SUPERVISOR, Routes, Visit
from bot.errors import RefusedError
from bot.store.record import add_audit, now

STEP_NAMES = {"hour": "By hour", "day": "By day", "week": "By week"}


def add(routes: Routes) -> None:
    """Add the routes."""
    routes.get("/desk/figures", page, SUPERVISOR)
    routes.get("/desk/figures.csv", download, SUPERVISOR)


def _chosen(visit: Visit) -> Chosen:
    core = visit.core
    today = core.limits.limits.hours.local(now()).date()
    team, channel = visit.query("team"), visit.query("channel")
    return choose(
        visit.query("by"),
        visit.query("first"),
        visit.query("last"),
        team=team if team in core.content.current.teams.get("teams", {}) else "",
        channel=channel if channel in visit.console.pages.channels else "",
        today=today,
        days={"hour": 1, "week": 84}.get(visit.query("by"), 14),
    )


def _names(visit: Visit) -> Names:
    content = visit.core.content.current
    return Names(
        {key: found.name for key, found in visit.core.screen.categories.items()},
        {key: str(outcome["title"]) for key, outcome in content.outcomes.items()},
        {key: str(contact.get("name", key)) for key, contact in content.contacts.items()},
    )


async def _read(visit: Visit, chosen: Chosen) -> list[Table]:
    zone = visit.core.limits.limits.hours.zone
    async with visit.core.store.read() as connection:
        return await read_figures(connection, visit.actor, chosen, zone, _names(visit))


async def page(visit: Visit) -> HTTPResponse:
    """Charts, each with its table."""
    problem, tables, status = "", list[Table](), 200
    given: dict[str, Any] = {name: visit.query(name) for name in ("by", "first", "last", "team", "channel")}
    given["by"] = given["by"] if given["by"] in STEPS else "day"
    try:
        chosen = _chosen(visit)
    except RefusedError as error:
        problem, status = str(error), 422
    else:
        tables = await _read(visit, chosen)
        given |= {
            "by": chosen.by, "first": chosen.first.isoformat(), "last": chosen.last.isoformat(),
            "team": chosen.team, "channel": chosen.channel,
        }  # fmt: skip
    content = visit.core.content.current
    return visit.page(
        "figures.html",
        status,
        tab="overview",
        room="figures",
        tables=[(table, chart_of(table)) for table in tables],
        said=value_said,
        given=given,
        address=urlencode({key: value for key, value in given.items() if value}),
        steps=STEP_NAMES,
        teams=[(key, team["name"]) for key, team in content.teams.get("teams", {}).items()],
        channels=visit.console.pages.channels,
        problem=problem,
    )


async def download(visit: Visit) -> HTTPResponse:
    """The same figures as CSV, without anything personal. Who took them is on record."""
    chosen = _chosen(visit)
    tables = await _read(visit, chosen)
    zone = visit.core.limits.limits.hours.zone
    text = as_csv(tables, chosen, periods(chosen, zone))
    async with visit.core.store.write() as connection:
        await add_audit(
            connection, visit.actor, "figures.download", by=chosen.by, first=chosen.first.isoformat(),
            last=chosen.last.isoformat(), team=chosen.team, channel=chosen.channel,
        )  # fmt: skip
    name = f"figures-{chosen.first:%Y-%m-%d}-to-{chosen.last:%Y-%m-%d}-by-{chosen.by}.csv"
    return raw(
        text.encode("utf-8"),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
