"""The gate: a channel whose token is real neither sends nor fetches before the force is ready.

A channel is live when its platform says so (`live`): a token, at an address that is not of this
machine. The first start at which nothing blocks, or every finding is signed off, is written down
(table `live`, audited); from then on findings only warn. A gateway that is started again months later
must never keep the public out because a review date has passed. A channel that joins a service that
is live is held back alone, until a start at which it may go live: those that are live go on.

While the database is away at a start, nothing can be judged. Then a small file says which channels
had gone live with this database: those begin at once, so that somebody in danger still sees the 999
words. A channel that is not in it waits for the database. (The route of its webhook is open, but
nobody calls it before the channel has told the platform its address.) Without the file, as on a new
machine, a channel that had gone live waits for the database as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.engine import make_url

from bot.assurance.findings import Report
from bot.channels.parts import Platform
from bot.errors import SettingError
from bot.messages import Actor
from bot.settings import Settings
from bot.store import Store
from bot.store.record import add_audit, add_event, now, upsert
from bot.store.tables import Live, Staff

log = structlog.get_logger(__name__)

FILE = "live.json"
GATE = Actor("start")
_ABOUT_ONE = ("staff.second-factor", "demo.account")


def live_channels(platforms: Mapping[str, Platform]) -> list[str]:
    """Channels that reach the public by a real token."""
    return sorted(name for name, platform in platforms.items() if getattr(platform, "live", False))


class Gate:
    """Holds live channels back until it has judged."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        platforms: Mapping[str, Platform],
        look: Callable[[], Awaitable[Report]],
    ) -> None:
        self._store = store
        self._look = look
        self._file = settings.var / FILE
        self._database = name_of(settings.database_url)
        self._open = {name: asyncio.Event() for name in live_channels(platforms)}
        if settings.demo and self._open:
            raise SettingError(
                f"A demonstration takes no real token. Take the token of {', '.join(self._open)} away, "
                "or FRONTCOUNTER_DEMO."
            )
        self.report: Report | None = None
        """What was found at this start, where something was looked at."""
        self.held: frozenset[str] = frozenset()
        """Channels with a real token that may not go live yet, beside others that are live."""
        for name in self._known() & set(self._open):
            self._open[name].set()

    async def wait(self, channel: str) -> None:
        """Return once this channel may send and fetch."""
        if channel in self._open:
            await self._open[channel].wait()

    def is_undecided(self, channel: str) -> bool:
        """Whether nobody can say yet if this channel may go live."""
        gate = self._open.get(channel)
        return gate is not None and not gate.is_set() and channel not in self.held

    async def judge(self) -> None:
        """Let every live channel through, or say why not. The database is there.

        Raises:
            SettingError: something blocks, is not signed off, and no other channel is live.
            StoreUnavailableError: the database went away; judge again.
        """
        if not self._open:
            return
        known = self._known()
        async with self._store.read() as connection:
            passed = set((await connection.execute(select(Live.channel))).scalars())
            anybody = (await connection.execute(select(Staff.id).limit(1))).scalar_one_or_none()
        if anybody is None:
            # Emptied, not restored: what the file knows was said of another database at this address.
            known = set()
        # Known by the file alone: the database was restored from before that day.
        new = sorted(set(self._open) - passed)
        if new and set(new) <= known:
            await self._pass(new, "live before this database was restored", [])
        elif new:
            self.report = await self._look()
            if left := self.report.blocking:
                self._refuse([name for name in new if name not in known], len(left))
                new = sorted(set(new) & known)
                if new:
                    await self._pass(new, "live before this database was restored", [])
            else:
                names = sorted({signed.name for signed in self.report.signed.values()})
                await self._pass(new, ", ".join(names) or "nothing was open", sorted(self.report.signed))
        with contextlib.suppress(OSError):
            self._remember(sorted(set(self._open) - self.held))
        for name, event in self._open.items():
            if name not in self.held:
                event.set()

    def _refuse(self, channels: Sequence[str], left: int) -> None:
        """Hold these back; with no other channel that is live, end this start.

        Raises:
            SettingError: none is.
        """
        self.held = frozenset(channels)
        if self.held == set(self._open):
            raise SettingError(
                f"{', '.join(channels).capitalize()} cannot go live yet: "
                f"{left} {'thing is' if left == 1 else 'things are'} open. "
                "`frontcounter ready` lists them, and who can sign them off."
            )
        log.error("gateway.held_back", channels=sorted(channels), count=left)

    async def warn(self) -> None:
        """Say in the log what is open by now; a channel that is live stays so."""
        if not self._open:
            return
        try:
            report = self.report or await self._look()
        except Exception as error:
            # Whatever is wrong with looking, who is live goes on.
            log.warning("ready.not_looked", error=type(error).__name__)
            return
        self.report = report
        if report.blocking:
            items = sorted({_without_names(finding.key) for finding in report.blocking})
            log.warning("ready.open", count=len(report.blocking), items=items)

    async def _pass(self, channels: list[str], by: str, signed_off: list[str]) -> None:
        async with self._store.write() as connection:
            for channel in channels:
                done = await connection.execute(
                    upsert(connection, Live)
                    .values(channel=channel, at=now(), by=by)
                    .on_conflict_do_nothing(index_elements=["channel"])
                )
                if done.rowcount:
                    await add_audit(connection, GATE, "live", channel=channel, by=by, signed_off=signed_off)
                    await add_event(connection, None, "live", {"channel": channel})
        log.info("gateway.live", channels=channels)

    # ---- the file ------------------------------------------------------------------------------

    def _known(self) -> set[str]:
        try:
            loaded = json.loads(self._file.read_text("utf-8"))
            return {str(name) for name in loaded.get(self._database, [])}
        except (OSError, ValueError, AttributeError, TypeError):
            return set()

    def _remember(self, channels: list[str]) -> None:
        """Write the file anew, whole or not at all."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps({self._database: sorted(self._known() | set(channels))})
        handle, part = tempfile.mkstemp(prefix=f".{FILE}.", dir=self._file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(body)
            Path(part).replace(self._file)
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise


def _without_names(key: str) -> str:
    """A finding's key as it may be logged: those about one person end in their user name."""
    for about in _ABOUT_ONE:
        if key.startswith(about + "."):
            return about
    return key


def name_of(database_url: str) -> str:
    """A short name for a database, without its password."""
    url = make_url(database_url).set(username=None, password=None)
    return hashlib.sha256(url.render_as_string().encode()).hexdigest()[:16]
