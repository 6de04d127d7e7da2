"""staff: who may sign in at the desk."""

from __future__ import annotations

import argparse

from bot.commands import Commands, say
from bot.settings import Settings

ROLES = ("moderator", "comms", "supervisor", "admin")


def add(commands: Commands) -> None:
    """Add the parser."""
    staff = commands.add_parser("staff", help="add a member of staff; the password is printed once")
    staff.add_argument("username")
    staff.add_argument("--name", required=True)
    staff.add_argument("--role", choices=ROLES, required=True)
    staff.add_argument("--team", action="append", default=[])
    staff.set_defaults(run=_staff)


async def _staff(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.accounts import create_staff, new_password
    from bot.store import Store

    store = Store(settings.database_url)
    password = new_password()
    try:
        await create_staff(store, chosen.username, chosen.name, chosen.role, chosen.team, password)
    finally:
        await store.close()
    say(f"{chosen.username} can sign in with this password, shown only now: {password}")
    return 0
