"""check: whether the files of data/ and force/ are as they must be, with file and line of each fault."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bot.commands import Commands, say
from bot.errors import ContentError
from bot.settings import Settings


def add(commands: Commands) -> None:
    """Add the parser."""
    check = commands.add_parser(
        "check", help="check data/ and the force's files; exit code 1 if one is wrong"
    )
    check.set_defaults(run=_check)


async def _check(settings: Settings, _chosen: argparse.Namespace) -> int:
    found = list(faults(settings))
    for fault in found:
        say(fault)
    if found:
        say(f"{len(found)} {'thing is' if len(found) == 1 else 'things are'} wrong. Nothing was changed.")
        return 1
    say("data/ and the force's files are as they must be.")
    return 0


def faults(settings: Settings) -> Iterator[str]:
    """Everything that is wrong, each as a sentence."""
    from bot import practice
    from bot.assistant import content_from_files, sources
    from bot.channels.whatsapp import texts
    from bot.conversations.samples import setting as daily_sample
    from bot.handover.clock import ReplyLimits
    from bot.handover.incident import IncidentRule
    from bot.knowledge import wording
    from bot.safety import Screen

    sound = True
    try:
        screen = Screen.load(settings.data / "risk")
    except ContentError as error:
        sound = False
        yield str(error)
    files = (
        *sources.faults(settings.data),
        *sources.faults_of_replies(settings.force),
        *texts.faults(settings.force),
    )
    for fault in files:
        sound = False
        yield fault
    if not sound:
        # Words are read once the files that hold them are what they should be.
        return
    try:
        content = content_from_files(settings.force, settings.data)
        yield from content.faults()
        ReplyLimits.of(content.clock, content.hours, content.teams)
        IncidentRule.of(content.force)
        daily_sample(content.force)
        yield from practice.faults(settings.force, content, screen)
        yield from map(str, wording.check(settings.force, settings.data))
    except ContentError as error:
        yield str(error)
