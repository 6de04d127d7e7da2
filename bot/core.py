"""The parts of one gateway, wired together without any page or socket: what `app.py` serves.

Kept apart from `app.py` so that `evaluate` and tests run the very same parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bot.assistant import Assistant, LiveContent, content_from_files
from bot.conversations import quiet
from bot.conversations.approval import Approvals
from bot.conversations.approved import ApprovedTexts
from bot.conversations.clocks import Clocks
from bot.conversations.comments import Comments
from bot.conversations.desk import Desk
from bot.conversations.door import Door
from bot.conversations.hiding import HIDE, LOOK, REVIEW, Hiding
from bot.conversations.limits import Limits
from bot.conversations.moves import Moves
from bot.conversations.outbox import OutboxSender
from bot.conversations.outgoing import OwnWords
from bot.conversations.silence import Silence
from bot.conversations.standing import Standings
from bot.conversations.surges import KIND as SURGE_ANSWER
from bot.conversations.surges import SurgeAnswers, never_grouped
from bot.conversations.turn import Turns
from bot.conversations.words import Words
from bot.errors import StoreUnavailableError
from bot.handover import measures
from bot.handover.alarms import Alarms, read_rota
from bot.handover.approval import KIND as APPROVAL
from bot.handover.surges import RISES as SURGE_RISES
from bot.handover.surges import Surges
from bot.handover.viewing import Views
from bot.messages import Channel
from bot.safety import Languages, Screen
from bot.safety.guard import Lists, LiveGuard
from bot.settings import Settings
from bot.store import Bell, Store
from bot.streams import Streams

log = structlog.get_logger(__name__)


def gateway_name() -> str:
    """A name for this process that no other has, nor had before a restart."""
    return f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(slots=True)
class Core:
    """Everything that one gateway holds."""

    settings: Settings
    store: Store
    bell: Bell
    content: LiveContent
    screen: Screen
    words: Words
    assistant: Assistant
    door: Door
    turns: Turns
    outbox: OutboxSender
    clocks: Clocks
    desk: Desk
    moves: Moves
    views: Views
    standings: Standings
    approvals: Approvals
    approved: ApprovedTexts
    hiding: Hiding
    surges: SurgeAnswers
    grouping: Surges
    alarms: Alarms
    languages: Languages
    guard: LiveGuard
    limits: Limits
    name: str
    channels: Mapping[str, Channel] = field(default_factory=dict)
    """Every way in and out, by name."""
    streams: Streams = field(default_factory=Streams)
    started: bool = False
    """The database is up to date and the parts run."""
    open_items: int = 0
    """How many things `frontcounter ready` found open at this start, while a channel is live."""
    held_back: frozenset[str] = frozenset()
    """Channels whose token is real and that may not go live yet: nothing of theirs is taken in."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Read the live words, and begin to send and to keep time."""
        await self.bell.start()
        with contextlib.suppress(StoreUnavailableError):
            await self.content.refresh(self.store)
        self.outbox.held_back = self.held_back
        self._tasks = [
            asyncio.create_task(self.outbox.run(), name="outbox"),
            asyncio.create_task(self.clocks.run(), name="clocks"),
            asyncio.create_task(
                self.content.keep(self.store, self.bell, self.settings.poll_seconds), name="content"
            ),
            asyncio.create_task(asyncio.to_thread(self.languages.load), name="languages"),
        ]
        self.alarms.start(scan=True)
        self.started = True

    async def stop(self, seconds: float = 15.0) -> None:
        """Let turns and sends under way end, then close everything."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self.clocks.stop()
        await self.door.line.stop(seconds)
        clocks = [task for task in self._tasks if task.get_name() == "clocks"]
        if clocks:
            await asyncio.wait(clocks, timeout=seconds)
        while self.turns.running and loop.time() < until:
            await self.turns.drain(until - loop.time())
        await self.outbox.stop(max(self.settings.send_timeout_seconds, until - loop.time()))
        await self.alarms.stop(max(1.0, until - loop.time()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.assistant.close()
        await self.bell.stop()
        await self.store.close()


def build_core(settings: Settings, channels: Mapping[str, Channel]) -> Core:
    """Wire the parts of one gateway.

    Raises:
        ContentError: a file of content is wrong.
        SettingError: a setting is wrong.
    """
    name = gateway_name()
    store = Store(settings.database_url)
    bell = Bell(settings.redis_url)
    content = LiveContent(content_from_files(settings.force, settings.data))
    screen = Screen.load(settings.data / "risk")
    words = Words(screen, content)
    limits = Limits(store, content, channels)
    languages = Languages.of(screen, settings.data)
    assistant = Assistant(
        settings.assistant_urls,
        settings.assistant_secret,
        timeout_seconds=settings.assistant_timeout_seconds,
    )
    own = OwnWords(channels, words)
    guard = LiveGuard(
        Lists.load(settings.data / "plain"),
        lambda: content.current.contacts,
        lambda: content.current.own_names,
    )
    comments = Comments(store, content, channels, guard)
    outbox = OutboxSender(
        store,
        bell,
        words,
        channels,
        gateway=name,
        send_timeout_seconds=settings.send_timeout_seconds,
        poll_seconds=settings.poll_seconds,
    )
    turns = Turns(
        store, bell, words, assistant, outbox.send_in_store, languages, gateway=name,
        lease_seconds=settings.lease_seconds, limits=limits, comments=comments,
    )  # fmt: skip
    clocks = Clocks(
        store, bell, words, turns, assistant, content, gateway=name,
        poll_seconds=settings.poll_seconds, limits=limits, own=own, channels=channels,
    )  # fmt: skip
    clocks.add_kind(quiet.KIND, quiet.Quiet(store, content).look)
    alarms = Alarms(
        store,
        settings,
        read_rota(settings, str(content.current.hours.get("timezone", "Europe/London"))),
        gateway=name,
        category_name=lambda key: screen.categories[key].name if key in screen.categories else key,
        team_name=lambda key: content.current.team_name(key),
    )
    clocks.add_kind(measures.KIND, measures.Reviews(store).look)
    desk = Desk(store, bell, words, outbox, assistant, limits, guard)
    approvals = Approvals(store, bell, content, guard)
    clocks.add_kind(APPROVAL, approvals.rise)
    hiding = Hiding(store, bell, channels, lambda: comments.rule)
    clocks.add_kind(HIDE, hiding.hide, of_channel=True)
    clocks.add_kind(LOOK, hiding.look, of_channel=True)
    clocks.add_kind(REVIEW, hiding.rise)
    surges = SurgeAnswers(store, bell, content, desk, guard)
    grouping = Surges(
        store,
        lambda: never_grouped(content, lambda key: screen.words(key).subject_hidden, list(screen.categories)),
        gateway=name,
    )
    clocks.add_kind(SURGE_ANSWER, surges.send)
    clocks.add_kind(SURGE_RISES, surges.rise)
    clocks.add_sweep(grouping.sweep)
    views = Views(store, bell)
    clocks.add_sweep(views.sweep)
    standings = Standings(store, channels)
    clocks.add_sweep(Silence(store, content, channels).sweep)
    clocks.add_sweep(standings.sweep)
    door = Door(
        store, bell, words, channels, turns.kick, outbox.send_in_store, alarms.unstored,
        limits=limits, own=own, comments=comments,
    )  # fmt: skip
    turns.stand_back = door.line.until_calm
    return Core(
        settings=settings,
        store=store,
        bell=bell,
        content=content,
        screen=screen,
        words=words,
        assistant=assistant,
        door=door,
        turns=turns,
        outbox=outbox,
        clocks=clocks,
        desk=desk,
        moves=Moves(store, bell, words, outbox, desk),
        views=views,
        standings=standings,
        approvals=approvals,
        approved=ApprovedTexts(store, bell, content, limits, guard),
        hiding=hiding,
        surges=surges,
        grouping=grouping,
        alarms=alarms,
        languages=languages,
        guard=guard,
        limits=limits,
        name=name,
        channels=channels,
    )
