"""How X stands for us, in sentences for staff: nothing comes, nobody is called, nothing leaves.

Each gateway says what it knows. That nothing comes, or that X does not call, all of them read from the same
rows. Whether replies leave only the gateway knows that tried: the newest answer of X's counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.channels.x.inbound import NAME
from bot.channels.x.options import Options
from bot.channels.x.outbound import WayOut
from bot.channels.x.polling import SWEEP_SECONDS
from bot.channels.x.state import Progress, Way
from bot.messages import Standing

LONG_SECONDS = 60.0
"""A shorter rest than this is not worth a warning."""
WELL = "well"


def standings(
    ways: Mapping[Way, Progress],
    channel: WayOut,
    options: Options,
    *,
    moment: datetime,
    started: datetime,
    zone: ZoneInfo,
    replies: WayOut | None = None,
) -> list[Standing]:
    """What can be said now, topic by topic; of what is not known yet, nothing."""
    incoming = _incoming(ways, options, moment, started, zone)
    is_silent = incoming is not None and incoming.degraded
    found = (
        incoming,
        _calls(ways["webhook"], options, moment, zone, is_silent=is_silent),
        _outgoing(channel, options, moment, zone),
        _mentions(ways.get("mentions", Progress()), options, moment, started, zone),
        None if replies is None else _outgoing(replies, options, moment, zone, "public", "public reply"),
    )
    return [one for one in found if one is not None]


def _incoming(
    ways: Mapping[Way, Progress], options: Options, moment: datetime, started: datetime, zone: ZoneInfo
) -> Standing | None:
    heard = [at for way in (ways["poll"], ways["webhook"]) if (at := way.good_at) is not None]
    patience = timedelta(seconds=options.silent_seconds + (SWEEP_SECONDS if options.webhook_url else 0.0))
    if heard and moment - max(heard) < patience:
        return _standing(options, "incoming", WELL, moment)
    if moment - max([started, *heard]) < patience:
        # Too early for this gateway to say so; one that has run for longer may.
        return None
    since = _clock(max(heard, default=started), zone)
    why = ways["poll"].trouble or "no gateway asks it"
    return _standing(
        options, "incoming", "silent", moment,
        f"Nothing has come from X since {since}: {why}. People who write there may get no answer.",
    )  # fmt: skip


def _calls(
    webhook: Progress, options: Options, moment: datetime, zone: ZoneInfo, *, is_silent: bool
) -> Standing | None:
    if options.webhook_url is None:
        return None
    if webhook.trouble is None or webhook.trouble_at is None:
        return _standing(options, "calls", WELL, moment)
    if moment - webhook.trouble_at < timedelta(seconds=options.silent_seconds):
        return None
    why = f"X has not called this system since {_clock(webhook.trouble_at, zone)}: {webhook.trouble}."
    if not is_silent:
        why += " The system asks X for messages instead. They come a minute later or more."
    return _standing(options, "calls", "not_called", moment, why)


def _mentions(
    way: Progress, options: Options, moment: datetime, started: datetime, zone: ZoneInfo
) -> Standing | None:
    """Whether somebody reads the posts that mention us: nobody is to rely on it who cannot."""
    if not options.mentions:
        return None
    patience = timedelta(seconds=options.silent_seconds)
    if way.good_at is not None and moment - way.good_at < patience:
        return _standing(options, "mentions", WELL, moment)
    since = max(started, way.good_at or started)
    if moment - since < patience:
        return None
    return _standing(
        options, "mentions", "silent", moment,
        f"Posts that mention us have not been read since {_clock(way.good_at or started, zone)}: "
        f"{way.trouble or 'no gateway asks X for them'}. Somebody has to look at them on X.",
    )  # fmt: skip


def _outgoing(
    channel: WayOut, options: Options, moment: datetime, zone: ZoneInfo, topic: str = "outgoing",
    what: str = "reply",
) -> Standing | None:  # fmt: skip
    if channel.heard_at is None:
        return None
    if channel.refused is not None:
        why = f"No {what} leaves: {channel.refused}. Replies wait."
        return _standing(options, topic, "refused", channel.heard_at, why)
    if channel.budget.closed_for < LONG_SECONDS:
        return _standing(options, topic, WELL, channel.heard_at)
    until = moment + timedelta(seconds=channel.budget.closed_for)
    # To the minute and the minute after: a time that moves would be read out again and again. A window
    # ends at a full second, as we count it a hair before or after.
    until += timedelta(seconds=60.5)
    why = f"X takes no {what} from us until {_clock(until, zone)}. Replies wait."
    return _standing(options, topic, "used_up", channel.heard_at, why)


def _standing(options: Options, topic: str, says: str, at: datetime, why: str = "") -> Standing:
    return Standing(NAME, options.user_id, topic, says, says != WELL, at, why)


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%-d %B, %H:%M")
