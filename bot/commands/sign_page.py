"""sign-page: what a page with the web chat may say of itself, signed for staff to read."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from bot.commands import Commands, say
from bot.settings import Settings

LONGEST_DAYS = 400


def add(commands: Commands) -> None:
    """Add the parser."""
    sign = commands.add_parser(
        "sign-page", help="make the attribute that tells staff which page somebody was reading"
    )
    sign.add_argument("topic", help="what the page is about, such as 'report antisocial behaviour'")
    sign.add_argument(
        "--days", type=_days, default=365, metavar="N", help=f"how long it is good, 1 to {LONGEST_DAYS}"
    )
    sign.set_defaults(run=_sign)


def _days(value: str) -> int:
    days = int(value)
    if not 1 <= days <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"a number from 1 to {LONGEST_DAYS}")
    return days


async def _sign(settings: Settings, chosen: argparse.Namespace) -> int:
    from bot.channels.webchat.context import sign

    until = datetime.now(UTC) + timedelta(days=chosen.days)
    say(sign(settings.webchat_page_key.get_secret_value(), chosen.topic, until))
    return 0
