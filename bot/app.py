"""The one composer: plugs the channels, the pages and the parts together, and serves them.

Two listeners in one process: the public one (web chat, webhooks) and the desk's, which a force
never publishes. Neither knows the other's routes.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sanic import Blueprint, HTTPResponse, Request, Sanic, empty, json
from sanic.exceptions import SanicException
from sanic.server.async_server import AsyncioServer

from bot import console
from bot.accounts import DEMO_STAFF
from bot.assistant import Content
from bot.assurance.live import Gate
from bot.assurance.readiness import Surroundings, look
from bot.channels.comments import Comments
from bot.channels.instagram import Instagram
from bot.channels.messenger import Messenger
from bot.channels.parts import Parts, Platform
from bot.channels.sites import joined_sites
from bot.channels.telegram import Telegram
from bot.channels.webchat import WebChat
from bot.channels.whatsapp import WhatsApp
from bot.channels.x import Mentions, X
from bot.core import Core, build_core
from bot.errors import (
    BadRequestError,
    NotAllowedError,
    RefusedError,
    SettingError,
    UnavailableError,
)
from bot.knowledge.releases import seed
from bot.knowledge.studio import Studio
from bot.messages import Actor
from bot.monitor import Monitor
from bot.practice import CHANNEL, Practice
from bot.settings import Settings
from bot.store import Store
from bot.store.migrate import migrate

log = structlog.get_logger(__name__)

REQUEST_SECONDS = 12.0
"""How long a request under way may take to end; the slowest of ours waits three seconds on purpose."""
LEAVING_SECONDS = 0.3
"""How long a stopping gateway still listens: clients that are busy learn of it in their next answer."""


@dataclass(slots=True)
class Gateway:
    """One gateway process: its parts and its two listeners."""

    core: Core
    public: Sanic[Any, Any]
    desk: Sanic[Any, Any]
    parts: Parts
    platforms: Sequence[Platform]
    monitor: Monitor
    gate: Gate


def platforms(settings: Settings) -> dict[str, Platform]:
    """Every channel that is switched on, by name.

    Raises:
        SettingError, ContentError: a setting or a file of a channel is wrong.
    """
    chosen: dict[str, Platform] = {"webchat": WebChat(settings)}
    if settings.telegram_token.get_secret_value():
        chosen["telegram"] = Telegram(settings)
    if settings.messenger_token.get_secret_value():
        chosen["messenger"] = messenger = Messenger(settings)
        if settings.messenger_comments:
            chosen["facebook-comments"] = Comments(messenger)
    if settings.instagram_token.get_secret_value():
        chosen["instagram"] = instagram = Instagram(settings)
        if settings.instagram_comments:
            chosen["instagram-comments"] = Comments(instagram)
    if settings.whatsapp_token.get_secret_value():
        chosen["whatsapp"] = WhatsApp(settings)
    if settings.x_access_token.get_secret_value():
        chosen["x"] = x = X(settings)
        if settings.x_mentions:
            chosen["x-mentions"] = Mentions(x)
    chosen.update(joined_sites(settings))
    return chosen


def build(settings: Settings, extra: Sequence[Platform] = (), *, practice: Practice | None = None) -> Gateway:
    """Wire a gateway. `extra` are channels beyond the shipped ones (the tests' loopback platform).

    In a `practice` its made-up people are the only channel, and its room is added to the desk.

    Raises:
        ContentError, SettingError: something given from outside is wrong.
    """
    shipped = platforms(settings) if practice is None else {CHANNEL: practice}
    chosen = {**shipped, **{p.channel.name: p for p in extra}}
    core = build_core(settings, {name: platform.channel for name, platform in chosen.items()})
    Studio(core.store, core.bell, core.content, settings).attach(core.clocks)
    parts = Parts(settings, core.store, core.bell, core.door, core.content, core.screen, core.streams)
    monitor = Monitor(core)
    around = Surroundings(settings, core.store, chosen, DEMO_STAFF)
    gate = Gate(settings, core.store, chosen, lambda: look(around))
    public = _app(f"public-{core.name}", settings)
    for platform in chosen.values():
        if isinstance(platform, Comments | Mentions):
            platform.is_held = partial(_is_held, core, platform.channel.name)
        if isinstance(platform, Comments):
            core.clocks.add_kind(platform.fetches, platform.fetch_again)
        public.blueprint(_held_back(platform.blueprint(parts), platform.channel.name, core, gate))
    monitor.add_to(public, "public", inside=False)
    desk = _app(f"desk-{core.name}", settings)
    desk.blueprint(console.blueprint(core, practice))
    monitor.add_to(desk, "desk", inside=True)
    return Gateway(core, public, desk, parts, tuple(chosen.values()), monitor, gate)


def surroundings(settings: Settings, store: Store) -> Surroundings:
    """What `frontcounter ready` looks at."""
    return Surroundings(settings, store, platforms(settings), DEMO_STAFF)


def _app(name: str, settings: Settings) -> Sanic[Any, Any]:
    app: Sanic[Any, Any] = Sanic(name.replace(".", "-"), configure_logging=False)
    app.config.REQUEST_MAX_SIZE = settings.max_body_bytes
    app.config.REQUEST_TIMEOUT = 30
    if settings.behind_proxy:
        app.config.REAL_IP_HEADER = "x-real-ip"
    app.config.RESPONSE_TIMEOUT = 60
    app.config.KEEP_ALIVE_TIMEOUT = 75
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.config.ACCESS_LOG = False
    app.config.MOTD = False
    # sanic-ext would add its own pages (/docs) and cross-origin headers to both listeners.
    app.config.AUTO_EXTEND = False
    # Sanic rewrites its own methods once for each process; a second application in it cannot start.
    app.config.TOUCHUP = False

    @app.exception(BadRequestError)
    async def _bad(_request: Request, error: BadRequestError) -> HTTPResponse:
        return json({"error": str(error)}, status=error.status)

    @app.exception(NotAllowedError)
    async def _not_allowed(_request: Request, error: NotAllowedError) -> HTTPResponse:
        return json({"error": str(error)}, status=403)

    @app.exception(RefusedError)
    async def _refused(_request: Request, error: RefusedError) -> HTTPResponse:
        return json({"error": str(error)}, status=409)

    @app.exception(UnavailableError)
    async def _unavailable(_request: Request, _error: UnavailableError) -> HTTPResponse:
        return json({"error": "Please try again."}, status=503, headers={"Retry-After": "2"})

    @app.exception(Exception)
    async def _unexpected(request: Request, error: Exception) -> HTTPResponse:
        if isinstance(error, SanicException):
            message = "Not found." if error.status_code == 404 else str(error)
            return json({"error": message}, status=error.status_code, headers=error.headers)
        # The route, never the path: an address can carry a token.
        log.error("request.failed", route=getattr(request.route, "path", None), exc_info=error)
        return json({"error": "Something went wrong here. Please try again."}, status=500)

    return app


async def prepare(store: Store, content: Content) -> None:
    """Bring the database to this version and seed it, if it is empty.

    Raises:
        StoreUnavailableError: the database cannot be reached.
    """
    await migrate(store)
    await seed(store, content, Actor("start"))


async def serve(
    settings: Settings,
    extra: Sequence[Platform] = (),
    *,
    ready: asyncio.Event | None = None,
    practice: Practice | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then end without cutting anything short.

    A `practice` has no public listener: nobody from outside can write to it.

    A database that is away at the start is waited for: until then the door answers 503, with the
    safety words for whoever is in danger.

    Raises:
        SettingError: a port is taken.
    """
    gateway = build(settings, extra, practice=practice)
    core = gateway.core
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if practice is None:
        apps = [gateway.public, gateway.desk]
        sockets = [
            listen(settings.public_host, settings.public_port, "FRONTCOUNTER_PUBLIC_PORT"),
            listen(settings.desk_host, settings.desk_port, "FRONTCOUNTER_DESK_PORT"),
        ]
    else:
        apps = [gateway.desk]
        sockets = [listen(settings.desk_host, settings.desk_port, "FRONTCOUNTER_PRACTICE_PORT")]
    servers: list[AsyncioServer] = []
    for app, listener in zip(apps, sockets, strict=True):
        server = await app.create_server(sock=listener, return_asyncio_server=True)
        if server is None:
            raise SettingError("The server did not start. Try again.")
        await server.startup()  # type: ignore[no-untyped-call]
        await server.start_serving()  # type: ignore[no-untyped-call]
        servers.append(server)
    running = [
        asyncio.create_task(_run(platform, gateway), name=f"channel-{platform.channel.name}")
        for platform in gateway.platforms
    ]
    # What the door cannot store is told even while the database has never answered.
    core.alarms.start(scan=False)
    preparing = asyncio.create_task(_prepare_until_done(gateway, stop, ready))
    # A start that fails for good must not leave a door open with nobody behind it.
    preparing.add_done_callback(lambda _: None if core.started else stop.set())
    public_port = settings.public_port if practice is None else None
    log.info("gateway.serving", public=public_port, desk=settings.desk_port)
    try:
        await stop.wait()
    finally:
        log.info("gateway.stopping")
        deadline = loop.time() + settings.stop_seconds
        await _end_requests(gateway, servers, deadline)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        preparing.cancel()
        failed = (await asyncio.gather(preparing, return_exceptions=True))[0]
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline + 5):
                await core.stop(max(1.0, deadline - loop.time()))
        log.info("gateway.stopped")
        if isinstance(failed, Exception):
            raise failed


async def _end_requests(gateway: Gateway, servers: Sequence[AsyncioServer], deadline: float) -> None:
    """Take no new request, let those under way end, and send the pages' streams elsewhere.

    First readiness says 503 and each answer closes its connection, so that whoever is busy leaves by
    itself; then the listeners close; a connection is cut only when it is idle, or at the deadline.
    """
    loop = asyncio.get_running_loop()
    deadline = min(deadline, loop.time() + REQUEST_SECONDS + gateway.core.settings.stop_wait_seconds)
    gateway.monitor.stopping = True
    await asyncio.sleep(max(LEAVING_SECONDS, gateway.core.settings.stop_wait_seconds))
    for server in servers:
        with suppress(Exception):
            server.close()  # type: ignore[no-untyped-call]
    gateway.core.streams.close()
    while loop.time() < deadline:
        connections = [one for server in servers for one in server.connections]
        if not connections:
            return
        for connection in connections:
            # Bytes that have come and were not looked at yet are a request under way.
            if not connection.recv_buffer:
                connection.close_if_idle()
        await asyncio.sleep(0.05)
    log.warning("gateway.requests_cut", count=sum(len(server.connections) for server in servers))


def _is_held(core: Core, channel: str) -> bool:
    """Whether a channel may not go live yet beside others that are."""
    return channel in core.held_back


def _held_back(routes: Blueprint, channel: str, core: Core, gate: Gate) -> Blueprint:
    """Take nothing in while a channel may not go live yet: its platform calls again later.

    A platform's question whether the address is ours is answered. With the database away nobody can
    say who may: then the door answers, and tells whoever is in danger.
    """

    async def held(request: Request) -> HTTPResponse | None:
        if request.method == "GET":
            return None
        if channel in core.held_back:
            return empty(503, headers={"Retry-After": "300"})
        if gate.is_undecided(channel) and await core.store.ping():
            return empty(503, headers={"Retry-After": "2"})
        return None

    routes.middleware(held, "request")
    return routes


async def _run(platform: Platform, gateway: Gateway) -> None:
    """Let a channel do what it does by itself, once it may."""
    await gateway.gate.wait(platform.channel.name)
    await platform.run(gateway.parts)


async def _prepare_until_done(gateway: Gateway, stop: asyncio.Event, ready: asyncio.Event | None) -> None:
    core = gateway.core
    while not stop.is_set():
        try:
            await prepare(core.store, core.content.current)
            # Before anything is sent: a live channel that is not ready ends this start.
            await gateway.gate.judge()
        except UnavailableError as error:
            # A wrong password or name never mends itself: the line has to say so.
            log.warning("gateway.waiting_for_store", reason=str(error))
            await asyncio.sleep(1.0)
        else:
            break
    core.held_back = gateway.gate.held
    await core.start()
    if ready is not None:
        ready.set()
    await gateway.gate.warn()
    if gateway.gate.report is not None:
        core.open_items = len(gateway.gate.report.blocking)


def listen(host: str, port: int, variable: str) -> socket.socket:
    """A listening socket.

    Raises:
        SettingError: the port is taken or not allowed; names the setting to change.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingError(
            f"Port {port} is taken or not allowed. Stop what uses it, or set {variable}."
        ) from error
    listener.listen(1024)
    listener.setblocking(False)
    return listener
