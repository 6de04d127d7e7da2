"""Joined sites: message boards, blogs and mail gateways that speak our own webhook. No code for each.

In: signed batches of events, `POST /webhook/<name>`. Out: signed calls to the site's own address. Each
site is a channel of its own, made from a file and from keys in the settings. What travels is written
down in docs/channels/webhook.md and its schema; see README.md here.
"""

from __future__ import annotations

from bot.channels.sites.options import read_sites
from bot.channels.sites.platform import JoinedSite
from bot.settings import Settings

__all__ = ["JoinedSite", "joined_sites"]


def joined_sites(settings: Settings) -> dict[str, JoinedSite]:
    """Every site that the force has joined, by the name of its channel.

    Raises:
        SettingError: the file of sites, a key or a host is wrong; names it and says what to do.
    """
    return {site.channel: JoinedSite(site, settings) for site in read_sites(settings)}
