"""ready, sign-off, publish: what keeps this force from going live, and what to do about it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bot.commands import Commands, say
from bot.errors import ContentError, RefusedError, SettingError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.assurance.findings import Report
    from bot.store import Store


def add(commands: Commands) -> None:
    """Add the parsers."""
    ready = commands.add_parser("ready", help="list what blocks going live; exit code 1 while something does")
    ready.add_argument("--json", action="store_true", help="for machines")
    ready.set_defaults(run=_ready)
    sign = commands.add_parser("sign-off", help="take responsibility by name for something that blocks")
    sign.add_argument("items", nargs="+", metavar="ITEM", help="keys that `frontcounter ready` prints")
    sign.add_argument("--by", required=True, metavar="USERNAME", help="a supervisor or administrator")
    sign.add_argument("--name", required=True, help="their full name, as the account has it")
    sign.add_argument("--reason", required=True, help="why it is acceptable")
    sign.add_argument("--withdraw", action="store_true", help="take the word back")
    sign.set_defaults(run=_sign_off)
    publish = commands.add_parser("publish", help="make the files of force/ and data/faq the live release")
    publish.add_argument("--by", required=True, metavar="USERNAME", help="who answers for it (comms, admin)")
    edits = publish.add_mutually_exclusive_group()
    edits.add_argument(
        "--keep-edits", dest="edits", action="store_const", const="keep", default="refuse",
        help="texts that were changed in the studio since files were last published stay as they are",
    )  # fmt: skip
    edits.add_argument(
        "--over-edits", dest="edits", action="store_const", const="overwrite",
        help="overwrite them with the files",
    )  # fmt: skip
    publish.set_defaults(run=_publish)


async def _look(settings: Settings, store: Store) -> Report:
    from bot.app import surroundings
    from bot.assurance.readiness import look
    from bot.assurance.rows import is_up_to_date

    if not await is_up_to_date(store):
        raise SettingError("The database is not of this version. Run `frontcounter migrate`, then repeat.")
    around = surroundings(settings, store)
    try:
        return await look(around)
    finally:
        for platform in around.platforms.values():
            if (close := getattr(platform, "close", None)) is not None:
                await close()


async def _ready(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.store import Store

    store = Store(settings.database_url)
    try:
        report = await _look(settings, store)
    finally:
        await store.close()
    if chosen.json:
        say(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
    else:
        _print(report)
    return 1 if report.blocking else 0


def _print(report: Report) -> None:
    group = ""
    for finding in report.findings:
        if finding.group != group:
            group = finding.group
            say()
            say(group)
        signed = report.signed.get(finding.key)
        mark = "signed off" if signed else "blocks" if finding.blocks else "warning"
        say(f"  [{mark}] {finding.key}")
        say(f"      {finding.what}")
        if signed:
            say(f"      Signed off by {signed.name}, {signed.at[:10]}: {signed.reason}")
        else:
            say(f"      {finding.do} ({finding.who})")
    say()
    left = len(report.blocking)
    if not left:
        say("Nothing blocks going live.")
        return
    say(f"{left} {'thing blocks' if left == 1 else 'things block'} going live. Do what is said, or let a")
    say("supervisor or administrator take responsibility for one:")
    say('  frontcounter sign-off ITEM --by USERNAME --name "Full name" --reason "Why it is acceptable"')


async def _sign_off(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.assurance.signoff import sign_off, withdraw
    from bot.store import Store

    store = Store(settings.database_url)
    try:
        words = {"by": chosen.by, "name": chosen.name, "reason": chosen.reason}
        if chosen.withdraw:
            await withdraw(store, chosen.items, **words)
        else:
            await sign_off(store, await _look(settings, store), chosen.items, **words)
    finally:
        await store.close()
    say(f"{'Withdrawn' if chosen.withdraw else 'Signed off'}: {', '.join(chosen.items)}.")
    return 0


async def _publish(settings: Settings, chosen: argparse.Namespace) -> int:
    from sqlalchemy import select

    from bot.assistant import content_from_files
    from bot.assurance.readiness import missing_findings
    from bot.knowledge.releases import publish
    from bot.messages import Actor
    from bot.store import Store
    from bot.store.tables import Staff

    content = content_from_files(settings.force, settings.data)
    if missing := next(missing_findings(content), None):
        raise ContentError(f"Nothing was published. {missing.what} {missing.do}")
    store = Store(settings.database_url)
    try:
        async with store.read() as connection:
            query = select(Staff.__table__).where(Staff.username == chosen.by.strip().lower())
            row = (await connection.execute(query)).one_or_none()
        if row is None or not row.active or row.role not in ("comms", "admin"):
            raise RefusedError(f"{chosen.by} is no active member of communications or administrator.")
        release = await publish(store, content, Actor(row.name, row.id, row.role), edits=chosen.edits)
    finally:
        await store.close()
    say(f"Release {release} is live. If a file in data/ changed, train too, then restart the assistants.")
    return 0
