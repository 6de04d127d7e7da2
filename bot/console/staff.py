"""Staff accounts: who may sign in, and what an administrator may change. Supervisors may look.

A link that works once is shown in the answer to the form that made it, and nowhere again.
"""

from __future__ import annotations

from typing import Any, cast

from sanic import HTTPResponse

from bot.accounts import FieldRefusedError, address_of
from bot.accounts.administration import HISTORY
from bot.console.visit import ADMIN, OVERSEEING, Routes, Visit
from bot.errors import RefusedError

WHAT = {
    "staff.create": "Account made",
    "staff.invite": "Invited",
    "staff.role": "Role changed",
    "staff.teams": "Teams changed",
    "staff.suspend": "Suspended",
    "staff.restore": "Suspension lifted",
    "staff.reset": "Password taken away, new link made",
    "staff.password": "Password set",
    "staff.end-sessions": "Signed out everywhere",
    "second-factor.set-up": "Second factor set up",
    "second-factor.remove": "Second factor removed",
    "second-factor.codes": "New recovery codes made",
    "second-factor.failed": "Wrong code at sign-in",
    "recovery-code.failed": "Wrong recovery code",
    "sign-in": "Signed in",
    "sign-in.password": "Gave the right password",
    "sign-in.failed": "Wrong password",
    "sign-out": "Signed out",
    "lock": "Desk locked",
    "unlock": "Desk unlocked",
    "unlock.failed": "Wrong password at the lock",
    "account.locked": "Account locked after five wrong tries",
}
DONE = {
    "access": "The role and the teams are as shown here now.",
    "suspended": "The account is suspended. Its sessions have ended, and its chats are back in the queue.",
    "restored": "The suspension is lifted.",
    "second-factor": "The second factor is removed. The next sign-in sets up a new one.",
    "ended": "All sessions of this account have ended.",
}


def add(routes: Routes) -> None:
    """Add the routes."""
    one = "/desk/staff/<staff_id:int>"
    routes.get("/desk/staff", staff_list, OVERSEEING)
    routes.post("/desk/staff", invite, ADMIN)
    routes.get(one, person, OVERSEEING)
    routes.post(f"{one}/access", set_access, ADMIN)
    routes.post(f"{one}/suspend", suspend, ADMIN)
    routes.post(f"{one}/restore", restore, ADMIN)
    routes.post(f"{one}/reset", reset, ADMIN)
    routes.post(f"{one}/second-factor", drop_second_factor, ADMIN)
    routes.post(f"{one}/end-sessions", end_sessions, ADMIN)


async def staff_list(visit: Visit) -> HTTPResponse:
    """Everybody who has an account."""
    return await _list(visit)


async def _list(visit: Visit, status: int = 200, **values: Any) -> HTTPResponse:
    members = await visit.console.administration.members()
    return visit.page(
        "staff.html", status, members=members, teams=_teams(visit), tab="staff",
        may_change=visit.session.role in ADMIN, **values,
    )  # fmt: skip


def _teams(visit: Visit) -> list[tuple[str, str]]:
    known = visit.core.content.current.teams.get("teams", {})
    return [(key, str(team.get("name", key))) for key, team in known.items()]


def _chosen(visit: Visit) -> list[str]:
    values = cast(Any, visit.request).form
    return [str(team).replace("\x00", "")[:64] for team in (values.getlist("team") if values else None) or ()]


async def invite(visit: Visit) -> HTTPResponse:
    """Make an account, and show its link once."""
    username, name, role = visit.field("username", 80), visit.field("name", 120), visit.field("role", 20)
    teams = _chosen(visit)
    try:
        staff_id, token = await visit.console.administration.invite(
            username, name, role, teams, actor=visit.actor
        )
    except RefusedError as error:
        given = {"username": username, "name": name, "role": role, "teams": teams}
        return await _list(
            visit, 422, problem=str(error), problem_field=_field(error, "username"), given=given
        )
    return await _link(visit, staff_id, token)


def _field(error: RefusedError, otherwise: str) -> str:
    """Where on the page the problem is."""
    return error.field if isinstance(error, FieldRefusedError) else otherwise


async def _link(visit: Visit, staff_id: int, token: str) -> HTTPResponse:
    member = await visit.console.administration.member(staff_id)
    address = address_of(visit.core.settings, token)
    return visit.page("staff-link.html", member=member, address=address, tab="staff")


async def person(visit: Visit, staff_id: int) -> HTTPResponse:
    """One account, what may be changed, and its history."""
    return await _person(visit, staff_id, done=DONE.get(visit.query("done"), ""))


async def _person(visit: Visit, staff_id: int, status: int = 200, **values: Any) -> HTTPResponse:
    administration = visit.console.administration
    member = await administration.member(staff_id)
    before = visit.query("before")
    place = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    history = await administration.history(staff_id, place)
    may_change = visit.session.role in ADMIN
    return visit.page(
        "staff-person.html", status, member=member, teams=_teams(visit), history=history, what=WHAT,
        older=history[-1].id if len(history) == HISTORY else None, tab="staff", may_change=may_change,
        own=member.id == visit.session.staff_id, **values,
    )  # fmt: skip


async def _change(visit: Visit, staff_id: int, work: Any, done: str, problem_at: str) -> HTTPResponse:
    """Do it and show the person's page again; a refusal is told at its field."""
    try:
        await work
    except RefusedError as error:
        return await _person(
            visit, staff_id, 422, problem=str(error), problem_field=_field(error, problem_at)
        )
    return visit.go(f"/desk/staff/{staff_id}?done={done}")


async def set_access(visit: Visit, staff_id: int) -> HTTPResponse:
    """Change role and teams."""
    work = visit.console.administration.set_access(
        staff_id, actor=visit.actor, role=visit.field("role", 20), teams=_chosen(visit)
    )
    return await _change(visit, staff_id, work, "access", "role")


async def suspend(visit: Visit, staff_id: int) -> HTTPResponse:
    """Suspend, with a reason."""
    work = visit.console.administration.suspend(staff_id, visit.field("reason", 600), actor=visit.actor)
    return await _change(visit, staff_id, work, "suspended", "reason")


async def restore(visit: Visit, staff_id: int) -> HTTPResponse:
    """Lift a suspension."""
    work = visit.console.administration.restore(staff_id, actor=visit.actor)
    return await _change(visit, staff_id, work, "restored", "restore")


async def reset(visit: Visit, staff_id: int) -> HTTPResponse:
    """Take the password away, and show a new link once."""
    try:
        token = await visit.console.administration.reset(
            staff_id, actor=visit.actor, drop_second_factor=bool(visit.field("second-factor", 5))
        )
    except RefusedError as error:
        return await _person(visit, staff_id, 422, problem=str(error), problem_field="reset")
    return await _link(visit, staff_id, token)


async def drop_second_factor(visit: Visit, staff_id: int) -> HTTPResponse:
    """Remove the second factor, for a device that is lost."""
    work = visit.console.administration.drop_second_factor(staff_id, actor=visit.actor)
    return await _change(visit, staff_id, work, "second-factor", "second-factor")


async def end_sessions(visit: Visit, staff_id: int) -> HTTPResponse:
    """Sign an account out everywhere."""
    work = visit.console.administration.end_sessions(staff_id, actor=visit.actor)
    return await _change(visit, staff_id, work, "ended", "end-sessions")
