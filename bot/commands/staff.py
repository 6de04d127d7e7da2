"""staff: who may sign in at the desk."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bot.commands import Commands, say
from bot.messages import Actor
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.accounts import Administration, Member

ROLES = ("moderator", "comms", "supervisor", "admin")


def add(commands: Commands) -> None:
    """Add the parsers."""
    staff = commands.add_parser("staff", help="invite, list, suspend and reset members of staff")
    verbs = staff.add_subparsers(dest="verb", required=True)

    invite = verbs.add_parser("invite", help="make an account; prints a link that sets its password")
    invite.add_argument("username")
    invite.add_argument("--name", required=True, help="the name that colleagues and the public read")
    invite.add_argument("--role", choices=ROLES, required=True)
    invite.add_argument("--team", action="append", default=[], help="may be given more than once")
    invite.set_defaults(run=_invite)

    listing = verbs.add_parser("list", help="show every account")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=_list)

    role = verbs.add_parser("role", help="change the role")
    role.add_argument("username")
    role.add_argument("role", choices=ROLES)
    role.set_defaults(run=_role)

    teams = verbs.add_parser("teams", help="change the teams; without any, none")
    teams.add_argument("username")
    teams.add_argument("team", nargs="*")
    teams.set_defaults(run=_teams)

    suspend = verbs.add_parser("suspend", help="let nobody sign in with the account; its sessions end")
    suspend.add_argument("username")
    suspend.add_argument("--reason", required=True, help="stays in the history of the account")
    suspend.set_defaults(run=_suspend)

    restore = verbs.add_parser("restore", help="lift a suspension")
    restore.add_argument("username")
    restore.set_defaults(run=_restore)

    reset = verbs.add_parser("reset", help="take the password away; prints a new link")
    reset.add_argument("username")
    reset.add_argument("--second-factor", action="store_true", help="for a lost device: remove it too")
    reset.set_defaults(run=_reset)

    end = verbs.add_parser("end-sessions", help="sign the account out everywhere")
    end.add_argument("username")
    end.set_defaults(run=_end_sessions)


def actor() -> Actor:
    """Who acts: whoever runs the command on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown user"
    return Actor(f"command line ({user})", None, "admin")


@asynccontextmanager
async def _administration(settings: Settings) -> AsyncIterator[Administration]:
    """The accounts of a database that is up to date; chats go back to its queue as at the desk."""
    from bot.accounts import Administration
    from bot.app import prepare
    from bot.core import build_core

    core = build_core(settings, {})
    try:
        await prepare(core.store, core.content.current)
        await core.content.refresh(core.store)
        yield Administration(core.store, core.desk)
    finally:
        await core.stop(1.0)


def _say_link(settings: Settings, member: Member, token: str) -> None:
    from bot.accounts import address_of

    address = address_of(settings, token)
    say(f"Give this link to {member.name}, and to nobody else. It works once, and ends after 72 hours:")
    say(address)
    if address.startswith("/"):
        say("Put the address of your desk in front of it, or set FRONTCOUNTER_DESK_URL.")


async def _invite(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        staff_id, token = await administration.invite(
            chosen.username, chosen.name, chosen.role, chosen.team, actor=actor()
        )
        _say_link(settings, await administration.member(staff_id), token)
    return 0


async def _list(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        members = await administration.members()
    if chosen.json:
        say(json.dumps([_as_json(member) for member in members], ensure_ascii=False, indent=2))
        return 0
    if not members:
        say("There is nobody yet. `frontcounter staff invite` makes the first account.")
    for member in members:
        factor = "second factor" if member.second_factor else "no second factor"
        teams = ", ".join(member.teams) or "no teams"
        say(f"{member.username:<20}{member.name:<26}{member.role:<12}{member.state:<11}{factor:<18}{teams}")
    return 0


def _as_json(member: Member) -> dict[str, object]:
    return {
        "username": member.username,
        "name": member.name,
        "role": member.role,
        "teams": list(member.teams),
        "state": member.state,
        "link_expired": member.link_expired,
        "second_factor": member.second_factor,
        "recovery_codes_left": member.codes_left,
        "last_seen": member.seen_at.isoformat() if member.seen_at else None,
    }


async def _role(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        await administration.set_access(member.id, role=chosen.role, actor=actor())
    say(f"{member.name} has the role {chosen.role} now.")
    return 0


async def _teams(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        await administration.set_access(member.id, teams=chosen.team, actor=actor())
    say(f"The teams of {member.name} now: {', '.join(sorted(set(chosen.team))) or 'none'}.")
    return 0


async def _suspend(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        await administration.suspend(member.id, chosen.reason, actor=actor())
    say(f"{member.name} is suspended. Their sessions have ended, and their chats are back in the queue.")
    return 0


async def _restore(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        await administration.restore(member.id, actor=actor())
    say(f"{member.name} is not suspended any more.")
    return 0


async def _reset(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        token = await administration.reset(member.id, actor=actor(), drop_second_factor=chosen.second_factor)
        _say_link(settings, member, token)
    return 0


async def _end_sessions(settings: Settings, chosen: argparse.Namespace) -> int:
    async with _administration(settings) as administration:
        member = await administration.called(chosen.username)
        ended = await administration.end_sessions(member.id, actor=actor())
    say(f"{ended} {'session' if ended == 1 else 'sessions'} of {member.name} ended.")
    return 0
