"""alarm: try the ways by which alarms leave, and show the newest ones."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bot.commands import Commands, say
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.handover.alarms import Alarms

PATHS = ("mail", "webhook")


def add(commands: Commands) -> None:
    """Add the parsers."""
    alarm = commands.add_parser("alarm", help="test the alarm paths, or list the newest alarms")
    verbs = alarm.add_subparsers(dest="verb", required=True)

    test = verbs.add_parser("test", help="really call everybody of a level, and say that it is a test")
    test.add_argument("--path", choices=PATHS, help="this path alone; without it, each that is set up")
    test.add_argument("--level", type=int, default=1, metavar="N", help="the level of the rota, from 1")
    test.set_defaults(run=_test)

    listing = verbs.add_parser("list", help="show the paths and the newest alarms with their calls")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many alarms")
    listing.set_defaults(run=_list)


def _open(settings: Settings) -> Alarms:
    from bot.handover.alarms import Alarms, read_rota
    from bot.store import Store

    store = Store(settings.database_url)
    return Alarms(store, settings, read_rota(settings), gateway="command line")


async def _test(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.errors import RefusedError
    from bot.handover.alarms import PATH_WORDS
    from bot.messages import Actor

    alarms = _open(settings)
    paths = (chosen.path,) if chosen.path else alarms.state.set_up
    failed = not paths
    try:
        for problem in alarms.state.problems:
            say(f"To mend: {problem}")
        if not paths:
            say("No alarm path is set up, so there is nothing to test.")
        for path in paths:
            try:
                for one in await alarms.test(path, chosen.level - 1, Actor("command line")):
                    failed = failed or one.outcome.result != "taken"
                    word = "got through" if one.outcome.result == "taken" else "did not get through"
                    detail = f" ({one.outcome.detail})" if one.outcome.detail else ""
                    say(f"{PATH_WORDS[path].capitalize()} to {one.contact}: {word}{detail}.")
            except RefusedError as error:
                failed = True
                say(f"{PATH_WORDS[path].capitalize()}: {error}")
    finally:
        await alarms.stop(1)
        await alarms.store.close()
    return int(failed)


async def _list(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.handover.alarms import PATH_WORDS, path_records, recent
    from bot.messages import Actor

    alarms = _open(settings)
    try:
        async with alarms.store.read() as connection:
            records = await path_records(connection)
            shown = await recent(connection, Actor("command line"), max(1, chosen.limit))
        for record in records:
            state = "set up" if record.path in alarms.state.set_up else "not set up"
            taken = f"{record.taken_at:%Y-%m-%d %H:%M} UTC" if record.taken_at else "never"
            failed = f"{record.failed_at:%Y-%m-%d %H:%M} UTC" if record.failed_at else "never"
            say(f"{PATH_WORDS[record.path]}: {state}; last got through {taken}; last failed {failed}")
        for one in shown:
            alarm = one.alarm
            settled = f"settled: {alarm.settled_by}" if alarm.settled_at else "NOBODY HAS LOOKED YET"
            what = " ".join(part for part in (alarm.kind, alarm.reference, alarm.category) if part)
            say(f"{alarm.raised_at:%Y-%m-%d %H:%M:%S} UTC  {what}  level {alarm.level + 1}  {settled}")
            for attempt in one.attempts:
                say(
                    f"    {attempt.path} to {attempt.contact}, try {attempt.number}: "
                    f"{attempt.result or 'under way'} {attempt.detail or ''}".rstrip()
                )
        if not shown:
            say("There were no alarms.")
    finally:
        await alarms.stop(1)
        await alarms.store.close()
    return 0
