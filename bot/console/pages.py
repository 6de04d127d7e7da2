"""Templates into pages: one Jinja environment, and the few words that every page needs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import (
    ChainableUndefined,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
)

from bot.accounts import ANSWERS, PARTS, Member, Session
from bot.console.durations import due_in, how_long, left_until
from bot.core import Core
from bot.handover.incident import first_report
from bot.practice import Practice
from bot.store.record import now

TEMPLATES = Path(__file__).parent / "templates"

CHANNELS = {
    "webchat": "Web chat",
    "telegram": "Telegram",
    "messenger": "Messenger",
    "instagram": "Instagram",
    "facebook-comments": "Facebook comments",
    "instagram-comments": "Instagram comments",
    "whatsapp": "WhatsApp",
    "x": "X",
    "x-mentions": "X posts",
}
NETS = {
    "screen": "the safety words list",
    "understanding": "the assistant's understanding",
    "asked": "the person's wish",
    "fallback": "the assistant, which could not help",
    "language": "the language",
    "staff": "a member of staff",
    "clock": "the clock",
}
STATES = {"bot": "Assistant", "waiting": "Waiting", "human": "With a person", "closed": "Closed"}
DELIVERY = {
    "queued": "Waiting to be sent",
    "sending": "Being sent",
    "sent": "Sent",
    "delivered": "Delivered",
    "read": "Read",
    "failed": "Not delivered",
    "unknown": "May not have arrived",
    "refused": "Not sent",
}
KINDS = {
    "button": "chose",
    "location": "sent a location",
    "image": "sent a picture (not opened)",
    "voice": "sent a voice message (not opened)",
    "video": "sent a video (not opened)",
    "sticker": "sent a sticker (not opened)",
    "file": "sent a file (not opened)",
    "contact": "shared a contact (not kept)",
    "unsupported": "sent something that cannot be shown",
    "deleted": "took a message back",
    "reaction": "reacted",
    "moved": "has a new number or name there; the chat goes on",
    "moved_apart": "has a new number there and writes from it in another chat. "
    "A reply in this one may not reach them",
}
STAFF_STATES = {
    "invited": "Invited",
    "reset": "Has to set a new password",
    "active": "Active",
    "locked": "Locked after wrong tries",
    "suspended": "Suspended",
}
ROLE_NAMES = {
    "moderator": "Moderator",
    "comms": "Communications",
    "supervisor": "Supervisor",
    "admin": "Administrator",
}


class Pages:
    """Renders the desk's templates."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.stand_in = secrets.token_hex(16)
        """Stands in pieces that many readers share where each has the form's token (`filled`)."""
        self.practice: Practice | None = None
        """Set by the room of practice alone: then every page says so. No setting can."""
        self._jinja = Environment(
            loader=ChoiceLoader(
                [
                    FileSystemLoader(TEMPLATES),
                    PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
                ]
            ),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # templates do not change while we run: no look at each file for each row
            undefined=ChainableUndefined,  # the macros of govuk-frontend-jinja ask for it
        )
        self._jinja.filters.update(
            clock=self._clock,
            waited=waited,
            iso=lambda at: at.isoformat() if at else "",
            channel=self.channel_name,
            net=lambda name: NETS.get(name, name),
            state_name=lambda name: STATES.get(name, name),
            delivery=lambda name: DELIVERY.get(name, name),
            kind=lambda name: KINDS.get(name, ""),
            role_name=lambda name: ROLE_NAMES.get(name, name),
            category_name=self.category_name,
            language_name=self.language_name,
            team_name=self.team_name,
            staff_state=state_of,
            due_in=due_in,
            left_until=left_until,
            how_long=how_long,
            is_late=lambda at: at is not None and at <= now(),
            incident_due=self.incident_due,
            is_soon=lambda at: at - now() <= timedelta(hours=4),
        )

    def render(self, template: str, session: Session | None, path: str, **values: Any) -> str:
        """One page or part, as HTML."""
        content = self._core.content.current
        settings = self._core.settings
        return self._jinja.get_template(template).render(
            session=session,
            signed_in=session is not None and not session.locked and not session.owes,
            csrf=session.csrf if session else "",
            stream_key=session.id[:12] if session else "",
            answering=session is not None and session.role in ANSWERS,
            own_parts=PARTS.get(session.role, ()) if session else (),
            force=content.force,
            desk_word=content.desk_word,
            desk_name=content.desk_name,
            alarm_warnings=self.warnings() if session is not None else (),
            channel_warnings=self._core.standings.warnings(self.channels) if session is not None else (),
            open_items=self._core.open_items if session and session.role in ("supervisor", "admin") else 0,
            held_back=self._held_back(session),
            comments_on=settings.takes_comments,
            practice=self.practice,
            demo_banner=content.line("demo_banner") if settings.demo else "",
            idle_seconds=int(settings.idle_lock_minutes * 60),
            path=path,
            **values,
        )

    def piece(self, template: str, **values: Any) -> str:
        """A small part of a page by itself: only what it is given is in it."""
        return self._jinja.get_template(template).render(**values)

    def _held_back(self, session: Session | None) -> list[str]:
        """Channels that may not go live yet, for whoever can do something about it."""
        if session is None or session.role not in ("supervisor", "admin"):
            return []
        return [self.channel_name(name) for name in sorted(self._core.held_back)]

    def filled(self, html: bytes, csrf: str) -> bytes:
        """A page with such pieces, its reader's own token in each form."""
        return html.replace(self.stand_in.encode(), csrf.encode())

    def warnings(self) -> Sequence[str]:
        """What every page says of the ways by which alarms leave the desk."""
        return () if self.practice else self._core.alarms.warnings()

    def channel_name(self, name: str) -> str:
        """What staff call a platform."""
        return self.channels.get(name, str(name).capitalize())

    @property
    def channels(self) -> dict[str, str]:
        """What staff call each platform; a joined site has its own title."""
        own = {key: getattr(one, "title", "") for key, one in self._core.channels.items()}
        return CHANNELS | {key: str(title) for key, title in own.items() if title}

    def incident_due(self, row: Any) -> datetime | None:
        """By when a chat needs the force's incident number; None: it has one, or needs none."""
        limits = self._core.limits
        told = None if row.incident or row.state == "closed" else first_report(row, limits.rule)
        return None if told is None else told + limits.limits.incident_warnings[-1]

    def category_name(self, key: str | None) -> str:
        """What staff call a category of risk."""
        category = self._core.screen.categories.get(key) if key else None
        return category.name if category is not None else (key or "No category")

    def language_name(self, code: str) -> str:
        """What staff read about the language that somebody probably writes."""
        return f"probably {self._core.words.language_name(code)}"

    def team_name(self, key: str | None) -> str:
        """What staff call a team."""
        if not key:
            return "No team"
        return self._core.content.current.team_name(key)

    def theme(self) -> str:
        """The force's colour as a style sheet; anything but a plain colour is left out."""
        colour = str(self._core.content.current.force.get("colour", ""))
        if re.fullmatch(r"#[0-9a-fA-F]{6}", colour) is None:
            return ""
        return f":root{{--desk-colour:{colour};--govuk-brand-colour:{colour}}}"

    def _clock(self, at: datetime | None) -> str:
        """A time as the force's clocks show it; with the day when that is not today."""
        if at is None:
            return ""
        zone = ZoneInfo(str(self._core.content.current.hours.get("timezone", "Europe/London")))
        local, today = at.astimezone(zone), now().astimezone(zone).date()
        if local.date() == today:
            return f"{local:%H:%M}"
        return f"{local.day} {local:%b, %H:%M}"


def state_of(member: Member) -> str:
    """How an account stands, in words."""
    return STAFF_STATES[member.state] + (" (the link is too old)" if member.link_expired else "")


def waited(since: datetime | None) -> str:
    """How long ago, in words short enough for a list."""
    if since is None:
        return ""
    minutes = int(max(timedelta(), now() - since).total_seconds() // 60)
    if minutes < 1:
        return "under 1 min"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
