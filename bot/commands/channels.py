"""channels check: whether the platforms know us, let us do what we must, and call us."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from bot.commands import Commands, say
from bot.errors import SettingError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.channels.checks import Check


def add(commands: Commands) -> None:
    """Add the parsers."""
    channels = commands.add_parser("channels", help="look at the channels")
    of_channels = channels.add_subparsers(dest="what", required=True)
    check = of_channels.add_parser(
        "check", help="ask each platform about token, rights and webhook; exit code 1 if one is wrong"
    )
    check.add_argument("names", nargs="*", metavar="CHANNEL", help="only these channels")
    check.add_argument("--json", action="store_true", help="for machines")
    check.set_defaults(run=_check)


async def _check(settings: Settings, chosen: argparse.Namespace) -> int:
    """Ask every platform at once, then print them in order of their names."""
    found = await look(settings, chosen.names)
    if chosen.json:
        told = {name: [asdict(check) for check in checks] for name, checks in found.items()}
        say(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        _print(found)
    return 1 if any(_is_wrong(check) for checks in found.values() for check in checks) else 0


async def look(settings: Settings, names: list[str]) -> dict[str, list[Check]]:
    """What each channel that is on says of itself, by name; of `names` alone, if there are any.

    Raises:
        SettingError: a name is of no channel that is on, or a channel's settings are wrong.
    """
    from bot.app import platforms
    from bot.channels.checks import checks_of

    known = platforms(settings)
    if strangers := sorted(set(names) - set(known)):
        on = ", ".join(sorted(known)) or "none"
        raise SettingError(f"No channel that is on is called {', '.join(strangers)}. On: {on}.")
    wanted = sorted(names or known)
    try:
        found = await asyncio.gather(*(checks_of(known[name]) for name in wanted))
    finally:
        for platform in known.values():
            if (close := getattr(platform, "close", None)) is not None:
                await close()
    return dict(zip(wanted, found, strict=True))


def _is_wrong(check: Check) -> bool:
    return bool(check.wrong) and not check.unsure


def _print(found: dict[str, list[Check]]) -> None:
    for name, checks in found.items():
        say(name)
        for check in checks:
            mark = "ok" if not check.wrong else "not known" if check.unsure else "wrong"
            say(f"  [{mark}] {check.what}")
            if check.wrong:
                say(f"      {check.wrong}")
                say(f"      {check.do}")
    say()
    every = [check for checks in found.values() for check in checks]
    wrong, unsure = sum(map(_is_wrong, every)), sum(check.unsure for check in every)
    if wrong:
        say(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong. Nothing was changed.")
    elif unsure:
        say(
            f"{unsure} {'thing' if unsure == 1 else 'things'} could not be found out. Nothing is known to be wrong."
        )
    else:
        say("All is well.")
